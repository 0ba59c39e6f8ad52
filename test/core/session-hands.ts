import type { ResponseNode } from "../../src/core/node.ts";
import type {
  Backend,
  BackendEvent,
  BackendRequest,
  FinishReason,
  JsonValue,
  PutOptions,
  Store,
  StoredResponse,
} from "../../src/core/ports.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import { MemoryStore } from "../../src/stores/memory.ts";

/** A backend and a store that a test moves by hand. */

type Next = IteratorResult<readonly BackendEvent[], undefined>;

/** One generation that says what it is told to. */
class HandCall implements AsyncIterator<readonly BackendEvent[], undefined> {
  readonly #said: (readonly BackendEvent[])[] = [];
  #end: { readonly error: Error | null } | null = null;
  #left = false;
  #waiting: PromiseWithResolvers<Next> | null = null;
  isFinished = false;

  constructor(signal: AbortSignal) {
    signal.addEventListener("abort", () => this.end(new Error("aborted")), { once: true });
  }

  get isOpen(): boolean {
    return this.#end === null && !this.#left;
  }
  say(events: readonly BackendEvent[]): void {
    if (this.#end === null) this.#said.push(events);
    this.#serve();
  }
  finish(reason: FinishReason, ends: boolean): void {
    this.isFinished = true;
    this.say([{ type: "finish", reason }]);
    if (ends) this.end(null);
  }
  end(error: Error | null): void {
    this.#end ??= { error };
    this.#serve();
  }
  next(): Promise<Next> {
    this.#waiting = Promise.withResolvers();
    const { promise } = this.#waiting;
    this.#serve();
    return promise;
  }
  return(): Promise<Next> {
    this.#left = true;
    return Promise.resolve({ done: true, value: undefined });
  }

  #serve(): void {
    const waiting = this.#waiting;
    const batch = this.#end?.error?.message === "aborted" ? undefined : this.#said.shift();
    if (waiting === null) {
      if (batch !== undefined) this.#said.unshift(batch);
      return;
    }
    if (batch === undefined && this.#end === null) return;
    this.#waiting = null;
    if (batch !== undefined) waiting.resolve({ done: false, value: batch });
    else if (this.#end?.error) waiting.reject(this.#end.error);
    else waiting.resolve({ done: true, value: undefined });
  }
}

export class HandBackend implements Backend {
  readonly calls = new Map<string, HandCall>();
  readonly #note: (request: BackendRequest) => string;
  isDown = false;

  constructor(note: (request: BackendRequest) => string) {
    this.#note = note;
  }

  stream(request: BackendRequest, signal: AbortSignal): AsyncIterable<readonly BackendEvent[]> {
    if (this.isDown) throw new ApiError("upstream_unavailable", "No.");
    const call = new HandCall(signal);
    this.calls.set(this.#note(request), call);
    return { [Symbol.asyncIterator]: () => call };
  }
  async prefill(request: BackendRequest): Promise<void> {
    this.#note(request);
  }
  async count(): Promise<number> {
    return 0;
  }
  async models(): Promise<readonly string[]> {
    return [];
  }
  async close(): Promise<void> {}
}

/** A store that has stored when the test says so. */
export class HandStore implements Store {
  readonly #inner = new MemoryStore({ budgetBytes: 1 << 30 });
  readonly records = this.#inner.records;
  readonly puts = new Map<string, PromiseWithResolvers<void>>();
  holds = false;

  async put(node: ResponseNode, options?: PutOptions): Promise<void> {
    if (this.holds) {
      const stored = Promise.withResolvers<void>();
      this.puts.set(node.id, stored);
      await stored.promise;
    }
    await this.#inner.put(node, options);
  }
  release(id: string, ok: boolean): void {
    const put = this.puts.get(id);
    this.puts.delete(id);
    if (ok) put?.resolve();
    else put?.reject(new Error("the disk is full"));
  }
  load(tenant: string, id: string): Promise<ResponseNode | undefined> {
    return this.#inner.load(tenant, id);
  }
  get(tenant: string, id: string): Promise<StoredResponse | undefined> {
    return this.#inner.get(tenant, id);
  }
  recording(tenant: string, id: string): Promise<JsonValue | undefined> {
    return this.#inner.recording(tenant, id);
  }
  delete(tenant: string, id: string): Promise<boolean> {
    return this.#inner.delete(tenant, id);
  }
  close(): Promise<void> {
    return this.#inner.close();
  }
}
