import type { Store } from "../core/ports.ts";
import type { StoreKey } from "./cipher.ts";
import { type DurableOptions, DurableStore } from "./durable.ts";
import { guarded } from "./guarded.ts";
import { MemoryStore } from "./memory.ts";
import { PostgresDatabase } from "./postgres.ts";
import { SqliteDatabase } from "./sqlite.ts";
import { type Quota, QuotaStore } from "./quota.ts";
import { StoreError } from "./store-error.ts";
import type { Schedule } from "./sweeper.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

export type StoreOptions = {
  /** Bytes of nodes that are kept in memory: all that `memory:` keeps, and what the others need not read again. */
  readonly memoryBytes?: number;
  /** How long an id is known; Infinity for as long as there is room. Not for `memory:`. */
  readonly ttlMs?: number;
  /** Bytes that nodes may use in the database; beyond it the ends of the oldest chains go. Not for `memory:`. */
  readonly maxBytes?: number;
  /** What does not fit is refused, and nothing that is stored is evicted for it. */
  readonly quota?: Quota;
  /** Keys for the content, the current one first (`parseStoreKeys`); none leaves it in clear. Not for `memory:`. */
  readonly keys?: readonly StoreKey[];
  /** Whether rows in clear are believed although there are keys. Not for `memory:`. */
  readonly trustsClear?: boolean;
  /** Whether a commit of `sqlite:` also survives a loss of power, at the price of a wait for the disk. */
  readonly synchronous?: "normal" | "full";
  /** Connections to `postgres:` at most. */
  readonly connections?: number;
  /** How long a call of the database may take. Not for `memory:`. */
  readonly timeoutMs?: number;
  readonly sweepEveryMs?: number;
  readonly schedule?: Schedule;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Told of failures that nobody waits for, such as a sweep that could not reach the database. */
  readonly onError?: (error: unknown) => void;
};

export const DEFAULT_STORE_OPTIONS = {
  memoryBytes: 512 * 1024 * 1024,
  ttlMs: 30 * DAY_MS,
  maxBytes: Infinity,
  quota: { bytes: Infinity, tenantBytes: Infinity },
  keys: [],
  trustsClear: false,
  synchronous: "normal",
  connections: 10,
  timeoutMs: 15_000,
  sweepEveryMs: 60_000,
  schedule: every,
  now: () => Date.now(),
  onError: () => undefined,
} as const satisfies Required<StoreOptions>;

/** A transaction of one holds the next one up; more of them at a time only take connections from readers. */
const POSTGRES_LANES = 4;

/**
 * Opens the store that the URL names: `memory:`, `sqlite:<path>` or `postgres://…`.
 * @throws StoreError when it cannot be opened, in words for its operator
 */
export async function openStore(url: string, options: StoreOptions = {}): Promise<Store> {
  const all = { ...DEFAULT_STORE_OPTIONS, ...options };
  if (url === "memory:") {
    const { bytes, tenantBytes } = all.quota;
    // Without a quota it is a cache; with one, that is reached before anything would have to be evicted.
    if (bytes === Infinity && tenantBytes === Infinity) {
      return new MemoryStore({ budgetBytes: all.memoryBytes, now: all.now });
    }
    const store = new MemoryStore({ budgetBytes: 2 * all.memoryBytes, now: all.now });
    return new QuotaStore(store, { bytes: Math.min(bytes, all.memoryBytes), tenantBytes }, all.now);
  }
  return new QuotaStore(await openDurableStore(url, all), all.quota, all.now);
}

/** As `openStore`, for those stores that outlive the process. */
export async function openDurableStore(url: string, options: StoreOptions = {}): Promise<DurableStore> {
  const all = { ...DEFAULT_STORE_OPTIONS, ...options };
  const durable = { ...all, cacheBytes: all.memoryBytes } satisfies Omit<DurableOptions, "lanes">;
  const path = /^sqlite:(?:\/\/(?=\/))?(.+)$/.exec(url)?.[1];
  // One connection writes one transaction at a time.
  if (path !== undefined)
    return new DurableStore(guarded(await SqliteDatabase.open(path, all), all.timeoutMs), { ...durable, lanes: 1 });
  if (/^postgres(ql)?:\/\//.test(url)) {
    return new DurableStore(guarded(await PostgresDatabase.open(url, all), all.timeoutMs), {
      ...durable,
      lanes: POSTGRES_LANES,
    });
  }
  throw new StoreError("store: give memory:, sqlite:<path> or postgres://<user>@<host>/<database>");
}

function every(task: () => void, everyMs: number): () => void {
  const timer = setInterval(task, everyMs).unref();
  return () => clearInterval(timer);
}
