import { ApiError, itemNotFound } from "../protocol/errors.ts";
import { responseOfItem } from "../protocol/ids.ts";
import { isItem, type Item } from "../protocol/items.ts";
import { listedId } from "../protocol/listed-item.ts";
import type { ContextMemory } from "./context-memory.ts";
import { measure, type ResponseNode } from "./node.ts";
import type { Admit, Store, StoredResponse, Tenant } from "./ports.ts";

/** Where the items are found that an input only refers to. */
export type ItemSource = {
  /** A response that is at hand, stored or not. */
  readonly known: (responseId: string) => ResponseNode | undefined;
  /** A stored response, with its chain where all of that is stored. */
  readonly load: (responseId: string, admit: Admit) => Promise<ResponseNode | StoredResponse | undefined>;
  /** How many responses may be loaded for one input. */
  readonly limit: number;
};

/** What is stored of one tenant. */
export function storedItems(store: Store, tenant: Tenant, limit: number): ItemSource {
  return {
    known: () => undefined,
    load: async (id, admit) => (await store.load(tenant, id, admit)) ?? (await store.get(tenant, id, admit)),
    limit,
  };
}

/** Whether any item only refers to one: hardly any input has such. */
function hasReferences(input: readonly Item[]): boolean {
  return input.some((item) => isItem(item, "item_reference"));
}

/**
 * The input with every `item_reference` replaced by the item that it names, as if that had been sent. An input without
 * references comes back as it is.
 *
 * Items say in their ids which response they belong to, so no index is kept. What the chain has that is continued cannot
 * be referred to: it is there already.
 *
 * @throws ApiError `item_not_found`
 */
export async function resolveReferences(
  input: readonly Item[],
  source: ItemSource,
  memory: ContextMemory,
): Promise<readonly Item[]> {
  if (!hasReferences(input)) return input;
  const resolved = [...input];
  const finder = new Finder(source, memory.chain);
  let bytes = 0;
  // The newest first: its response most often holds the older ones too, as its own input, so one is loaded for all.
  for (const [index, item] of [...input.entries()].toReversed()) {
    if (!isItem(item, "item_reference")) continue;
    const found = await finder.find(item.id);
    // Each time that an item is named, the model is sent it once more.
    bytes += finder.sizeOf(found);
    memory.checkContext(bytes);
    resolved[index] = found;
  }
  memory.items(bytes);
  return resolved;
}

/**
 * The items, with the stored content of those whose id names an item of a stored response: such an id is a reference, and
 * what was sent beside it is ignored, as at OpenAI.
 */
export async function withStoredContent(
  items: readonly Item[],
  source: ItemSource,
  memory: ContextMemory,
): Promise<readonly Item[]> {
  const finder = new Finder(source, memory.chain);
  const found: Item[] = [];
  let bytes = 0;
  for (const item of items) {
    const { id } = item;
    const isNamed = typeof id === "string" && !isItem(item, "item_reference");
    const stored = isNamed ? await finder.search(id) : undefined;
    found.push(stored ?? item);
    if (stored === undefined) continue;
    bytes += finder.sizeOf(stored);
    memory.checkContext(bytes);
  }
  memory.items(bytes);
  return found;
}

class Finder {
  readonly #source: ItemSource;
  readonly #admit: Admit;
  readonly #items = new Map<string, Item>();
  readonly #sizes = new Map<Item, number>();
  /** Ids of the responses whose items are known. */
  readonly #seen = new Set<string>();
  #loaded = 0;

  constructor(source: ItemSource, admit: Admit) {
    this.#source = source;
    this.#admit = admit;
  }

  sizeOf(item: Item): number {
    let bytes = this.#sizes.get(item);
    if (bytes === undefined) this.#sizes.set(item, (bytes = measure(item)));
    return bytes;
  }

  async find(id: string): Promise<Item> {
    const item = await this.search(id);
    if (item === undefined) throw itemNotFound(id);
    return item;
  }

  async search(id: string): Promise<Item | undefined> {
    const item = this.#items.get(id) ?? this.#atHand(id) ?? (await this.#loadedFor(id));
    // It keeps the name that it is known by, so that a later reference finds it here.
    return item === undefined || item["id"] === id ? item : { ...item, id };
  }

  #atHand(id: string): Item | undefined {
    const owner = responseOfItem(id)?.responseId;
    const node = owner === undefined ? undefined : this.#source.known(owner);
    if (node !== undefined) this.#add(node);
    return this.#items.get(id);
  }

  async #loadedFor(id: string): Promise<Item | undefined> {
    const owner = responseOfItem(id)?.responseId;
    if (owner === undefined || this.#seen.has(owner)) return undefined;
    if (this.#loaded >= this.#source.limit) {
      const message = `The items of 'input' are spread over more than ${this.#source.limit} responses.`;
      throw new ApiError("invalid_value", message, { param: "input" });
    }
    this.#loaded += 1;
    const found = await this.#source.load(owner, this.#admit);
    if (found === undefined) return undefined;
    if ("parent" in found) this.#addChain(found);
    else this.#add(found);
    return this.#items.get(id);
  }

  #addChain(tip: ResponseNode | null): void {
    for (let node = tip; node !== null && !this.#seen.has(node.id); node = node.parent) this.#add(node);
  }

  /** Of two items with one id, which a client may have made, the newer one counts. */
  #add({ input, response }: StoredResponse): void {
    if (this.#seen.has(response.id)) return;
    this.#seen.add(response.id);
    const own = new Map<string, Item>();
    for (const [index, item] of input.entries()) own.set(listedId(item, response.id, "input", index), item);
    for (const [index, item] of (response.output as readonly Item[]).entries()) {
      own.set(listedId(item, response.id, "output", index), item);
    }
    for (const [id, item] of own) if (!this.#items.has(id)) this.#items.set(id, item);
  }
}
