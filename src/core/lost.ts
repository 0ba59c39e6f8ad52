import { type ApiError, leaseLost, responseDeleted } from "../protocol/errors.ts";
import { lostHold } from "./conversation-hold.ts";
import { LeaseLost } from "./lease.ts";
import type { ResponseNode } from "./node.ts";
import { type Store, NotPut } from "./ports.ts";

/** What a client is told whose response was not stored since others came first; null for any other failure. */
export async function whyLost(
  store: Pick<Store, "get">,
  { tenant, id }: Pick<ResponseNode, "tenant" | "id">,
  thrown: unknown,
): Promise<ApiError | null> {
  if (thrown instanceof NotPut) return thrown.why === "deleted" ? responseDeleted(thrown) : leaseLost(thrown);
  if (!(thrown instanceof LeaseLost)) return null;
  if (thrown.of.kind === "conversation") return lostHold(thrown);
  // Another server has stored it as failed, or a client has deleted it.
  return (await store.get(tenant, id)) === undefined ? responseDeleted(thrown) : leaseLost(thrown);
}
