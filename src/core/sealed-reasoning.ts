import { reasoningUnreadable } from "../protocol/errors.ts";
import { isItem, type Item } from "../protocol/items.ts";
import { keepOpaque, type Opaque, type OpaqueEvent, type OpaqueFields } from "../protocol/opaque.ts";
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
/** Begins what holds more than the text: what the model server wants to see again. */
const OPAQUE_MARK = "opaque.";

/** What a seal holds where it is more than the text. */
type Sealed = {
  readonly text: string;
  readonly origin: string;
  readonly message?: OpaqueFields;
  /** Belongs to the next call. */
  readonly call?: OpaqueFields;
};

/** Adds the seals to what a backend says. */
export class ReasoningSealer {
  readonly #seal: Seal;
  readonly #tenant: Tenant;
  #text = "";
  /** Of the message, and of the call that comes next; null once it is sealed. */
  #message: OpaqueEvent | null = null;
  #call: OpaqueEvent | null = null;

  constructor(seal: Seal, tenant: Tenant) {
    this.#seal = seal;
    this.#tenant = tenant;
  }

  apply(
    batch: readonly (BackendEvent | CompactionEvent)[],
  ): readonly (BackendEvent | CompactionEvent | SealedReasoning)[] {
    const isIdle = this.#text === "" && this.#message === null && this.#call === null;
    if (isIdle && !batch.some(({ type }) => type === "reasoning.delta" || type === "opaque")) return batch;
    return batch.flatMap((event) => {
      if (event.type === "reasoning.delta") this.#text += event.delta;
      if (event.type === "opaque") this.#take(event);
      const sealed = endsReasoning(event) ? this.#sealAll(event) : null;
      return sealed === null ? [event] : [{ type: "reasoning.sealed" as const, sealed }, event];
    });
  }

  #take(event: OpaqueEvent): void {
    if (event.key === null) this.#message = event;
    else this.#call = event;
  }

  #sealAll(next: BackendEvent | CompactionEvent): string | null {
    const call = next.type === "call" && this.#call?.key === next.key ? this.#call : null;
    const { origin } = this.#message ?? call ?? {};
    const text = this.#text;
    // Behind the answer there is no item for it.
    if (text === "" && (origin === undefined || next.type === "finish")) return null;
    this.#text = "";
    const message = this.#message?.fields;
    this.#message = null;
    this.#call = null;
    if (origin === undefined) return this.#seal.seal(this.#tenant, MARK + text);
    const all: Sealed = { text, origin, ...(message && { message }), ...(call && { call: call.fields }) };
    return OPAQUE_MARK + this.#seal.seal(this.#tenant, MARK + JSON.stringify(all));
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
    case "opaque":
    case "compaction.grown":
    case "compaction.done":
    case "usage":
      return false;
    default:
      return event satisfies never;
  }
}

/**
 * Gives sealed reasoning its text back. What was sealed by others, or elsewhere, stays as it is: the model does without.
 * @throws ApiError `invalid_value` for what this server sealed as something else
 */
export function openReasoning(
  items: readonly Item[],
  seal: Seal,
  tenant: Tenant,
  memory: ContextMemory,
): readonly Item[] {
  if (!items.some(isSealed)) return items;
  let next: Opaque | null = null;
  return items.map((item, index) => {
    if (next !== null && item.type.endsWith("_call")) {
      keepOpaque(item, next);
      next = null;
    }
    if (!isSealed(item)) return item;
    const { encrypted_content: content } = item;
    const isOpaque = content.startsWith(OPAQUE_MARK);
    const sealed = isOpaque ? content.slice(OPAQUE_MARK.length) : content;
    const said = memory.unseal(sealed, (limit) => seal.open(tenant, sealed, limit));
    if (said === undefined) return item;
    if (!said.startsWith(MARK)) throw reasoningUnreadable(`input[${index}].encrypted_content`);
    const text = said.slice(MARK.length);
    if (!isOpaque) return withText(item, text);
    const all = JSON.parse(text) as Sealed;
    const opened = withText(item, all.text);
    const { origin, message, call } = all;
    if (message !== undefined) keepOpaque(opened, { origin, message });
    if (call !== undefined) next = { origin, call };
    return opened;
  });
}

function withText(item: Item, text: string): Item {
  if (hasText(item)) return { ...item };
  return { ...item, content: text === "" ? [] : [{ type: "reasoning_text", text }] };
}

function hasText({ content }: Item): boolean {
  return Array.isArray(content) && content.length > 0;
}

function isSealed(item: Item): item is Item & { readonly encrypted_content: string } {
  if (!isItem(item, "reasoning") || typeof item.encrypted_content !== "string") return false;
  return !hasText(item) || item.encrypted_content.startsWith(OPAQUE_MARK);
}
