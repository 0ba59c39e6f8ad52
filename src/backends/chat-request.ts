import type { BackendRequest } from "../core/ports.ts";
import { nothingToChoose, unknownToolChoice, unsupportedTool } from "../protocol/errors.ts";
import {
  type CallableTool,
  distinctChoices,
  type Tool,
  type ToolChoice,
  ToolIndex,
  toolKey,
} from "../protocol/tools.ts";
import { effortIn, formatIn, offeredTools, offerIn } from "./dialect-fields.ts";
import type { Dialect } from "./dialect.ts";
import { checkMcp, type McpTools } from "./mcp-tools.ts";
import { isSettable, passFields } from "./extra-fields.ts";
import { type ChatTools, chatTools, chatName } from "./chat-tools.ts";

/** The head of a chat-completions request: everything but the messages. */

export type ChatRequestOptions = {
  /** Refuse tools that chat servers cannot run, instead of leaving them out. */
  readonly strictTools: boolean;
  readonly mcpTools: McpTools;
  /** The operator's fields of every request, whatever the client says. */
  readonly extraBody: { readonly [field: string]: unknown };
  /** The operator's fields of requests that say nothing else. */
  readonly defaultBody: { readonly [field: string]: unknown };
  /** Fields that clients may send besides those of sampling. */
  readonly allowFields: readonly string[];
};

export type ChatHead = {
  /** The request's JSON up to and including `"messages":[`. */
  readonly json: string;
  /** What comes before the messages: the instructions, and what the dialect has to say in words; null for nothing. */
  readonly instructions: string | null;
  readonly tools: ChatTools;
  /** Names of the tools that the model may call; null when it may call any that it was given. */
  readonly allowed: ReadonlySet<string> | null;
  /** Fields of the client that do not reach the model server, by names that may be logged. */
  readonly dropped: readonly string[];
};

/** @throws ApiError `unsupported_tool`, `invalid_value`: a tool is asked for that may not be left out, or that is not there */
export function chatHead(request: BackendRequest, options: ChatRequestOptions, dialect: Dialect): ChatHead {
  const { settings } = request;
  const tools = chatTools(settings.tools);
  const [omitted] = tools.omitted;
  if (options.strictTools && omitted !== undefined) throw unsupportedTool(omitted, "tools");
  checkMcp(settings.tools, options.mcpTools);
  const { choice, only } = chatToolChoice(settings.tool_choice, tools, options);
  const offer = offerIn(dialect, choice, only);
  const json = offeredTools(tools, offer.only, dialect);
  const hasTools = json !== null;
  if (!hasTools && demandsTool(settings.tool_choice)) throw nothingToChoose();
  const format = formatIn(dialect, settings.text.format);
  const { passed, dropped } = passFields(settings.extra, options.allowFields);
  const known: Record<string, unknown> = {
    stream_options: { include_usage: true },
    ...given({
      tool_choice: hasTools ? offer.choice : null,
      parallel_tool_calls: hasTools ? settings.parallel_tool_calls : null,
      response_format: format.field,
      reasoning_effort: effortIn(dialect, settings.reasoning.effort),
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
    ...settable(options.defaultBody),
    ...passed,
    model: request.model,
    stream: true,
    ...known,
    ...settable(options.extraBody),
  };
  let head = JSON.stringify(body).slice(0, -1);
  if (json !== null) head += `,"tools":${json}`;
  head += ',"messages":[';
  const said = [settings.instructions, format.words].filter((text) => text !== null);
  return { json: head, instructions: said.length === 0 ? null : said.join("\n\n"), tools, allowed: only, dropped };
}

/** Only what the client has said: of the rest the configuration, or the model server, has its own idea. */
function given(fields: { readonly [field: string]: unknown }): { readonly [field: string]: unknown } {
  const some: Record<string, unknown> = {};
  for (const field in fields) if (fields[field] !== null && fields[field] !== undefined) some[field] = fields[field];
  return some;
}

function settable(fields: { readonly [field: string]: unknown }): { readonly [field: string]: unknown } {
  return Object.fromEntries(Object.entries(fields).filter(([field]) => isSettable(field)));
}

type ChatToolChoice = {
  /** Absent where it is the default. */
  readonly choice: string | object | undefined;
  /** The functions that `allowed_tools` leaves; null when it leaves all. */
  readonly only: ReadonlySet<string> | null;
};

/** Whether the model may not do without a call. */
function demandsTool(choice: ToolChoice): boolean {
  if (typeof choice === "string") return choice === "required";
  return choice.type !== "allowed_tools" || choice["mode"] === "required";
}

const ANY_TOOL: ChatToolChoice = { choice: undefined, only: null };

function chatToolChoice(choice: ToolChoice, tools: ChatTools, options: ChatRequestOptions): ChatToolChoice {
  if (typeof choice === "string") return { choice: choice === "auto" ? undefined : choice, only: null };
  const chooser = new Chooser(tools, options);
  if (choice.type === "allowed_tools") {
    const allowed = distinctChoices(choice["tools"] as readonly Tool[]).flatMap((named) => chooser.functions(named));
    const mode = allowed.length === 0 || choice["mode"] === "auto" ? undefined : (choice["mode"] as string);
    return { choice: mode, only: new Set(allowed) };
  }
  const [name] = chooser.functions(choice);
  // What was left out cannot be called; the model does what it can.
  return name === undefined ? ANY_TOOL : { choice: { type: "function", function: { name } }, only: null };
}

/** Finds the functions that choices name. */
class Chooser {
  readonly #tools: ChatTools;
  readonly #strictTools: boolean;
  readonly #index: ToolIndex;
  readonly #omitted: ReadonlySet<string>;

  constructor(tools: ChatTools, { strictTools }: ChatRequestOptions) {
    this.#tools = tools;
    this.#strictTools = strictTools;
    this.#index = new ToolIndex([...tools.behind.values()].filter((tool) => tool.kind !== "client"));
    this.#omitted = new Set(tools.omitted);
  }

  /** One function, all of a namespace, or none where the choice names a tool that was left out. @throws ApiError */
  functions(named: Tool): readonly string[] {
    if (named.type === "namespace") {
      const inside = this.#index.inside(named["name"]);
      if (inside.length === 0) throw unknownToolChoice(String(named["name"]));
      return inside.map((tool) => this.#nameOf(tool));
    }
    if (named.type !== "function" && named.type !== "custom") {
      if (this.#tools.behind.get(named.type)?.kind === "client") return [named.type];
      if (this.#strictTools || !this.#omitted.has(named.type)) throw unsupportedTool(named.type, "tool_choice");
      return [];
    }
    const tool = this.#index.find(named);
    if (tool === undefined) throw unknownToolChoice(String(named["name"]));
    return [this.#nameOf(tool)];
  }

  #nameOf({ namespace, name }: CallableTool): string {
    return this.#tools.renamed.get(toolKey(namespace, name)) ?? chatName(namespace, name);
  }
}
