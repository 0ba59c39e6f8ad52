import { isItem, type Item } from "../protocol/items.ts";
import type { CompactionEvent } from "./compaction.ts";
import type { ContextMemory } from "./context-memory.ts";
import type { BackendEvent, Seal, Tenant } from "./ports.ts";

/**
 * Reasoning that a client keeps for the server: with `store: false` and a full history each turn it is the only way back to
 * the model. It is sealed for its tenant, so that it can be neither read nor made up.
 */

/** What the reasoning that is open said, sealed; it comes right before what ends it. */
export type SealedReasoning = { readonly type: "reasoning.sealed"; readonly sealed: string };

/** Sets what is sealed here apart from whatever else the same key seals. */
const MARK = "reasoning:";

/** Adds the seals to what a backend says. */
export class ReasoningSealer {
  readonly #seal: Seal;
  readonly #tenant: Tenant;
  #text = "";

  constructor(seal: Seal, tenant: Tenant) {
    this.#seal = seal;
    this.#tenant = tenant;
  }

  apply(
    batch: readonly (BackendEvent | CompactionEvent)[],
  ): readonly (BackendEvent | CompactionEvent | SealedReasoning)[] {
    if (this.#text === "" && !batch.some(({ type }) => type === "reasoning.delta")) return batch;
    return batch.flatMap((event) => {
      if (event.type === "reasoning.delta") this.#text += event.delta;
      if (this.#text === "" || !endsReasoning(event)) return [event];
      const sealed = this.#seal.seal(this.#tenant, MARK + this.#text);
      this.#text = "";
      return [{ type: "reasoning.sealed" as const, sealed }, event];
    });
  }
}

function endsReasoning(event: BackendEvent | CompactionEvent): boolean {
  switch (event.type) {
    case "text.delta":
    case "refusal.delta":
      return event.delta !== "";
    case "call":
    case "item":
    case "finish":
    case "compaction.begun":
      return true;
    case "reasoning.delta":
    case "summary.delta":
    case "call.delta":
    case "call.done":
    case "annotation":
    case "compaction.grown":
    case "compaction.done":
    case "usage":
      return false;
    default:
      return event satisfies never;
  }
}

/** Gives sealed reasoning its text back. What was sealed by others, or elsewhere, stays as it is: the model does without. */
export function openReasoning(
  items: readonly Item[],
  seal: Seal,
  tenant: Tenant,
  memory: ContextMemory,
): readonly Item[] {
  if (!items.some(isSealed)) return items;
  return items.map((item) => {
    if (!isSealed(item)) return item;
    const sealed = item.encrypted_content;
    const text = memory.unseal(sealed, (limit) => seal.open(tenant, sealed, limit));
    if (!text?.startsWith(MARK)) return item;
    return { ...item, content: [{ type: "reasoning_text", text: text.slice(MARK.length) }] };
  });
}

function isSealed(item: Item): item is Item & { readonly encrypted_content: string } {
  return isItem(item, "reasoning") && typeof item.encrypted_content === "string" && !item.content?.length;
}
