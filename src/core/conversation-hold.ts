import { type ApiError, conversationLocked, conversationNotFound } from "../protocol/errors.ts";
import type { Metadata } from "../protocol/conversation.ts";
import { type Ending, endLeases, heldFromNow, isOver, Lease, type Leased, LeaseLost, withLease } from "./lease.ts";
import type { ResponseNode } from "./node.ts";
import type { Admit, EnginePorts, RecordChange, RecordName, Records, StoreRecord } from "./ports.ts";

export type ConversationPorts = Pick<EnginePorts, "store" | "runtime" | "limits">;

/** What the record of a conversation holds, beside the node that it stands on. */
export type ConversationValue = Leased & {
  /** Seconds since 1970. */
  readonly created_at: number;
  readonly metadata: Metadata;
};

/** How many times in its length a lease is renewed. */
const RENEWALS = 3;
/** How often a write is tried that others come before. Only changes of metadata can, since the lease keeps all others out. */
const TRIES = 32;

export function valueOf(record: StoreRecord): ConversationValue {
  return record.value as ConversationValue;
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** When a conversation that is changed now is over; null for never. */
export function expiryOf({ runtime, limits }: Pick<ConversationPorts, "runtime" | "limits">): number | null {
  return limits.conversationDays === 0 ? null : runtime.now() + limits.conversationDays * DAY_MS;
}

/**
 * Changes what the record holds, whatever others do to it at the same time.
 * @param change gives what takes its place; what it throws ends the attempt
 * @throws ApiError `not_found`, `conversation_locked` when others always come first
 */
export async function changeConversation(
  ports: ConversationPorts,
  name: RecordName,
  change: (record: StoreRecord) => { readonly value: ConversationValue; readonly node?: string | null },
): Promise<StoreRecord> {
  const { store } = ports;
  for (let tries = 0; tries < TRIES; tries += 1) {
    const record = await store.records.get(name);
    if (record === undefined) throw conversationNotFound(name.id);
    const next = { ...record, ...change(record), expiresAt: expiryOf(ports) };
    const version = await store.records.write(next, record.version);
    if (version !== undefined) return { ...next, version };
  }
  throw conversationLocked();
}

/**
 * The right to change the items of a conversation, of one at a time among all servers that share the store: a lease, from
 * `take` to the put that it ends with, or to `release`.
 */
export class ConversationHold {
  readonly #records: Records;
  readonly #lease: Lease;
  readonly #stopRenewing: () => void;
  #parent: ResponseNode | null = null;

  /**
   * @param holder names the turn or change that holds it
   * @throws ApiError `not_found`, `conversation_locked`
   */
  static async take(
    ports: ConversationPorts,
    name: RecordName,
    holder: string,
    admit?: Admit,
  ): Promise<ConversationHold> {
    const { runtime, limits } = ports;
    const now = runtime.now();
    const record = await changeConversation(ports, name, (found) => {
      if (!isOver(found, now)) throw conversationLocked();
      return { value: { ...valueOf(found), lease: heldFromNow({ runtime, leaseMs: limits.leaseMs }, holder) } };
    });
    const hold = new ConversationHold(ports, holder, record);
    try {
      hold.#parent = await chainOf(ports, record, admit);
      return hold;
    } catch (error) {
      await hold.release();
      throw error;
    }
  }

  private constructor({ store, runtime, limits: { leaseMs } }: ConversationPorts, holder: string, record: StoreRecord) {
    this.#records = store.records;
    this.#lease = new Lease({ records: store.records, runtime, leaseMs }, holder, record);
    this.#stopRenewing = runtime.every(leaseMs / RENEWALS, () => {
      // One that cannot be renewed is lost, and the put that it is for fails.
      this.#lease.renew().catch(() => undefined);
    });
  }

  /** The node that the conversation stands on; null when it is empty. */
  get parent(): ResponseNode | null {
    return this.#parent;
  }

  /** Ends the hold, in the transaction that puts the node, with the conversation standing on it. */
  ending(node: string | null): Ending {
    return { lease: this.#lease, change: (record) => [changed({ ...record, node })] };
  }

  /**
   * Makes the conversation stand on a node that is stored.
   * @throws ApiError `conversation_locked` when the hold was lost on the way: nothing has changed then
   */
  async move(node: string | null): Promise<void> {
    const ending = this.ending(node);
    await endLeases([ending], (changes) => this.#apply(changes)).catch((error: unknown) => {
      throw error instanceof LeaseLost ? lostHold(error) : error;
    });
    this.#stopRenewing();
  }

  /** Lets go of the conversation as it is. */
  async release(): Promise<void> {
    this.#stopRenewing();
    if (this.#lease.isEnded) return;
    const ending = { lease: this.#lease, change: (record: StoreRecord) => [changed(record)] };
    // What cannot be released now is over with its time.
    await endLeases([ending], (changes) => this.#apply(changes)).catch(() => undefined);
  }

  async #apply(changes: readonly RecordChange[]): Promise<boolean> {
    return (await this.#records.apply(changes)) !== undefined;
  }
}

function changed(record: StoreRecord): RecordChange {
  return { write: withLease(record, null), version: record.version };
}

/** What a client is told whose hold on a conversation was lost. */
export function lostHold({ of, found }: LeaseLost): ApiError {
  return found === undefined ? conversationNotFound(of.id) : conversationLocked();
}

/** The chain that a conversation stands on; null for an empty one. @throws ApiError `not_found` when it is not kept any more */
export async function chainOf(
  { store }: Pick<ConversationPorts, "store">,
  record: StoreRecord,
  admit?: Admit,
): Promise<ResponseNode | null> {
  if (record.node === null) return null;
  const chain = await store.records.chain(record, admit);
  if (chain === undefined) throw conversationNotFound(record.id);
  return chain;
}
