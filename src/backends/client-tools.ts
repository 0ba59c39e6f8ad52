import type { Item } from "../protocol/items.ts";
import type { Tool } from "../protocol/tools.ts";

/**
 * Tools that the API defines and the client runs. To the model each is a function with the fields that its calls have, and
 * a call of that function comes back as the item that the client waits for. `foreign-items.ts` is the way back.
 */
export type ClientTool = {
  readonly kind: "client";
  readonly type: ClientToolType;
  readonly description: string;
  readonly parameters: unknown;
};

const CLIENT_TOOLS = ["shell", "local_shell", "apply_patch", "tool_search"] as const;
type ClientToolType = (typeof CLIENT_TOOLS)[number];

type Fields = { readonly [field: string]: unknown };

const text = { type: "string" };
const milliseconds = { type: "integer", description: "Milliseconds after which a command is stopped." };

const object = (properties: Fields, required: readonly string[]): Fields => ({
  type: "object",
  properties,
  required,
  additionalProperties: false,
});

const OFFERS: { readonly [Type in ClientToolType]: Pick<ClientTool, "description" | "parameters"> } = {
  shell: {
    description: "Runs shell commands, one after another, on the user's machine.",
    parameters: object(
      { commands: { type: "array", items: text }, timeout_ms: milliseconds, max_output_length: { type: "integer" } },
      ["commands"],
    ),
  },
  local_shell: {
    description: "Runs one command on the user's machine, without a shell around it.",
    parameters: object(
      {
        command: { type: "array", items: text, description: "The program and its arguments." },
        working_directory: text,
        timeout_ms: milliseconds,
        env: { type: "object", additionalProperties: text },
      },
      ["command"],
    ),
  },
  apply_patch: {
    description: "Creates, updates or deletes one file.",
    parameters: object(
      {
        type: { type: "string", enum: ["create_file", "update_file", "delete_file"] },
        path: text,
        diff: {
          type: "string",
          description:
            "Not for delete_file. Lines with '+' before what is added, '-' before what goes and ' ' before what stays; '@@' begins each place of an update.",
        },
      },
      ["type", "path"],
    ),
  },
  tool_search: {
    description: "Looks for further tools that can be called then.",
    parameters: object({ query: text }, ["query"]),
  },
};

/** The tool as one that the client runs; undefined for one that is not, or that runs on the API's side. */
export function clientTool(tool: Tool): ClientTool | undefined {
  const type = CLIENT_TOOLS.find((name) => name === tool.type);
  if (type === undefined || !isOnClient(tool)) return undefined;
  const offer = OFFERS[type];
  const { description, parameters } = tool;
  return {
    kind: "client",
    type,
    description: typeof description === "string" && description !== "" ? description : offer.description,
    parameters: parameters ?? offer.parameters,
  };
}

function isOnClient({ type, environment, execution }: Tool): boolean {
  if (type === "tool_search") return execution === "client";
  const { type: where = "local" } = (environment ?? {}) as { readonly type?: unknown };
  return where === "local";
}

/** A call of such a tool as its client knows it; undefined when what the model wrote is none. */
export function clientCall(type: ClientToolType, callId: string, json: string): Item | undefined {
  let given: Fields;
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    given = value as Fields;
  } catch {
    return undefined;
  }
  const item = { type: `${type}_call`, call_id: callId, status: "completed" };
  switch (type) {
    case "shell": {
      const commands = words(given["commands"]);
      if (commands === undefined) return undefined;
      const { timeout_ms = null, max_output_length = null } = given;
      return { ...item, action: { commands, timeout_ms, max_output_length }, environment: { type: "local" } };
    }
    case "local_shell": {
      const command = words(given["command"]);
      if (command === undefined) return undefined;
      const { env = {}, timeout_ms = null, working_directory = null } = given;
      return { ...item, action: { type: "exec", command, env, timeout_ms, working_directory, user: null } };
    }
    case "apply_patch": {
      const { type: kind, path, diff = "" } = given;
      if (typeof kind !== "string" || typeof path !== "string" || typeof diff !== "string") return undefined;
      return { ...item, operation: kind === "delete_file" ? { type: kind, path } : { type: kind, path, diff } };
    }
    case "tool_search":
      return { ...item, execution: "client", arguments: given };
    default:
      return type satisfies never;
  }
}

function words(value: unknown): readonly string[] | undefined {
  if (typeof value === "string") return [value];
  if (!Array.isArray(value)) return undefined;
  const found = value.filter((word): word is string => typeof word === "string");
  return found.length === value.length ? found : undefined;
}
