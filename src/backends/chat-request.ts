import type { BackendRequest } from "../core/ports.ts";
import { unknownToolChoice, unsupportedTool } from "../protocol/errors.ts";
import type { TextFormat, Tool, ToolChoice } from "../protocol/request.ts";

/** The head of a chat-completions request: everything but the messages. */

export type ChatRequestOptions = {
  /** What the server calls the bound of its output; most know `max_tokens`, OpenAI wants `max_completion_tokens`. */
  readonly maxTokensField: "max_tokens" | "max_completion_tokens";
  /** Refuse tools that chat servers cannot run, instead of leaving them out. */
  readonly strictTools: boolean;
  /** Fields of every request that says nothing else. */
  readonly extraBody: { readonly [field: string]: unknown };
};

/** Tools as chat functions, made once for each list of tools. */
type ChatTools = {
  /** The JSON array of functions; null when there are none. */
  readonly json: string | null;
  readonly names: ReadonlySet<string>;
  /** Custom tools, which chat servers see as functions with one string. */
  readonly customNames: ReadonlySet<string>;
  /** Types of the tools that were left out. */
  readonly omitted: readonly string[];
};

const memo = new WeakMap<readonly Tool[], ChatTools>();

function chatTools(tools: readonly Tool[]): ChatTools {
  let mapped = memo.get(tools);
  if (mapped === undefined) {
    mapped = mapTools(tools);
    memo.set(tools, mapped);
  }
  return mapped;
}

function mapTools(tools: readonly Tool[]): ChatTools {
  const functions = tools.flatMap((tool) => chatFunction(tool) ?? []);
  return {
    json: functions.length === 0 ? null : JSON.stringify(functions),
    names: new Set(functions.map((entry) => entry.function.name)),
    customNames: new Set(tools.filter((tool) => tool.type === "custom").map((tool) => tool["name"] as string)),
    omitted: [...new Set(tools.filter((tool) => chatFunction(tool) === undefined).map((tool) => tool.type))],
  };
}

type ChatFunction = {
  readonly type: "function";
  readonly function: { readonly name: string; readonly [field: string]: unknown };
};

function chatFunction(tool: Tool): ChatFunction | undefined {
  const name = tool["name"] as string;
  const description = (tool["description"] as string | null | undefined) ?? undefined;
  if (tool.type === "function") {
    const parameters = tool["parameters"] ?? { type: "object", properties: {} };
    const strict = tool["strict"] === true ? true : undefined;
    return { type: "function", function: { name, description, parameters, strict } };
  }
  if (tool.type === "custom") {
    const parameters = {
      type: "object",
      properties: { input: { type: "string", description: "The input of the tool, as plain text." } },
      required: ["input"],
      additionalProperties: false,
    };
    return {
      type: "function",
      function: { name, description: describeCustom(description, tool["format"]), parameters },
    };
  }
  return undefined;
}

/** A grammar cannot bind a model that only knows functions, but it can be told. */
function describeCustom(description: string | undefined, format: unknown): string | undefined {
  const { type, syntax, definition } = (format ?? {}) as { type?: unknown; syntax?: unknown; definition?: unknown };
  if (type !== "grammar" || typeof definition !== "string") return description;
  const grammar = `The input must match this ${typeof syntax === "string" ? `${syntax} ` : ""}grammar:\n${definition}`;
  return description === undefined ? grammar : `${description}\n\n${grammar}`;
}

export type ChatHead = {
  /** The request's JSON up to and including `"messages":[`. */
  readonly json: string;
  readonly tools: ChatTools;
  /** Names of the tools that the model may call; null when it may call any that it was given. */
  readonly allowed: ReadonlySet<string> | null;
};

/** @throws ApiError `unsupported_tool`, `invalid_value`: a tool is asked for that no chat server can run, or that is not there */
export function chatHead(request: BackendRequest, options: ChatRequestOptions): ChatHead {
  const { settings } = request;
  let tools = chatTools(settings.tools);
  const [omitted] = tools.omitted;
  if (options.strictTools && omitted !== undefined) throw unsupportedTool(omitted, "tools");
  const { choice, only } = chatToolChoice(settings.tool_choice, tools);
  if (only !== null) tools = mapTools(settings.tools.filter((tool) => only.has(tool["name"] as string)));
  const hasTools = tools.json !== null;
  const body: Record<string, unknown> = {
    ...options.extraBody,
    ...withoutReserved(settings.extra),
    model: request.model,
    stream: true,
    stream_options: { include_usage: true },
    ...given({
      tool_choice: hasTools ? choice : null,
      parallel_tool_calls: hasTools ? settings.parallel_tool_calls : null,
      response_format: responseFormat(settings.text.format),
      reasoning_effort: settings.reasoning?.effort,
      temperature: settings.temperature,
      top_p: settings.top_p,
      presence_penalty: settings.presence_penalty,
      frequency_penalty: settings.frequency_penalty,
      user: settings.user,
      [options.maxTokensField]: settings.max_output_tokens,
    }),
  };
  let json = JSON.stringify(body).slice(0, -1);
  if (tools.json !== null) json += `,"tools":${tools.json}`;
  json += ',"messages":[';
  if (settings.instructions !== null) json += JSON.stringify({ role: "system", content: settings.instructions });
  return { json, tools, allowed: only };
}

/** Only what the client has said: of the rest the configuration, or the model server, has its own idea. */
function given(fields: { readonly [field: string]: unknown }): { readonly [field: string]: unknown } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));
}

/** Fields that would break the shape of the answer. */
const RESERVED = new Set(["messages", "n", "functions", "function_call"]);

function withoutReserved(extra: { readonly [field: string]: unknown }): { readonly [field: string]: unknown } {
  return Object.fromEntries(Object.entries(extra).filter(([field]) => !RESERVED.has(field)));
}

type ChatToolChoice = {
  /** Absent where it is the default. */
  readonly choice: string | object | undefined;
  /** The names that `allowed_tools` leaves; null when it leaves all. */
  readonly only: ReadonlySet<string> | null;
};

function chatToolChoice(choice: ToolChoice, tools: ChatTools): ChatToolChoice {
  if (typeof choice === "string") return { choice: choice === "auto" ? undefined : choice, only: null };
  if (choice.type === "function" || choice.type === "custom") {
    const name = choice["name"] as string;
    if (!tools.names.has(name)) throw unknownToolChoice(name);
    return { choice: { type: "function", function: { name } }, only: null };
  }
  if (choice.type !== "allowed_tools") throw unsupportedTool(choice.type, "tool_choice");
  const mode = choice["mode"] as string;
  const only = new Set<string>();
  for (const tool of choice["tools"] as readonly Tool[]) {
    const { name } = tool;
    if (typeof name !== "string") throw unsupportedTool(tool.type, "tool_choice");
    if (!tools.names.has(name)) throw unknownToolChoice(name);
    only.add(name);
  }
  return { choice: mode === "auto" ? undefined : mode, only };
}

function responseFormat(format: TextFormat): object | undefined {
  if (format.type === "text") return undefined;
  if (format.type === "json_object") return { type: "json_object" };
  const { type, ...schema } = format;
  return { type, json_schema: schema };
}
