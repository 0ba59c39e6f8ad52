import type { ConversationHold } from "./conversation-hold.ts";
import type { Conversations } from "./conversations.ts";
import type { ResponseNode } from "./node.ts";

/**
 * One turn's part in a conversation. A turn that is stored holds the conversation while it runs, and its node becomes what
 * the conversation stands on. One that is not only reads it: nothing of it may be written anywhere.
 */
export class ConversationTurn {
  readonly #conversations: Conversations;
  readonly #id: string;
  readonly #adds: boolean;
  #hold: ConversationHold | null = null;

  constructor(conversations: Conversations, id: string, { store }: { readonly store: boolean }) {
    this.#conversations = conversations;
    this.#id = id;
    this.#adds = store;
  }

  /**
   * What the turn continues; null at the beginning.
   * @param responseId names the turn to others that want to change the conversation meanwhile
   * @throws ApiError `not_found`, `conversation_locked`
   */
  async parent(responseId: string): Promise<ResponseNode | null> {
    if (!this.#adds) return this.#conversations.chain(this.#id);
    await this.#conversations.checkRoom();
    this.#hold = await this.#conversations.hold(this.#id, responseId);
    return this.#hold.parent;
  }

  /**
   * The turn's node has been stored. Where it cannot become part of the conversation, it is no response either.
   * @throws ApiError `conversation_locked` when the hold was lost on the way, `not_found` when the conversation is gone
   */
  async placed(node: ResponseNode): Promise<void> {
    try {
      await this.#hold?.move(node.id);
    } catch (error) {
      await this.#conversations.discard(node);
      throw error;
    }
  }

  /** Others may change the conversation from now on; before the end of the turn is told, since the client may go on at once. */
  async release(): Promise<void> {
    await this.#hold?.release();
  }
}
