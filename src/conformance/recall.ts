import { user } from "./prompts.ts";
import type { Json, WireResponse } from "./types.ts";
import { demand, skip } from "./violation.ts";
import { textOf } from "./wire.ts";

const WORD = "heliotrope-4417";
const QUESTION = "What is the code word? Reply with the code word and nothing else.";

/** What the model is to remember. */
export const TELL = `The code word is ${WORD}. Reply with exactly: ok`;

type Ask = (fields: Json) => Promise<WireResponse>;

/**
 * Asks for the code word at the end of a chain. That counts only against a model that finds it when it is sent everything
 * again: then the words that the chain should have brought were not there.
 */
export async function recalls(ask: Ask, previousId: string, context: readonly Json[]): Promise<void> {
  const first = await ask({ input: QUESTION, previous_response_id: previousId });
  if (knows(first)) return;
  // Once more: models have their moods.
  const second = await ask({ input: QUESTION, previous_response_id: first.id });
  if (knows(second)) return;
  const replayed = await ask({ input: [...context, user(QUESTION)], previous_response_id: null });
  if (!knows(replayed)) skip("the model finds no code word in its context, wherever it stands");
  demand(false, "The model was told a code word in the first turn, and does not know it at the end of the chain.", {
    expected: `${WORD}, as when everything is sent again`,
    got: textOf(second),
  });
}

function knows(response: WireResponse): boolean {
  return textOf(response).includes(WORD);
}
