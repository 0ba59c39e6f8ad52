import type { Usage } from "../protocol/response.ts";
import type { ResponseNode } from "./node.ts";
import type { Permit } from "./ports.ts";

/**
 * Asks whether a turn may be while its parent is looked for, so that the asking takes no time of its own. A no goes before
 * anything that is wrong with the parent.
 */
export async function admitted(
  permit: Permit | undefined,
  model: string,
  parent: Promise<ResponseNode | null>,
): Promise<ResponseNode | null> {
  if (permit === undefined) return parent;
  const [admission, found] = await Promise.allSettled([permit.admit(model), parent]);
  if (admission.status === "rejected") throw admission.reason;
  if (found.status === "rejected") throw found.reason;
  return found.value;
}

/** Bytes of JSON that make a token, about. */
const BYTES_PER_TOKEN = 4;

/**
 * The tokens that a turn has used: as its backend has counted them or, where it did not come to that, an estimate. Whoever
 * leaves before the count has used them all the same.
 * @param events of the response: a model sends about one for each token
 */
export function tokensOf(
  { usage, events }: { readonly usage: Usage | null; readonly events: number },
  parent: ResponseNode | null,
  bytesIn: number,
): number {
  if (usage !== null) return usage.total_tokens;
  // Refused: no model has been asked.
  if (events === 0) return 0;
  const context = parent?.response.usage?.total_tokens ?? 0;
  return context + Math.ceil(bytesIn / BYTES_PER_TOKEN) + events;
}
