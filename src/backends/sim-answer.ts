import type { BackendEvent, BackendRequest } from "../core/ports.ts";
import { nothingToChoose, unknownToolChoice, unsupportedTool } from "../protocol/errors.ts";
import {
  type CallableTool,
  callableTools,
  distinctChoices,
  hostedTools,
  type Tool,
  ToolIndex,
} from "../protocol/tools.ts";
import { sampleSchema } from "./sim-arguments.ts";
import { type Context, contextAt, follow, headTokens } from "./sim-context.ts";
import { samplePattern } from "./sim-pattern.ts";
import { harmlessInput, harmlessTools, type SimTools } from "./sim-tools.ts";

export type ToolPolicy = {
  /** Which tools it may call where `tool_choice` leaves that to it. */
  readonly tools: SimTools;
  /** Rounds of tool calls after a user message, before it answers. */
  readonly rounds: number;
};

/** What the simulator says in one turn, decided from the request and its context alone. */
export type SimAnswer = {
  /** One token each, the announcement of a call included. */
  readonly tokens: readonly BackendEvent[];
  /** Usage and finish. */
  readonly end: readonly BackendEvent[];
};

/** Tokens of one answer, however much it is asked to repeat; beyond that it ends as at `max_output_tokens`. */
const MOST_TOKENS = 100_000;
/** Calls of one answer. */
const MOST_CALLS = 16;
/** Characters of a user's words that are looked at to quote their beginning. */
const QUOTED_FROM = 1024;

/** A user message of this form is answered with what follows it, and no tools are called. */
const REPLY_EXACTLY = /^Reply with exactly: (.*)$/s;

/** @throws ApiError `unsupported_tool`, `invalid_value`: `tool_choice` asks for a tool that is not there */
export function simAnswer(request: BackendRequest, policy: ToolPolicy): SimAnswer {
  const { settings } = request;
  const before = contextAt(request.parent, request.open);
  const context = follow(before, request.input, request.open);
  const tools = chooseTools(request, context, policy);
  const content =
    tools.length > 0
      ? tools.flatMap((tool, index) => callTokens(tool, index, context.calls + index))
      : textTokens("text.delta", answerText(request, context, policy));
  const { effort } = settings.reasoning;
  const reasoning = effort === null || effort === "none" ? [] : reasoningTokens(tools, context);
  const all = [...reasoning, ...content];
  const tokens = all.slice(0, Math.min(settings.max_output_tokens ?? MOST_TOKENS, MOST_TOKENS));
  const input = headTokens(settings.instructions, settings.tools) + context.tokens;
  const usage = {
    input_tokens: input,
    // As if the model server had kept the prefix that the parent left behind.
    input_tokens_details: { cached_tokens: before.tokens, cache_write_tokens: 0 },
    output_tokens: tokens.length,
    output_tokens_details: { reasoning_tokens: Math.min(reasoning.length, tokens.length) },
    total_tokens: input + tokens.length,
  };
  const reason = tokens.length < all.length ? "max_output_tokens" : "stop";
  return {
    tokens,
    end: [
      { type: "usage", usage },
      { type: "finish", reason },
    ],
  };
}

/** What the usage of an answer would say of its input. */
export function inputTokens({ parent, input, settings, open }: BackendRequest): number {
  return headTokens(settings.instructions, settings.tools) + follow(contextAt(parent, open), input, open).tokens;
}

/** The tools to call now; none when it is time to answer. */
function chooseTools(request: BackendRequest, context: Context, policy: ToolPolicy): readonly CallableTool[] {
  const { tools: offered, tool_choice: choice, parallel_tool_calls: isParallel } = request.settings;
  const usable = callableTools(offered);
  let allowed = usable;
  let mode = choice;
  if (typeof choice === "object" && choice.type === "allowed_tools") {
    const chooser = new Chooser(usable, offered);
    allowed = distinctChoices(choice["tools"] as readonly Tool[]).flatMap((named) => chooser.tools(named));
    mode = allowed.length === 0 ? "auto" : (choice["mode"] as "auto" | "required");
  } else if (typeof choice === "object") {
    const named = new Chooser(usable, offered).tools(choice);
    if (named.length > 0) return named.slice(0, MOST_CALLS);
    mode = "auto";
  }
  if (mode === "none") return [];
  const free =
    policy.tools === "all" ? { tools: allowed, rounds: policy.rounds } : harmlessTools(allowed, policy.rounds);
  if (mode === "auto") {
    const isAnswerTime = context.rounds >= free.rounds || REPLY_EXACTLY.test(context.lastUserText);
    if (isAnswerTime || policy.tools === "none" || free.tools.length === 0) return [];
  }
  // What the client demands is called; where it leaves a choice, what can do no harm.
  const choices = free.tools.length > 0 ? free.tools : allowed;
  const [first] = choices;
  if (first === undefined) throw nothingToChoose();
  const one = choices[context.calls % choices.length] ?? first;
  // Every second round shows a client what parallel calls look like.
  const two = choices[(context.calls + 1) % choices.length] ?? first;
  return isParallel !== false && context.rounds % 2 === 1 && two !== one ? [one, two] : [one];
}

