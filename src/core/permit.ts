import type { Assembler } from "./assembler.ts";
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
  // It may fail before anybody waits for it.
  parent.catch(() => undefined);
  await permit?.admit(model);
  return parent;
}

/** Characters that make a token, about. */
const CHARACTERS_PER_TOKEN = 4;

/**
 * The tokens that a turn has used: as its backend has counted them or, where it did not come to that, an estimate. Whoever
 * leaves before the count has used them all the same.
 * @param characters of the output
 */
export function tokensOf(
  { usage, events, characters }: Pick<Assembler, "usage" | "events" | "characters">,
  parent: ResponseNode | null,
  bytesIn: number,
): number {
  if (usage !== null) return usage.total_tokens;
  // Refused: no model has been asked.
  if (events === 0) return 0;
  const context = parent?.response.usage?.total_tokens ?? 0;
  return context + Math.ceil((bytesIn + characters) / CHARACTERS_PER_TOKEN);
}
