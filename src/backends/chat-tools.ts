import { createHash } from "node:crypto";
import { type CallableTool, callableTools, hostedTools, type Tool, toolKey } from "../protocol/tools.ts";
import { type ClientTool, clientTool } from "./client-tools.ts";

/** Tools as chat functions. Chat knows neither namespaces nor custom tools, so both take the form of a function. */
export type ChatTools = {
  readonly functions: readonly ChatFunction[];
  /** The JSON array of all functions; null when there are none. */
  readonly json: string | null;
  /** What stands behind each function, by the function's name. */
  readonly behind: ReadonlyMap<string, CallableTool | ClientTool>;
  /** The functions whose name is not what `chatName` makes of them, since another tool has that name: name by `toolKey`. */
  readonly renamed: ReadonlyMap<string, string>;
  /** Types of the tools that were left out. */
  readonly omitted: readonly string[];
};

type ChatFunction = {
  readonly type: "function";
  readonly function: { readonly name: string; readonly [field: string]: unknown };
};

/** Made once for each list of tools. */
const memo = new WeakMap<readonly Tool[], ChatTools>();

export function chatTools(tools: readonly Tool[]): ChatTools {
  let mapped = memo.get(tools);
  if (mapped === undefined) {
    mapped = mapTools(tools);
    memo.set(tools, mapped);
  }
  return mapped;
}

function mapTools(tools: readonly Tool[]): ChatTools {
  const callable = callableTools(tools);
  const behind = new Map<string, CallableTool | ClientTool>();
  const renamed = new Map<string, string>();
  // A name that a client gave outright is never taken from it, wherever it stands in the list.
  const given = new Set(callable.flatMap(({ name, namespace }) => (namespace === null ? name : [])));
  for (const tool of callable) {
    const { name, namespace } = tool;
    let own = chatName(namespace, name);
    if (behind.has(own) || (namespace !== null && given.has(own))) {
      own = shortened(own, namespace, name);
      renamed.set(toolKey(namespace, name), own);
    }
    behind.set(own, tool);
  }
  const clients = new Map(tools.flatMap((tool) => clientTool(tool) ?? []).map((tool) => [tool.type as string, tool]));
  for (const [type, tool] of clients) {
    // Its calls in the history have this name and no other, so a function of the same name leaves no place for it.
    if (behind.has(type)) clients.delete(type);
    else behind.set(type, tool);
  }
  const functions = [...behind].map(([name, tool]) => chatFunction(name, tool));
  const json = functions.length === 0 ? null : JSON.stringify(functions);
  return { functions, json, behind, renamed, omitted: hostedTools(tools).filter((type) => !clients.has(type)) };
}

/** What chat servers take for the name of a function. */
const CHAT_NAME = /^[a-zA-Z0-9_-]{1,64}$/;
const LONGEST_NAME = 64;

/**
 * The name of a tool in chat, from its name and its namespace alone: calls in the history of a conversation have it too,
 * when nobody knows the tools any more. A name without a namespace stays as it is.
 */
export function chatName(namespace: string | null | undefined, name: string): string {
  if (namespace === null || namespace === undefined || namespace === "") return name;
  const joined = namespace.endsWith("__") ? `${namespace}${name}` : `${namespace}__${name}`;
  return CHAT_NAME.test(joined) ? joined : shortened(joined, namespace, name);
}

/** A name that fits and that no other tool has: the end of it, where tools differ, and a digest of all of it. */
function shortened(joined: string, namespace: string | null, name: string): string {
  const digest = createHash("sha256").update(toolKey(namespace, name)).digest("hex").slice(0, 8);
  return `${joined.replaceAll(/[^a-zA-Z0-9_-]/g, "_").slice(digest.length + 1 - LONGEST_NAME)}_${digest}`;
}

function chatFunction(name: string, behind: CallableTool | ClientTool): ChatFunction {
  if (behind.kind === "client") {
    const { description, parameters } = behind;
    return { type: "function", function: { name, description, parameters } };
  }
  const { kind, tool } = behind;
  const own = (tool["description"] as string | null | undefined) ?? undefined;
  const description = tool["async"] === true ? inLines(own, RUNS_ASYNC) : own;
  if (kind === "function") {
    const parameters = tool["parameters"] ?? { type: "object", properties: {} };
    const strict = tool["strict"] === true ? true : undefined;
    return { type: "function", function: { name, description, parameters, strict } };
  }
  const parameters = {
    type: "object",
    properties: { input: { type: "string", description: "The input of the tool, as plain text." } },
    required: ["input"],
    additionalProperties: false,
  };
  return { type: "function", function: { name, description: describeCustom(description, tool["format"]), parameters } };
}

/** A grammar cannot bind a model that only knows functions, but it can be told. */
function describeCustom(description: string | undefined, format: unknown): string | undefined {
  const { type, syntax, definition } = (format ?? {}) as { type?: unknown; syntax?: unknown; definition?: unknown };
  if (type !== "grammar" || typeof definition !== "string") return description;
  const grammar = `The input must match this ${typeof syntax === "string" ? `${syntax} ` : ""}grammar:\n${definition}`;
  return inLines(description, grammar);
}

/** What a model has to know of an async tool before it calls it. */
const RUNS_ASYNC =
  "This tool is asynchronous: its output may come in a later message. Do not wait for it, and do not call it again for the same thing.";

function inLines(...texts: readonly (string | undefined)[]): string {
  return texts.filter((text) => text !== undefined).join("\n\n");
}
