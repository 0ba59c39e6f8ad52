import type { SteerErrorCode } from "../protocol/table.ts";
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
  readonly #gone = new Map<string, Origin & { readonly code: SteerErrorCode }>();

  constructor(budgetBytes: number) {
    this.#nodes = new Retention(budgetBytes);
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

  keep(node: ResponseNode, origin: Origin): void {
    this.#origins.set(node, origin);
    this.#nodes.add(node);
  }

  /** The id resolves here no more, and what stands on it goes on. */
  delete(id: string): void {
    this.#nodes.delete(id);
  }

  /** A failed continuation forgets its parent, so that the client knows where it stands and sends the full input. */
  forget(id: string | null, lane: string): void {
    const node = id === null ? undefined : this.#nodes.get(id);
    const origin = node === undefined ? undefined : this.#origins.get(node);
    // Another lane's response was only borrowed.
    if (node === undefined || origin?.lane !== lane) return;
    this.#nodes.delete(node.id);
    this.remember(node.id, origin, "response_not_found");
  }

  /** Remembers a response that cannot be continued. */
  remember(id: string, origin: Origin, code: SteerErrorCode): void {
    this.#gone.set(id, { ...origin, code });
    const [oldest] = this.#gone.keys();
    if (this.#gone.size > REMEMBERED && oldest !== undefined) this.#gone.delete(oldest);
  }

  clear(): void {
    this.#nodes.clear();
  }
}
