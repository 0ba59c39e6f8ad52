import type { BackendRequest } from "../core/ports.ts";
import { unknownToolChoice, unsupportedTool } from "../protocol/errors.ts";
import type { TextFormat } from "../protocol/items.ts";
import { findTool, type Tool, type ToolChoice } from "../protocol/tools.ts";
import type { Dialect } from "./dialect.ts";
import { type ChatTools, chatTools, keyOf, chatName } from "./chat-tools.ts";

/** The head of a chat-completions request: everything but the messages. */

export type ChatRequestOptions = {
  /** Refuse tools that chat servers cannot run, instead of leaving them out. */
  readonly strictTools: boolean;
  /** Fields of every request that says nothing else. */
  readonly extraBody: { readonly [field: string]: unknown };
};

export type ChatHead = {
  /** The request's JSON up to and including `"messages":[`. */
  readonly json: string;
  /** What comes before the messages: the instructions, and what the dialect has to say in words; null for nothing. */
  readonly instructions: string | null;
  readonly tools: ChatTools;
  /** Names of the tools that the model may call; null when it may call any that it was given. */
  readonly allowed: ReadonlySet<string> | null;
};

/** @throws ApiError `unsupported_tool`, `invalid_value`: a tool is asked for that may not be left out, or that is not there */
export function chatHead(request: BackendRequest, options: ChatRequestOptions, dialect: Dialect): ChatHead {
  const { settings } = request;
  const tools = chatTools(settings.tools);
  const [omitted] = tools.omitted;
  if (options.strictTools && omitted !== undefined) throw unsupportedTool(omitted, "tools");
  const { choice, only } = chatToolChoice(settings.tool_choice, tools, options);
  const offer = offerIn(dialect, choice, only);
  const json = offeredTools(tools, offer.only, dialect);
  const hasTools = json !== null;
  const format = formatIn(dialect, settings.text.format);
  const known: Record<string, unknown> = {
    stream_options: { include_usage: true },
    ...given({
      tool_choice: hasTools ? offer.choice : null,
      parallel_tool_calls: hasTools ? settings.parallel_tool_calls : null,
      response_format: format.field,
      reasoning_effort: effortIn(dialect, settings.reasoning?.effort),
      temperature: settings.temperature,
      top_p: settings.top_p,
      presence_penalty: settings.presence_penalty,
      frequency_penalty: settings.frequency_penalty,
      logprobs: settings.logprobs || null,
      top_logprobs: settings.logprobs ? settings.top_logprobs : null,
      user: settings.user,
      [dialect.maxTokens]: settings.max_output_tokens,
    }),
  };
  for (const field of dialect.omit) delete known[field];
  const body: Record<string, unknown> = {
    ...options.extraBody,
    ...withoutReserved(settings.extra),
    model: request.model,
    stream: true,
    ...known,
  };
  let head = JSON.stringify(body).slice(0, -1);
  if (json !== null) head += `,"tools":${json}`;
  head += ',"messages":[';
  const said = [settings.instructions, format.words].filter((text) => text !== null);
  return { json: head, instructions: said.length === 0 ? null : said.join("\n\n"), tools, allowed: only };
}

/** Only what the client has said: of the rest the configuration, or the model server, has its own idea. */
function given(fields: { readonly [field: string]: unknown }): { readonly [field: string]: unknown } {
  const some: Record<string, unknown> = {};
  for (const field in fields) if (fields[field] !== null && fields[field] !== undefined) some[field] = fields[field];
  return some;
}

/** Fields that would break the shape of the answer. */
const RESERVED = new Set(["messages", "n", "functions", "function_call"]);

function withoutReserved(extra: { readonly [field: string]: unknown }): { readonly [field: string]: unknown } {
  return Object.fromEntries(Object.entries(extra).filter(([field]) => !RESERVED.has(field)));
}

type ChatToolChoice = {
  /** Absent where it is the default. */
  readonly choice: string | object | undefined;
  /** The functions that `allowed_tools` leaves; null when it leaves all. */
  readonly only: ReadonlySet<string> | null;
};

const ANY_TOOL: ChatToolChoice = { choice: undefined, only: null };

function chatToolChoice(choice: ToolChoice, tools: ChatTools, options: ChatRequestOptions): ChatToolChoice {
  if (typeof choice === "string") return { choice: choice === "auto" ? undefined : choice, only: null };
  if (choice.type === "allowed_tools") {
    const allowed = (choice["tools"] as readonly Tool[]).flatMap((named) => chosen(named, tools, options));
    const mode = allowed.length === 0 || choice["mode"] === "auto" ? undefined : (choice["mode"] as string);
    return { choice: mode, only: new Set(allowed) };
  }
  const [name] = chosen(choice, tools, options);
  // What was left out cannot be called; the model does what it can.
  return name === undefined ? ANY_TOOL : { choice: { type: "function", function: { name } }, only: null };
}

/** The functions that a choice names: one, all of a namespace, or none where it names a tool that was left out. */
function chosen(named: Tool, tools: ChatTools, { strictTools }: ChatRequestOptions): readonly string[] {
  if (named.type === "namespace") {
    const inside = [...tools.behind].flatMap(([name, tool]) =>
      tool.kind !== "client" && tool.namespace === named["name"] ? name : [],
    );
    if (inside.length === 0) throw unknownToolChoice(String(named["name"]));
    return inside;
  }
  if (named.type !== "function" && named.type !== "custom") {
    if (tools.behind.get(named.type)?.kind === "client") return [named.type];
    if (strictTools || !tools.omitted.includes(named.type)) throw unsupportedTool(named.type, "tool_choice");
    return [];
  }
  const own = [...tools.behind.values()].filter((tool) => tool.kind !== "client");
  const tool = findTool(own, named);
  if (tool === undefined) throw unknownToolChoice(String(named["name"]));
  return [tools.renamed.get(keyOf(tool.namespace, tool.name)) ?? chatName(tool.namespace, tool.name)];
}

type Offer = { readonly choice: string | object | undefined; readonly only: ReadonlySet<string> | null };

/** A server that takes no choice by name is offered nothing but what is chosen. */
function offerIn({ toolChoice }: Dialect, choice: string | object | undefined, only: Offer["only"]): Offer {
  if (toolChoice === "named") return { choice, only };
  if (choice === "none") return { choice: undefined, only: new Set() };
  if (typeof choice !== "object") return { choice, only };
  const { function: named } = choice as { readonly function: { readonly name: string } };
  return { choice: "required", only: new Set([named.name]) };
}

/** The JSON of the tools, of which only some may be offered; null for none. */
function offeredTools(tools: ChatTools, only: Offer["only"], { omit }: Dialect): string | null {
  const isWithoutStrict = omit.includes("strict");
  if (only === null && !isWithoutStrict) return tools.json;
  const offered = tools.functions.filter((entry) => only === null || only.has(entry.function.name));
  if (offered.length === 0) return null;
  if (!isWithoutStrict) return JSON.stringify(offered);
  return JSON.stringify(offered.map((entry) => ({ ...entry, function: { ...entry.function, strict: undefined } })));
}

const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const;

/** The word for effort that the server knows and that comes nearest. */
function effortIn({ efforts }: Dialect, effort: string | null | undefined): string | null | undefined {
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

function formatIn({ responseFormat, omit }: Dialect, format: TextFormat): Format {
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
