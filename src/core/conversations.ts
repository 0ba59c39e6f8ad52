import type { Conversation, Metadata } from "../protocol/conversation.ts";
import {
  conversationFull,
  conversationItemNotFound,
  conversationNotFound,
  itemAlreadyInConversation,
} from "../protocol/errors.ts";
import type { Item } from "../protocol/items.ts";
import { addedNode } from "./added-node.ts";
import {
  chainOf,
  changeConversation,
  ConversationHold,
  expiryOf,
  type ConversationPorts,
  type ConversationValue,
  lostHold,
  valueOf,
} from "./conversation-hold.ts";
import type { ContextMemory } from "./context-memory.ts";
import { type ChainItem, countItems, itemsOf } from "./input-items.ts";
import { resolveReferences, storedItems, withStoredContent } from "./item-references.ts";
import { LeaseLost, putUnder } from "./lease.ts";
import type { ResponseNode } from "./node.ts";
import type { RecordName, StoreRecord, Tenant } from "./ports.ts";

/**
 * The conversations of one tenant. A conversation is a record that stands on the last node of a chain: a turn in it
 * continues that node, and a fork shares what is before it. It keeps its chain for as long as it is there itself, whatever
 * becomes of the responses in it.
 */
export class Conversations {
  readonly #ports: ConversationPorts;
  readonly #tenant: Tenant;
  readonly #memory: ContextMemory;

  /** @param memory what is loaded of them counts against it */
  constructor(ports: ConversationPorts, tenant: Tenant, memory: ContextMemory) {
    this.#ports = ports;
    this.#tenant = tenant;
    this.#memory = memory;
  }

  /** @throws ApiError `item_not_found` */
  async create({
    items,
    metadata,
  }: {
    readonly items: readonly Item[];
    readonly metadata: Metadata;
  }): Promise<Conversation> {
    const { runtime, store } = this.#ports;
    await this.checkRoom();
    const name = this.#name(runtime.newId("conversation"));
    const value: ConversationValue = { created_at: Math.floor(runtime.now() / 1000), metadata, lease: null };
    const node = this.#node(null, await this.#resolve(items));
    const changes = [
      { write: { ...name, value, node: node?.id ?? null, expiresAt: expiryOf(this.#ports) }, version: 0 },
    ];
    if (node !== null) await store.put(node, { listed: false, changes });
    else if ((await store.records.apply(changes)) === undefined) throw new Error(`The id ${name.id} is there already.`);
    return shown(name.id, value);
  }

  /** @throws ApiError `not_found`, here as in all that follows */
  async get(id: string): Promise<Conversation> {
    return shown(id, valueOf(await this.#record(id)));
  }

  async update(id: string, metadata: Metadata): Promise<Conversation> {
    const change = (record: StoreRecord) => ({ value: { ...valueOf(record), metadata } });
    return shown(id, valueOf(await changeConversation(this.#ports, this.#name(id), change)));
  }

  async delete(id: string): Promise<void> {
    if (!(await this.#ports.store.records.delete(this.#name(id)))) throw conversationNotFound(id);
  }

  /** All of its items, oldest first. */
  async items(id: string): Promise<readonly ChainItem[]> {
    return itemsOf(await this.chain(id));
  }

  /** The chain that it stands on now; null when it is empty. */
  async chain(id: string): Promise<ResponseNode | null> {
    return chainOf(this.#ports, await this.#record(id), this.#memory.chain);
  }

  /** Adds items. @throws ApiError `conversation_locked`, `item_not_found`, `item_already_in_conversation`, `conversation_full` */
  async add(id: string, items: readonly Item[]): Promise<readonly ChainItem[]> {
    const hold = await this.hold(id, this.#ports.runtime.newId("response"));
    try {
      const { parent } = hold;
      this.checkLength(parent, items.length);
      const there = new Set(itemsOf(parent).map((each) => each.id));
      if (items.some(({ id }) => typeof id === "string" && there.has(id))) throw itemAlreadyInConversation();
      const node = this.#node(parent, await this.#resolve(items));
      if (node === null) return [];
      await this.#put(node, hold);
      return itemsOf(node).slice(-node.input.length);
    } finally {
      await hold.release();
    }
  }

  /** Takes one item out; those behind it move to a chain without it, under the ids that they have. */
  async remove(id: string, itemId: string): Promise<Conversation> {
    const hold = await this.hold(id, this.#ports.runtime.newId("response"));
    try {
      const all = itemsOf(hold.parent);
      const gone = all.find((each) => each.id === itemId);
      if (gone === undefined) throw conversationItemNotFound(itemId);
      const rest = all.slice(all.findIndex(({ node }) => node === gone.node)).filter((each) => each !== gone);
      const before = gone.node.parent;
      const named = rest.map(({ item, id: own }) => ({ ...item, id: own }));
      const node = this.#node(before, named);
      if (node === null) await hold.move(before?.id ?? null);
      else await this.#put(node, hold);
    } finally {
      await hold.release();
    }
    return this.get(id);
  }

  /** @throws ApiError `conversation_full` when so many items more are too many */
  checkLength(chain: ResponseNode | null, more: number): void {
    const { conversationItems: most } = this.#ports.limits;
    if (countItems(chain) + more > most) throw conversationFull(most);
  }

  /** @throws ApiError `tenant_storage_exceeded`, `server_storage_exceeded` */
  async checkRoom(): Promise<void> {
    await this.#ports.store.checkRoom?.(this.#tenant);
  }

  /** @throws ApiError `conversation_locked` */
  hold(id: string, holder: string): Promise<ConversationHold> {
    return ConversationHold.take(this.#ports, this.#name(id), holder, this.#memory.chain);
  }

  #name(id: string): RecordName {
    return { tenant: this.#tenant, kind: "conversation", id };
  }

  async #record(id: string): Promise<StoreRecord> {
    const record = await this.#ports.store.records.get(this.#name(id));
    if (record === undefined) throw conversationNotFound(id);
    return record;
  }

  async #resolve(items: readonly Item[]): Promise<readonly Item[]> {
    const { store, limits } = this.#ports;
    const source = storedItems(store, this.#tenant, limits.referencedResponses);
    return resolveReferences(await withStoredContent(items, source, this.#memory), source, this.#memory);
  }

  /** A node for items behind a chain, under no id that a client could use; null when there are none. */
  #node(parent: ResponseNode | null, input: readonly Item[]): ResponseNode | null {
    return input.length === 0 ? null : addedNode(this.#ports.runtime, { tenant: this.#tenant, parent, input });
  }

  /** Stores a node that the conversation stands on from then on. */
  async #put(node: ResponseNode, hold: ConversationHold): Promise<void> {
    await putUnder(this.#ports.store, node, { listed: false }, [hold.ending(node.id)]).catch((error: unknown) => {
      throw error instanceof LeaseLost ? lostHold(error) : error;
    });
  }
}

function shown(id: string, { created_at, metadata }: ConversationValue): Conversation {
  return { id, object: "conversation", created_at, metadata };
}
