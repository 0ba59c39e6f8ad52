import type { ServerEvent } from "../protocol/events.ts";
import type { Item } from "../protocol/items.ts";
import { EVENT } from "../protocol/table.ts";

/**
 * How an item that a backend gives as one piece appears in a stream. OpenAI announces calls of `shell`, `apply_patch` and
 * `tool_search` empty and in progress, and writes the commands of a shell call one by one before the item is done.
 */
export type ItemGrowth = {
  /** The item as `response.output_item.added` shows it. */
  readonly beginning: Item;
  /** Writes what comes between `added` and `done`; `next` gives each event its number. */
  readonly grow: (outputIndex: number, next: () => number) => readonly ServerEvent[];
};

export function growthOf(item: Item): ItemGrowth {
  switch (item.type) {
    case "shell_call":
      return shellCall(item);
    case "apply_patch_call":
      return { beginning: inProgress(item, { operation: emptyDiff(item["operation"]) }), grow: nothing };
    case "tool_search_call":
      return { beginning: inProgress(item, { arguments: {} }), grow: nothing };
    default:
      return { beginning: item, grow: nothing };
  }
}

const nothing = (): readonly ServerEvent[] => [];

function inProgress(item: Item, empty: { readonly [field: string]: unknown }): Item {
  return Object.freeze({ ...item, status: "in_progress", ...empty });
}

function shellCall(item: Item): ItemGrowth {
  const { commands } = (item["action"] ?? {}) as { readonly commands?: unknown };
  const written = Array.isArray(commands) && commands.every((command) => typeof command === "string") ? commands : [];
  const action = { commands: [], max_output_length: null, timeout_ms: null };
  return {
    beginning: inProgress(item, { action, environment: null }),
    grow: (output_index, next) =>
      written.flatMap((command: string, command_index): readonly ServerEvent[] => {
        const at = { output_index, command_index };
        return [
          { type: EVENT.shellCommandAdded, sequence_number: next(), ...at, command: "" },
          { type: EVENT.shellCommandDelta, sequence_number: next(), ...at, delta: command },
          { type: EVENT.shellCommandDone, sequence_number: next(), ...at, command },
        ];
      }),
  };
}

function emptyDiff(operation: unknown): unknown {
  if (typeof operation !== "object" || operation === null) return operation;
  return "diff" in operation ? { ...operation, diff: "" } : operation;
}
