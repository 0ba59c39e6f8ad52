import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { BenchError } from "./turn.ts";

/** A network between client and server: the time there and back, and what goes through each way. */
export type LinkSpec = {
  readonly name: string;
  readonly rttMs: number;
  readonly upBitsPerSecond: number;
  readonly downBitsPerSecond: number;
};

/** What tells the time, and calls back when it has come. */
export type LinkClock = {
  readonly now: () => number;
  readonly after: (ms: number, act: () => void) => void;
};

const systemClock: LinkClock = {
  now: () => performance.now(),
  after: (ms, act) => {
    setTimeout(act, ms);
  },
};

const UNITS: { readonly [unit: string]: number } = { kbit: 1e3, mbit: 1e6, gbit: 1e9 };

/** Reads `rtt=60ms,up=20mbit,down=100mbit`; what is left out has no delay and no bound. @throws BenchError */
export function parseLink(text: string): LinkSpec {
  const fields = new Map(text.split(",").map((part) => part.trim().split("=") as [string, string | undefined]));
  const unknown = [...fields.keys()].find((name) => !["rtt", "up", "down"].includes(name));
  if (unknown !== undefined) throw new BenchError(`a link has rtt, up and down, not '${unknown}'`);
  return {
    name: text,
    rttMs: amount(fields.get("rtt") ?? "0ms", { ms: 1, s: 1000 }, "60ms"),
    upBitsPerSecond: fields.has("up") ? amount(fields.get("up"), UNITS, "20mbit") : Infinity,
    downBitsPerSecond: fields.has("down") ? amount(fields.get("down"), UNITS, "100mbit") : Infinity,
  };
}

function amount(text: string | undefined, units: { readonly [unit: string]: number }, example: string): number {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)([a-z]+)$/.exec(text ?? "") ?? [];
  const factor = units[unit];
  if (number === undefined || factor === undefined) throw new BenchError(`'${text ?? ""}' is not like '${example}'`);
  return Number(number) * factor;
}

/** One way of a link: bytes leave one after another at its rate, and arrive after its delay. */
export class Pipe {
  readonly #bitsPerMs: number;
  readonly #delayMs: number;
  #busyUntil = 0;

  constructor(bitsPerSecond: number, delayMs: number) {
    this.#bitsPerMs = bitsPerSecond / 1000;
    this.#delayMs = delayMs;
  }

  /** When so many bytes that are handed over now have arrived. */
  arrival(now: number, bytes: number): number {
    this.#busyUntil = Math.max(now, this.#busyUntil) + (bytes * 8) / this.#bitsPerMs;
    return this.#busyUntil + this.#delayMs;
  }
}

/** What fits into an Ethernet packet: a receiver sees the first of a long message before the last is sent. */
const SEGMENT = 1448;

/** One connection's way through a pipe: segments arrive in order, each at its time. */
export class Way {
  readonly #pipe: Pipe;
  readonly #clock: LinkClock;
  readonly #deliver: (bytes: Buffer | null) => void;
  readonly #openAt: number;
  #queue: { readonly at: number; readonly bytes: Buffer | null }[] = [];
  #waitingBytes = 0;
  #isArmed = false;

  /** @param deliver gets what arrives, and null at the end; @param openAt before which nothing leaves */
  constructor(pipe: Pipe, clock: LinkClock, deliver: (bytes: Buffer | null) => void, openAt = 0) {
    this.#pipe = pipe;
    this.#clock = clock;
    this.#deliver = deliver;
    this.#openAt = openAt;
  }

  /** Bytes that are on their way. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Hands bytes over; null is the end. */
  push(bytes: Buffer | null): void {
    const now = Math.max(this.#clock.now(), this.#openAt);
    if (bytes === null) this.#queue.push({ at: this.#pipe.arrival(now, 0), bytes });
    for (let start = 0; start < (bytes?.length ?? 0); start += SEGMENT) {
      const segment = bytes?.subarray(start, start + SEGMENT) ?? null;
      this.#queue.push({ at: this.#pipe.arrival(now, segment?.length ?? 0), bytes: segment });
    }
    this.#waitingBytes += bytes?.length ?? 0;
    this.#arm();
  }

  #arm(): void {
    const [next] = this.#queue;
    if (this.#isArmed || next === undefined) return;
    this.#isArmed = true;
    this.#clock.after(Math.max(0, next.at - this.#clock.now()), () => {
      this.#isArmed = false;
      this.#arrive();
      this.#arm();
    });
  }

  #arrive(): void {
    const now = this.#clock.now();
    const due = this.#queue.findIndex(({ at }) => at > now);
    const arrived = this.#queue.splice(0, due === -1 ? this.#queue.length : due);
    const bytes = Buffer.concat(arrived.flatMap((segment) => (segment.bytes === null ? [] : [segment.bytes])));
    this.#waitingBytes -= bytes.length;
    if (bytes.length > 0) this.#deliver(bytes);
    if (arrived.some((segment) => segment.bytes === null)) this.#deliver(null);
  }
}

/** A proxy on this machine that makes its connections as slow as the link. */
export type LinkProxy = { readonly url: string; readonly close: () => Promise<void> };

/** More than this on its way, and the sender has to wait: twice what the fastest links hold within their delay. */
const MAX_WAITING = 4 * 1024 * 1024;

export async function startLinkProxy(spec: LinkSpec, targetUrl: string): Promise<LinkProxy> {
  const target = new URL(targetUrl);
  if (target.protocol !== "http:" && target.protocol !== "ws:") {
    throw new BenchError(`a link can be emulated for http only, not for ${targetUrl}`);
  }
  const up = new Pipe(spec.upBitsPerSecond, spec.rttMs / 2);
  const down = new Pipe(spec.downBitsPerSecond, spec.rttMs / 2);
  const open = new Set<Socket>();
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const host = target.hostname.replace(/^\[|\]$/g, "");
    const behind = connect({ host, port: Number(target.port || 80), noDelay: true, allowHalfOpen: true });
    // A connection takes a round trip before its first byte may leave; this proxy has accepted it at once.
    const openAt = performance.now() + spec.rttMs;
    join(client, behind, up, openAt);
    join(behind, client, down, 0);
    for (const socket of [client, behind]) {
      open.add(socket);
      socket.on("close", () => open.delete(socket));
      socket.on("error", () => undefined);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}${target.pathname}`, close: () => close(server, open) };
}

/** Moves what one socket reads to the other. */
function join(from: Socket, to: Socket, pipe: Pipe, openAt: number): void {
  const way: Way = new Way(
    pipe,
    systemClock,
    (bytes) => {
      if (to.destroyed) return;
      if (bytes === null) to.end();
      else to.write(bytes);
      if (from.isPaused() && way.waitingBytes < MAX_WAITING / 2) from.resume();
    },
    openAt,
  );
  from.on("data", (bytes: Buffer) => {
    way.push(bytes);
    if (way.waitingBytes > MAX_WAITING) from.pause();
  });
  from.on("end", () => way.push(null));
  from.on("close", () => {
    // Cut off, and not ended in order.
    if (!from.readableEnded) to.destroy();
  });
}

async function close(server: Server, open: ReadonlySet<Socket>): Promise<void> {
  for (const socket of open) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
}
