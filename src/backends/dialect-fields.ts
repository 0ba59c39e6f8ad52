import type { TextFormat } from "../protocol/items.ts";
import type { ChatTools } from "./chat-tools.ts";
import type { Dialect } from "./dialect.ts";

/** Fields of a request that differ by dialect: tools and their choice, effort, and the response format. */

type Offer = { readonly choice: string | object | undefined; readonly only: ReadonlySet<string> | null };

/** A server that takes no choice by name is offered nothing but what is chosen. */
export function offerIn({ toolChoice }: Dialect, choice: string | object | undefined, only: Offer["only"]): Offer {
  if (toolChoice === "named") return { choice, only };
  if (choice === "none") return { choice: undefined, only: new Set() };
  if (typeof choice !== "object") return { choice, only };
  const { function: named } = choice as { readonly function: { readonly name: string } };
  return { choice: "required", only: new Set([named.name]) };
}

/** The JSON of the tools, of which only some may be offered; null for none. */
export function offeredTools(tools: ChatTools, only: Offer["only"], { omit }: Dialect): string | null {
  const isWithoutStrict = omit.includes("strict");
  if (only === null && !isWithoutStrict) return tools.json;
  const offered = tools.functions.filter((entry) => only === null || only.has(entry.function.name));
  if (offered.length === 0) return null;
  if (!isWithoutStrict) return JSON.stringify(offered);
  return JSON.stringify(offered.map((entry) => ({ ...entry, function: { ...entry.function, strict: undefined } })));
}

const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const;

/** The word for effort that the server knows and that comes nearest. */
export function effortIn({ efforts }: Dialect, effort: string | null | undefined): string | null | undefined {
  if (efforts === null || efforts.length === 0 || effort === null || effort === undefined) return effort;
  if (efforts.includes(effort)) return effort;
  const distance = (word: string): number => Math.abs(placeOf(word) - placeOf(effort));
  return efforts.toSorted((one, other) => distance(one) - distance(other))[0];
}

function placeOf(effort: string): number {
  return EFFORTS.findIndex((word) => word === effort);
}

type Format = {
  readonly field: object | undefined;
  /** The rest of the format in words, where the server does not know it. */
  readonly words: string | null;
};

export function formatIn({ responseFormat, omit }: Dialect, format: TextFormat): Format {
  if (format.type === "text") return { field: undefined, words: null };
  if (format.type === "json_object") {
    if (responseFormat !== "text") return { field: { type: "json_object" }, words: null };
    return { field: undefined, words: "Answer with one JSON object and nothing else." };
  }
  const { type, ...schema } = format;
  if (responseFormat === "json_schema") {
    return {
      field: { type, json_schema: omit.includes("strict") ? { ...schema, strict: undefined } : schema },
      words: null,
    };
  }
  const words = `Answer with one JSON object and nothing else. It must match this JSON schema:\n${JSON.stringify(format["schema"])}`;
  return { field: responseFormat === "json_object" ? { type: "json_object" } : undefined, words };
}
