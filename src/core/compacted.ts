import { compactionUnreadable } from "../protocol/errors.ts";
import { type CompactionItem, isItem, type Item } from "../protocol/items.ts";
import { summaryItem } from "./compaction-prompt.ts";
import type { ContextMemory } from "./context-memory.ts";
import type { Compacted, Seal, Tenant } from "./ports.ts";
import { noteUnsealed } from "./unsealed.ts";

/** What a compaction item holds: all that the model is to see of the items that it stands for. */
export type CompactedParts = {
  readonly replaces: boolean;
  /** What is kept word for word from before the summary. */
  readonly before: readonly Item[];
  readonly summary: string;
  /** What was too new to be summarised. */
  readonly after: readonly Item[];
};

export type OpenedCompaction = Compacted & CompactedParts;

const FORM = 1;

/** What has been read so far. An item is an object of one tenant's request, but nothing relies on that. */
const opened = new WeakMap<CompactionItem, { readonly by: Compactions; readonly content: OpenedCompaction }>();

/** Makes compaction items of one tenant and reads them. Each is read once, and what it says is kept beside it. */
export class Compactions {
  readonly #seal: Seal;
  readonly #tenant: Tenant;
  readonly #memory: ContextMemory;

  /** @param memory what items that are opened count against */
  constructor(seal: Seal, tenant: Tenant, memory: ContextMemory) {
    this.#seal = seal;
    this.#tenant = tenant;
    this.#memory = memory;
  }

  seal(parts: CompactedParts): string {
    return this.#seal.seal(this.#tenant, JSON.stringify({ form: FORM, ...parts }));
  }

  /** @throws ApiError `invalid_value`: by now only for what an earlier response has, and a key that has gone since */
  readonly open = (item: CompactionItem): OpenedCompaction => this.#openAt(item, "previous_response_id");

  /** Reads the compaction items of an input, so that one that cannot be read is refused by its place. */
  check(input: readonly Item[]): void {
    input.forEach((item, index) => {
      if (isItem(item, "compaction")) this.#openAt(item, `input[${index}].encrypted_content`);
    });
  }

  #openAt(item: CompactionItem, param: string): OpenedCompaction {
    const known = opened.get(item);
    if (known !== undefined && known.by.#tenant === this.#tenant && known.by.#seal === this.#seal) return known.content;
    const sealed = item.encrypted_content;
    const text = this.#memory.unseal(sealed, (limit) => this.#seal.open(this.#tenant, sealed, limit));
    const parts = text === undefined ? null : partsOf(text);
    if (parts?.form !== FORM) throw compactionUnreadable(param);
    const { before, summary, after } = parts;
    const items = Object.freeze([...before, summaryItem(summary), ...after]);
    const content = Object.freeze({ ...parts, items });
    opened.set(item, { by: this, content });
    noteUnsealed(item, text?.length ?? 0);
    return content;
  }
}

/** Null for what was sealed as something else, such as reasoning. */
function partsOf(text: string): (CompactedParts & { readonly form: number }) | null {
  try {
    return JSON.parse(text) as CompactedParts & { readonly form: number };
  } catch {
    return null;
  }
}
