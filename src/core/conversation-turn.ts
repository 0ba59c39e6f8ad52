import type { ConversationHold } from "./conversation-hold.ts";
import type { Conversations } from "./conversations.ts";
import type { Ending } from "./lease.ts";
import type { ResponseNode } from "./node.ts";

/**
 * One turn's part in a conversation. A turn that is stored holds the conversation while it runs, and its node becomes what
 * the conversation stands on. One that is not only reads it: nothing of it may be written anywhere.
 */
export class ConversationTurn {
  readonly #conversations: Conversations;
  readonly #id: string;
  readonly #adds: boolean;
  #taking: Promise<ConversationHold> | null = null;
  #hold: ConversationHold | null = null;

  constructor(conversations: Conversations, id: string, { store }: { readonly store: boolean }) {
    this.#conversations = conversations;
    this.#id = id;
    this.#adds = store;
  }

  /**
   * What the turn continues; null at the beginning.
   * @param responseId names the turn to others that want to change the conversation meanwhile
   * @throws ApiError `not_found`, `conversation_locked`, `conversation_full`
   */
  async parent(responseId: string): Promise<ResponseNode | null> {
    if (!this.#adds) return this.#conversations.chain(this.#id);
    this.#taking = this.#take(responseId);
    this.#hold = await this.#taking;
    const { parent } = this.#hold;
    this.#conversations.checkLength(parent, 1);
    return parent;
  }

  async #take(responseId: string): Promise<ConversationHold> {
    await this.#conversations.checkRoom();
    return this.#conversations.hold(this.#id, responseId);
  }

  /** What ends the hold in the transaction that puts the turn's node; null when nothing is held. */
  ending(node: ResponseNode): Ending | null {
    return this.#hold?.ending(node.id) ?? null;
  }

  /** Others may change the conversation from now on; before the end of the turn is told, since the client may go on at once. */
  async release(): Promise<void> {
    // A turn may be refused while its hold is still being taken.
    const hold = await this.#taking?.catch(() => null);
    await hold?.release();
  }
}
