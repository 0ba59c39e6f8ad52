import { conversationLocked, conversationNotFound } from "../protocol/errors.ts";
import type { Metadata } from "../protocol/conversation.ts";
import type { ResponseNode } from "./node.ts";
import type { Admit, EnginePorts, RecordName, StoreRecord } from "./ports.ts";

export type ConversationPorts = Pick<EnginePorts, "store" | "runtime">;

/** What the record of a conversation holds, beside the node that it stands on. */
export type ConversationValue = {
  /** Seconds since 1970. */
  readonly created_at: number;
  readonly metadata: Metadata;
  /** Who is about to change its items; over when its time is, so that a server that died locks nothing for good. */
  readonly lock: { readonly holder: string; readonly until: number } | null;
};

/** How long a lock lasts that nobody renews, and how often it is renewed; the clocks of servers may differ by the rest. */
const LEASE_MS = 30_000;
const RENEW_MS = 10_000;
/** How often a write is tried that others come before. Only changes of metadata can, since the lock keeps all others out. */
const TRIES = 32;

export function valueOf(record: StoreRecord): ConversationValue {
  return record.value as ConversationValue;
}

/**
 * Changes what the record holds, whatever others do to it at the same time.
 * @param change gives what takes its place; what it throws ends the attempt
 * @throws ApiError `not_found`, `conversation_locked` when others always come first
 */
export async function changeConversation(
  { store }: ConversationPorts,
  name: RecordName,
  change: (record: StoreRecord) => { readonly value: ConversationValue; readonly node?: string | null },
): Promise<StoreRecord> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const record = await store.records.get(name);
    if (record === undefined) throw conversationNotFound(name.id);
    const next = { ...record, ...change(record) };
    const version = await store.records.write(next, record.version);
    if (version !== undefined) return { ...next, version };
  }
  throw conversationLocked();
}

/**
 * The right to change the items of a conversation, of one at a time among all servers that share the store: from `take` to
 * `move` or `release`, whichever comes first.
 */
export class ConversationHold {
  readonly #ports: ConversationPorts;
  readonly #name: RecordName;
  readonly #holder: string;
  readonly #stopRenewing: () => void;
  #parent: ResponseNode | null = null;
  #over = false;

  /**
   * @param holder names whoever holds it
   * @throws ApiError `not_found`, `conversation_locked`
   */
  static async take(
    ports: ConversationPorts,
    name: RecordName,
    holder: string,
    admit?: Admit,
  ): Promise<ConversationHold> {
    const now = ports.runtime.now();
    const record = await changeConversation(ports, name, (found) => {
      const value = valueOf(found);
      if (value.lock !== null && value.lock.until > now) throw conversationLocked();
      return { value: { ...value, lock: { holder, until: now + LEASE_MS } } };
    });
    const hold = new ConversationHold(ports, name, holder);
    try {
      hold.#parent = await chainOf(ports, record, admit);
      return hold;
    } catch (error) {
      await hold.release();
      throw error;
    }
  }

  private constructor(ports: ConversationPorts, name: RecordName, holder: string) {
    this.#ports = ports;
    this.#name = name;
    this.#holder = holder;
    this.#stopRenewing = ports.runtime.every(RENEW_MS, () => {
      // One that cannot be renewed is lost, and whoever holds it learns of that in the end.
      this.#change((value) => ({ ...value, lock: { holder, until: ports.runtime.now() + LEASE_MS } })).catch(
        () => undefined,
      );
    });
  }

  /** The node that the conversation stands on; null when it is empty. */
  get parent(): ResponseNode | null {
    return this.#parent;
  }

  /**
   * Makes the conversation stand on another node, which is stored, and lets go of it.
   * @throws ApiError `conversation_locked` when the lock was lost on the way: nothing has changed then
   */
  async move(node: string | null): Promise<void> {
    this.#end();
    await this.#change((value) => ({ ...value, lock: null }), node);
  }

  /** Lets go of the conversation as it is. */
  async release(): Promise<void> {
    if (this.#over) return;
    this.#end();
    // What cannot be released now is over with its time.
    await this.#change((value) => ({ ...value, lock: null })).catch(() => undefined);
  }

  #end(): void {
    this.#over = true;
    this.#stopRenewing();
  }

  async #change(change: (value: ConversationValue) => ConversationValue, node?: string | null): Promise<void> {
    await changeConversation(this.#ports, this.#name, (record) => {
      const value = valueOf(record);
      if (value.lock?.holder !== this.#holder) throw conversationLocked();
      return { value: change(value), ...(node !== undefined && { node }) };
    });
  }
}

/** The chain that a conversation stands on; null for an empty one. @throws ApiError `not_found` when it is not kept any more */
export async function chainOf(
  { store }: ConversationPorts,
  record: StoreRecord,
  admit?: Admit,
): Promise<ResponseNode | null> {
  if (record.node === null) return null;
  const chain = await store.records.chain(record, admit);
  if (chain === undefined) throw conversationNotFound(record.id);
  return chain;
}
