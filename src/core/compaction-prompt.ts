import type { Item } from "../protocol/items.ts";

/** What is said to a model that writes a summary, and to one that goes on from it. */

const ASK = `The conversation above has become too long to go on with. You now write the summary that takes its place: \
whoever continues the work will see only the system's instructions, some of the user's own messages, and this summary, and \
must be able to go on as if they had been here all along.

If the conversation begins with an earlier summary, carry over everything in it that still matters: yours takes its place, too.

Write under these headings, and leave out those with nothing to say:

## Goals
What the user wants, with every requirement, preference and correction that still holds.

## Decisions
What was decided and why; what was tried and did not work, so that nobody tries it again.

## State
Where things stand: files, commands, data and systems by their exact paths, names, identifiers and values; what was changed, \
what is verified, what is known to be broken. Quote short pieces of code, output or errors exactly where they will be needed.

## Open work
Tool calls, processes and questions that still wait for something, and what they wait for.

## Next steps
In order, the very next action first.

Say only what the conversation says; where something is not known, say that. Write in the language of the user. Do not go on \
with the work, do not call tools, and do not address anybody: answer with the summary alone, in at most 1500 words.`;

/** The last words of the context that is summarised. */
export const ASK_FOR_SUMMARY: Item = Object.freeze({ type: "message", role: "user", content: ASK });

const HEAD = `The conversation before this point was too long to be kept. This summary takes its place; go on from it as if \
you had been there, without mentioning it.`;

const summaries = new WeakSet<Item>();

/** A summary as the model sees it. A user's message, since templates of many models take the system's only in front. */
export function summaryItem(summary: string): Item {
  const content = `${HEAD}\n\n<summary>\n${summary}\n</summary>`;
  const item: Item = Object.freeze({ type: "message", role: "user", content });
  summaries.add(item);
  return item;
}

/** Whether the item is a summary, and not what a user has said. */
export function isSummary(item: Item): boolean {
  return summaries.has(item);
}

/** The summary in what the model has answered: some models think aloud before it. */
export function summaryIn(text: string): string {
  return text.replace(/^\s*<think>[^]*?<\/think>/, "").trim();
}
