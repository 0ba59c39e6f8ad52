import type { LinkSpec } from "./link.ts";
import type { Way } from "./requests.ts";
import type { Figure } from "./statistics.ts";
import type { Upload } from "./upload.ts";

/** What a measurement found: plain data, as `--json` prints it. Times are milliseconds unless a name says otherwise. */
export type Report = {
  readonly version: string;
  readonly startedAt: string;
  readonly machine: Machine;
  /** The middle half of a fixed loop's times as a share of their median, and the same in words. */
  readonly noise: { readonly spread: number; readonly line: string };
  readonly settings: Settings;
  readonly targets: readonly { readonly name: string; readonly url: string; readonly isOwn: boolean }[];
  readonly workload: Workload;
  /** Counted without a server. */
  readonly uploads: readonly Upload[];
  readonly bytes: readonly BytesRow[];
  readonly latency: readonly LatencyRow[];
  readonly runs: readonly RunRow[];
  readonly load: readonly LoadRow[];
  readonly memory: readonly MemoryRow[];
  readonly waves: readonly WavesRow[];
  /** What could not be measured, and why. */
  readonly problems: readonly string[];
  readonly notMeasured: readonly string[];
};

export type Machine = {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
};

type Settings = {
  readonly rounds: number;
  readonly ttftMs: number;
  readonly tokensPerSecond: number;
  readonly burst: number;
  readonly prefillMsPerToken: number;
  readonly cacheTokens: number;
};

type Workload = {
  readonly id: string;
  readonly turns: number;
  readonly settingsBytes: number;
  /** Bytes of each turn's context, as items. */
  readonly contextBytes: readonly number[];
};

/** A target in one mode; in the mode `direct` it is the model itself, with no server in front of it. */
type Of = { readonly target: string; readonly mode: Way };

/** Bytes at the socket, over the whole run. */
export type BytesRow = Of & {
  readonly compress: boolean;
  readonly up: number;
  readonly down: number;
  readonly turns: readonly { readonly up: number; readonly down: number }[];
};

export type LatencyRow = Of & {
  readonly contextBytes: number;
  readonly in: Figure;
  readonly out: Figure;
  readonly tail: Figure;
};

export type RunRow = Of & {
  readonly link: LinkSpec | null;
  readonly compress: boolean;
  readonly seconds: Figure;
  readonly modelSeconds: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
};

export type LoadRow = Of & {
  readonly compress: boolean;
  readonly sessions: number;
  readonly turnsPerSecond: Figure;
  readonly eventsPerSecond: Figure;
  /** CPU seconds of the server for 1,000 turns; null when its process is not known. */
  readonly cpuPer1000Turns: Figure | null;
  /** The slowest session's time against the fastest one's. */
  readonly unfairness: number;
  /** CPU seconds a second of this tool, the scripted model among them. */
  readonly ownCpu: number;
};

export type MemoryRow = {
  readonly target: string;
  readonly sessions: number;
  readonly contextBytes: number;
  /** Growth of the resident set for each session. */
  readonly bytesPerSession: number;
  /** A turn on one of a few sessions of a fresh server, and then on any of all these. */
  readonly turns: { readonly few: number; readonly fresh: TurnTimes; readonly among: TurnTimes };
};

/** From a request to its last event, in front of a model that takes no time. */
export type TurnTimes = { readonly median: number; readonly p99: number; readonly turns: number };

/** The resident set of a server whose sessions come and go. */
export type WavesRow = {
  readonly target: string;
  readonly sessions: number;
  readonly contextBytes: number;
  /** Before the first wave. */
  readonly before: number;
  /** With all sessions of each wave open. */
  readonly waves: readonly number[];
};

/** What no figure of a report says. */
export const NOT_MEASURED: readonly string[] = [
  "A real model: answers are scripted, and take the time that they were told to take.",
  "TLS, HTTP/2, proxies in between, and loss, reordering or slow start on the emulated links: they have a delay and a rate.",
  "Other machines: server, client and scripted model share this one, and take time from each other.",
  "Latency with the client's own work in it: serialising a request ends before its clock starts.",
  "Headers that real clients add: requests have as few as they may, which favours HTTP by some 500 bytes a turn.",
  "Tail latencies: the middle half of the values is given, not the 99th percentile, which a shared machine decides; turns on idle sessions have theirs beside that of a fresh server.",
  "What a model server costs that is a process of its own: in the direct rows client and model are one process, which is less than any server can reach.",
];
