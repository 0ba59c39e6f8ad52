import type { ConversationTurn } from "./conversation-turn.ts";
import type { Detached } from "./detached.ts";
import { putUnder } from "./lease.ts";
import { whyLost } from "./lost.ts";
import { isContinuable, type ResponseNode } from "./node.ts";
import type { JsonValue, Store } from "./ports.ts";

/** What a turn may hold leases by. */
type Holders = { readonly detached: Detached | undefined; readonly conversation: ConversationTurn | null };

/**
 * Stores the node of a turn in one transaction with the end of its leases.
 * @param isCancelled whether the turn was cancelled: if a deletion did that, nothing is kept of it
 * @throws ApiError when the leases were lost, or the response was deleted
 */
export async function commitUnder(
  store: Store,
  node: ResponseNode,
  recording: JsonValue,
  { detached, conversation }: Holders,
  isCancelled: boolean,
): Promise<void> {
  // What is not to be continued is in no conversation.
  const inConversation = isContinuable(node) ? conversation?.ending(node) : null;
  const endings = [detached?.ending(), inConversation].flatMap((ending) => ending ?? []);
  try {
    await putUnder(store, node, { recording }, endings);
  } catch (thrown) {
    const why = await whyLost(store, node, thrown);
    if (why?.code !== "not_found" || !isCancelled) throw why ?? thrown;
  }
}

/** Ends the leases that no commit has ended. */
export async function releaseLeases({ detached, conversation }: Holders): Promise<void> {
  if (conversation !== null) await conversation.release();
  if (detached !== undefined) await detached.release();
}
