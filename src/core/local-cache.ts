import type { SteerErrorCode } from "../protocol/table.ts";
import type { MemoryLease } from "./budget.ts";
import type { ResponseNode } from "./node.ts";
import { Retention } from "./retention.ts";
import type { Origin } from "./session-turns.ts";

/** How many responses that failed, or were forgotten, are remembered by their id. */
const REMEMBERED = 64;

/** The responses of one connection, within a budget of bytes, and what is still known of those that are gone. */
export class LocalCache {
  readonly #nodes: Retention;
  readonly #origins = new WeakMap<ResponseNode, Origin>();
  /** Responses that cannot be continued any more, and why they cannot be steered. */
  readonly #gone = new Map<string, Origin & { readonly code: SteerErrorCode; readonly isEvicted: boolean }>();
  readonly #lease: MemoryLease;

  /**
   * @param budgetBytes the most that one connection keeps
   * @param lease counts that against what the tenant may hold
   */
  constructor(budgetBytes: number, lease: MemoryLease) {
    this.#lease = lease;
    this.#nodes = new Retention(budgetBytes, undefined, (node) => this.#evicted(node));
  }

  get(id: string): ResponseNode | undefined {
    return this.#nodes.get(id);
  }

  originOf(id: string): Origin | undefined {
    const node = this.#nodes.get(id);
    return node === undefined ? this.#gone.get(id) : this.#origins.get(node);
  }

  /** Why a response that is not here cannot be steered. */
  whyGone(id: string): SteerErrorCode {
    return this.#gone.get(id)?.code ?? "response_not_found";
  }

  /** Keeps the node, and evicts the least recently used ends of chains until both budgets hold; this one last. */
  keep(node: ResponseNode, origin: Origin): void {
    this.#origins.set(node, origin);
    this.#nodes.add(node);
    while (!this.#lease.tryResize(this.#nodes.bytes) && this.#nodes.evict());
  }

  /** Whether the response was evicted for want of memory. */
  wasEvicted(id: string): boolean {
    return this.#gone.get(id)?.isEvicted ?? false;
  }

  /** The id resolves here no more, and what stands on it goes on. */
  delete(id: string): void {
    this.#nodes.delete(id);
    this.#lease.resize(Math.min(this.#lease.bytes, this.#nodes.bytes));
  }

  /** A failed continuation forgets its parent, so that the client knows where it stands and sends the full input. */
  forget(id: string | null, lane: string): void {
    const node = id === null ? undefined : this.#nodes.get(id);
    const origin = node === undefined ? undefined : this.#origins.get(node);
    // Another lane's response was only borrowed.
    if (node === undefined || origin?.lane !== lane) return;
    this.delete(node.id);
    this.remember(node.id, origin, "response_not_found");
  }

  /** Remembers a response that cannot be continued. */
  remember(id: string, origin: Origin, code: SteerErrorCode, isEvicted = false): void {
    this.#gone.delete(id);
    this.#gone.set(id, { ...origin, code, isEvicted });
    const [oldest] = this.#gone.keys();
    if (this.#gone.size > REMEMBERED && oldest !== undefined) this.#gone.delete(oldest);
  }

  clear(): void {
    this.#nodes.clear();
    this.#lease.release();
  }

  #evicted(node: ResponseNode): void {
    const origin = this.#origins.get(node);
    if (origin !== undefined) this.remember(node.id, origin, "response_not_found", true);
  }
}
