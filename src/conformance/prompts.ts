import type { Json } from "./types.ts";

/** What the cases say to the model: short, since they pay for it, and of a kind that any model copes with. */

export const SAY_OK = "Reply with exactly: ok";

/** An answer of some tokens, so that two at once would mix. */
export const SAY_NUMBERS = "Reply with exactly: one two three four five six seven eight nine ten";

/** An answer that takes a while. */
export const COUNT = "Count from 1 to 200 in words, one number per line. Do not stop early.";

/** An answer that takes longer still, since it has to be said word by word; for turns that are cut off on the way. */
export const RECITE = `Reply with exactly: ${Array.from({ length: 200 }, (_, index) => `line ${index + 1}`).join(", ")}`;

/** Words that say nothing, for measuring: about two tokens each. */
export function filler(words: number): string {
  const names = ["amber", "basalt", "cedar", "dune", "ember", "fjord", "grove", "harbor", "inlet", "juniper"];
  return Array.from({ length: words }, (_, index) => `${names[index % names.length]}${index % 7}`).join(" ");
}

/** The same small answer to a context that is made larger. What is to be ignored comes first, so that it is not repeated. */
export function sayOkAfter(words: number): string {
  return words === 0 ? SAY_OK : `Ignore these words: ${filler(words)}.\n\n${SAY_OK}`;
}

export function user(content: unknown): Json {
  return { type: "message", role: "user", content };
}

/** A tool with one argument that every model can fill in. */
export const WEATHER_TOOL: Json = {
  type: "function",
  name: "get_weather",
  description: "Tells the weather in a city right now.",
  parameters: {
    type: "object",
    properties: { city: { type: "string", description: "The city, such as Paris." } },
    required: ["city"],
    additionalProperties: false,
  },
  strict: true,
};

export const TIME_TOOL: Json = {
  type: "function",
  name: "get_time",
  description: "Tells the local time in a city right now.",
  parameters: {
    type: "object",
    properties: { city: { type: "string", description: "The city, such as Paris." } },
    required: ["city"],
    additionalProperties: false,
  },
  strict: true,
};

export const ASK_WEATHER = "What is the weather in Paris right now? Use the tool.";