/** Finds the tools that choices name. */
class Chooser {
  readonly #index: ToolIndex;
  readonly #hosted: ReadonlySet<string>;

  constructor(usable: readonly CallableTool[], offered: readonly Tool[]) {
    this.#index = new ToolIndex(usable);
    this.#hosted = new Set(hostedTools(offered));
  }

  /** None where the choice names a hosted tool, which nothing here can call. @throws ApiError */
  tools(named: Tool): readonly CallableTool[] {
    if (named.type === "namespace") return this.#index.inside(named["name"]);
    if (named.type !== "function" && named.type !== "custom") {
      if (this.#hosted.has(named.type)) return [];
      throw unsupportedTool(named.type, "tool_choice");
    }
    const tool = this.#index.find(named);
    if (tool === undefined) throw unknownToolChoice(String(named["name"]));
    return [tool];
  }
}

function callTokens(called: CallableTool, key: number, variant: number): readonly BackendEvent[] {
  const { kind, name, namespace, tool } = called;
  const harmless = harmlessInput(called);
  const text =
    kind === "custom"
      ? typeof harmless === "string"
        ? harmless
        : customInput(tool["format"], variant)
      : JSON.stringify(harmless ?? sampleSchema(tool["parameters"] ?? { type: "object" }, variant) ?? {});
  const deltas = words(text).map((delta): BackendEvent => ({ type: "call.delta", key, delta }));
  const call = { type: "call", key, kind, callId: null, name } as const;
  return [namespace === null ? call : { ...call, namespace }, ...deltas];
}

/** Plain text; it keeps to a grammar that is a regular expression, but knows no other kind. */
function customInput(format: unknown, variant: number): string {
  const { syntax, definition } = (format ?? {}) as { readonly syntax?: unknown; readonly definition?: unknown };
  const matching = syntax === "regex" && typeof definition === "string" ? samplePattern(definition) : undefined;
  return matching ?? `example input ${variant + 1}`;
}

function answerText(request: BackendRequest, context: Context, policy: ToolPolicy): string {
  const { format } = request.settings.text;
  const { items, toolOutputs, lastUserText } = context;
  if (format.type === "json_schema") return JSON.stringify(sampleSchema(format["schema"]) ?? {});
  if (format.type === "json_object") {
    const said = shorten(lastUserText);
    return JSON.stringify({ simulator: "turnwire", items, tool_outputs: toolOutputs, last_user_text: said });
  }
  const exact = REPLY_EXACTLY.exec(lastUserText)?.[1];
  if (exact !== undefined) return exact;
  const outputs = toolOutputs === 0 ? "" : `, ${toolOutputs} of them tool outputs`;
  const said = lastUserText === "" ? "No user has said anything yet." : `You said: "${shorten(lastUserText)}"`;
  const about = `This is Turnwire's simulator, not a model. The context has ${count(items, "item")}${outputs}. ${said}`;
  return `${about}${uncalled(request, context, policy)}`;
}

/** Why tools that were offered were not called, where the reason is not plain. */
function uncalled({ settings }: BackendRequest, context: Context, policy: ToolPolicy): string {
  const offered = callableTools(settings.tools).length;
  const isPlain = offered === 0 || context.calls > 0 || settings.tool_choice !== "auto" || policy.rounds === 0;
  if (isPlain || policy.tools === "all") return "";
  const why = policy.tools === "none" ? "calls none" : "calls only tools whose name or description says that they read";
  return ` You offered ${count(offered, "tool")}; the simulator ${why} (--sim-tools ${policy.tools}).`;
}

function reasoningTokens(tools: readonly CallableTool[], context: Context): readonly BackendEvent[] {
  const names = tools.map(({ name }) => name).join(" and ");
  const seen = `${count(context.items, "item")} in the context, ${count(context.rounds, "round")} of tool calls done.`;
  const thought = names === "" ? `${seen} Time to answer.` : `${seen} Next I call ${names}.`;
  return textTokens("reasoning.delta", thought);
}

function textTokens(type: "text.delta" | "reasoning.delta", text: string): readonly BackendEvent[] {
  return words(text).map((delta) => ({ type, delta }));
}

/** Cuts a text into tokens of the simulator's: a word, or the beginning of a long one, with the space before it. */
function words(text: string): readonly string[] {
  const found: string[] = [];
  for (const [word] of text.matchAll(/\s*(?:[\p{L}\p{N}]{1,8}|[^\s\p{L}\p{N}])|\s+/gu)) {
    found.push(word);
    // One more than may be said: so it is known that there is more.
    if (found.length > MOST_TOKENS) break;
  }
  return found;
}

function shorten(text: string): string {
  const line = text.slice(0, QUOTED_FROM).replaceAll(/\s+/g, " ").trim();
  if (line.length <= 80) return line;
  return `${line.slice(0, 79).replace(/[\ud800-\udbff]$/, "")}…`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
