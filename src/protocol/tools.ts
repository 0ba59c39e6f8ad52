import Type from "typebox";
import { ApiError, unknownParameter } from "./errors.ts";
import { compileAll, nullable, oneOf } from "./validation.ts";

/** Tools as clients declare them, in a request or in an item, and the choice among them. */

/** A tool as the client declared it. */
export type Tool = { readonly type: string; readonly [field: string]: unknown };
export type ToolChoice = "auto" | "none" | "required" | { readonly type: string; readonly [field: string]: unknown };

/** A tool that the client runs: a function with JSON arguments, or a custom tool with free text. */
export type CallableTool = {
  readonly kind: "function" | "custom";
  readonly name: string;
  /** The namespace that it belongs to; null outside of all. */
  readonly namespace: string | null;
  readonly tool: Tool;
};

/** Any tool; what it has to look like is a matter of its type. */
export const ToolSchema = Type.Object({ type: Type.String() });
const NameSchema = Type.Object({ name: Type.String({ minLength: 1 }) });
const checkTool = compileAll({
  function: Type.Interface([NameSchema], {
    parameters: nullable(Type.Object({})),
    description: nullable(Type.String()),
    strict: nullable(Type.Boolean()),
    async: nullable(Type.Boolean()),
  }),
  custom: Type.Interface([NameSchema], { async: nullable(Type.Boolean()) }),
  namespace: Type.Interface([NameSchema], { tools: Type.Array(ToolSchema) }),
});
const checkChoice = compileAll({
  function: NameSchema,
  custom: NameSchema,
  allowed_tools: Type.Object({ mode: oneOf("auto", "required"), tools: Type.Array(ToolSchema) }),
});

const written = new WeakMap<readonly Tool[], string>();

/** The list as JSON, serialised once for as long as it is there. */
export function toolsJson(tools: readonly Tool[]): string {
  let json = written.get(tools);
  if (json === undefined) written.set(tools, (json = JSON.stringify(tools)));
  return json;
}

/** @throws ApiError that names the field at fault */
export function checkTools(tools: readonly Tool[], path: string): void {
  for (const [index, tool] of tools.entries()) {
    const at = `${path}[${index}]`;
    checkTool.get(tool.type)?.(tool, at);
    // Whether a call has to be answered is said of the tools that the client runs, each by itself.
    if (tool["async"] !== undefined && tool.type !== "function" && tool.type !== "custom") {
      throw unknownParameter(`${at}.async`);
    }
    if (tool.type !== "namespace") continue;
    const inner = tool["tools"] as readonly Tool[];
    const nested = inner.findIndex(({ type }) => type === "namespace");
    if (nested !== -1) {
      const param = `${at}.tools[${nested}].type`;
      throw new ApiError("invalid_value", "A namespace cannot have a namespace among its tools.", { param });
    }
    checkTools(inner, `${at}.tools`);
  }
}

/** @throws ApiError that names the field at fault */
export function checkToolChoice(choice: ToolChoice): void {
  if (typeof choice === "object") checkChoice.get(choice.type)?.(choice, "tool_choice");
}

/** A response shows the tools of its request, and of a function always all of these fields. */
export function showTool(tool: Tool): Tool {
  return tool.type === "function" ? { description: null, parameters: null, strict: null, ...tool } : tool;
}

/** Names a tool among those of all namespaces. */
export function toolKey(namespace: string | null | undefined, name: string): string {
  return JSON.stringify([namespace ?? null, name]);
}

/**
 * The tools that a client runs, those inside of namespaces included, in the order of their declaration. What was declared
 * again stands in its first place, as it was declared last.
 */
export function callableTools(tools: readonly Tool[]): readonly CallableTool[] {
  const found = new Map<string, CallableTool>();
  const add = (tool: Tool, namespace: string | null): void => {
    if (tool.type !== "function" && tool.type !== "custom") return;
    const name = tool["name"] as string;
    found.set(toolKey(namespace, name), { kind: tool.type, name, namespace, tool });
  };
  for (const tool of tools) {
    if (tool.type !== "namespace") add(tool, null);
    else for (const inner of tool["tools"] as readonly Tool[]) add(inner, tool["name"] as string);
  }
  return [...found.values()];
}

/** The types of the tools that no client runs; each once. */
export function hostedTools(tools: readonly Tool[]): readonly string[] {
  const types = tools.flatMap((tool) =>
    tool.type === "namespace" ? hostedTools(tool["tools"] as readonly Tool[]) : [tool.type],
  );
  return [...new Set(types)].filter((type) => type !== "function" && type !== "custom");
}

/** Finds the tools that a choice names, each in the same time however many there are. */
export class ToolIndex {
  /** By kind, name and namespace; and the first by kind and name alone. */
  readonly #byName = new Map<string, CallableTool>();
  readonly #byNamespace = new Map<string, CallableTool[]>();

  constructor(tools: Iterable<CallableTool>) {
    for (const tool of tools) {
      const { kind, name, namespace } = tool;
      for (const key of [JSON.stringify([kind, name, namespace]), JSON.stringify([kind, name])]) {
        if (!this.#byName.has(key)) this.#byName.set(key, tool);
      }
      if (namespace === null) continue;
      const inside = this.#byNamespace.get(namespace);
      if (inside === undefined) this.#byNamespace.set(namespace, [tool]);
      else inside.push(tool);
    }
  }

  /** The tool that a choice names. One that names no namespace means a tool outside of all, or else the first of its name. */
  find({ type, name, namespace = null }: Tool): CallableTool | undefined {
    const exact = this.#byName.get(JSON.stringify([type, name, namespace]));
    return exact ?? (namespace === null ? this.#byName.get(JSON.stringify([type, name])) : undefined);
  }

  /** The tools of a namespace. */
  inside(namespace: unknown): readonly CallableTool[] {
    return this.#byNamespace.get(namespace as string) ?? [];
  }
}

/** The entries of a list of allowed tools, without those that name a namespace once more: it stands for all that is in it. */
export function distinctChoices(named: readonly Tool[]): readonly Tool[] {
  const namespaces = new Set<unknown>();
  return named.filter((choice) => {
    if (choice.type !== "namespace") return true;
    if (namespaces.has(choice["name"])) return false;
    namespaces.add(choice["name"]);
    return true;
  });
}
