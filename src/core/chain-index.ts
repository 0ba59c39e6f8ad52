import { isAsyncCall, isToolCall, isToolOutput, type Item, type ToolOutputItem } from "../protocol/items.ts";
import { responseOfItem } from "../protocol/ids.ts";
import type { ResponseNode } from "./node.ts";

/**
 * What a chain holds, by id: its items, its calls of async tools, and the outputs that were given. A chain of any length
 * is asked in a constant number of steps, and each node is read once.
 *
 * Nodes that follow each other share one layer; each entry has the place of its node there, so that an earlier node does
 * not see what came after it. A second continuation of one node begins a new layer above it.
 */
export type ChainIndex = {
  /** Whether an item of the chain has this id, its own or the one that a list shows. */
  hasItem(id: string): boolean;
  /** Whether the chain has a call of an async tool with this id: any number of outputs may follow it, or none. */
  hasAsyncCall(callId: string): boolean;
  /** Whether this very output was given before. */
  hasOutput(output: ToolOutputItem): boolean;
};

type Entries<Value> = Map<string, { readonly at: number; readonly value: Value }[]>;

class Layer {
  readonly below: Place | null;
  readonly depth: number;
  /** Place of the newest node. */
  tip = 0;
  readonly items: Entries<null> = new Map();
  readonly responses: Entries<null> = new Map();
  readonly asyncCalls: Entries<null> = new Map();
  /** By weak references: a layer may outlive the nodes of its end, and outputs can be large. */
  readonly outputs: Entries<WeakRef<Item & ToolOutputItem>> = new Map();

  constructor(below: Place | null) {
    this.below = below;
    this.depth = below === null ? 1 : below.layer.depth + 1;
  }

  add(node: ResponseNode, at: number): void {
    put(this.responses, node.response.id, at, null);
    for (const items of [node.input, node.response.output as readonly Item[]]) {
      for (const item of items) {
        const { id } = item;
        if (typeof id === "string" && id !== "") put(this.items, id, at, null);
        if (isToolCall(item) && isAsyncCall(item)) put(this.asyncCalls, item.call_id, at, null);
        if (isToolOutput(item) && typeof item.call_id === "string") {
          put(this.outputs, item.call_id, at, new WeakRef(item));
        }
      }
    }
  }
}

function put<Value>(entries: Entries<Value>, key: string, at: number, value: Value): void {
  const known = entries.get(key);
  if (known === undefined) entries.set(key, [{ at, value }]);
  else if (value !== null) known.push({ at, value });
}

/** Up to which node of a layer a chain reaches. */
type Place = { readonly layer: Layer; readonly at: number };

/** Beyond this many layers a chain is read again, into one. */
const MOST_LAYERS = 32;

const places = new WeakMap<ResponseNode, Place>();

const EMPTY: ChainIndex = { hasItem: () => false, hasAsyncCall: () => false, hasOutput: () => false };

/** The index of the chain that ends with this node. */
export function chainIndex(tip: ResponseNode | null): ChainIndex {
  if (tip === null) return EMPTY;
  const place = placeOf(tip);
  return {
    hasItem: (id) => {
      if (finds(place, "items", id)) return true;
      // An input item that came without an id has one by its place.
      const owner = responseOfItem(id);
      return owner?.side === "input" && finds(place, "responses", owner.responseId);
    },
    hasAsyncCall: (callId) => finds(place, "asyncCalls", callId),
    hasOutput: (output) =>
      typeof output.call_id === "string" &&
      finds(place, "outputs", output.call_id, (earlier) => isSameOutput(earlier.deref(), output)),
  };
}

export function isSameOutput(earlier: ToolOutputItem | undefined, later: ToolOutputItem): boolean {
  return earlier?.type === later.type && JSON.stringify(earlier.output) === JSON.stringify(later.output);
}

type Kind = "items" | "responses" | "asyncCalls" | "outputs";
type ValueOf<K extends Kind> = Layer[K] extends Entries<infer Value> ? Value : never;

function finds<K extends Kind>(
  from: Place,
  kind: K,
  key: string,
  fits: (value: ValueOf<K>) => boolean = () => true,
): boolean {
  for (let place: Place | null = from; place !== null; place = place.layer.below) {
    const { at: end, layer } = place;
    const entries = (layer[kind] as Entries<ValueOf<K>>).get(key);
    if (entries?.some(({ at, value }) => at <= end && fits(value))) return true;
  }
  return false;
}

/** Only nodes that were not seen before are read. */
function placeOf(tip: ResponseNode): Place {
  const unseen: ResponseNode[] = [];
  let place: Place | undefined;
  for (let node: ResponseNode | null = tip; node !== null && place === undefined; node = node.parent) {
    place = places.get(node);
    if (place === undefined) unseen.push(node);
  }
  for (const node of unseen.toReversed()) {
    place = follow(place ?? null, node);
    places.set(node, place);
  }
  if (place === undefined || place.layer.depth > MOST_LAYERS) return joined(tip);
  return place;
}

/** The chain as one layer of its own. */
function joined(tip: ResponseNode): Place {
  const nodes: ResponseNode[] = [];
  for (let node: ResponseNode | null = tip; node !== null; node = node.parent) nodes.push(node);
  const layer = new Layer(null);
  for (const node of nodes.toReversed()) layer.add(node, ++layer.tip);
  const place = { layer, at: layer.tip };
  places.set(tip, place);
  return place;
}

function follow(below: Place | null, node: ResponseNode): Place {
  const layer = below !== null && below.layer.tip === below.at ? below.layer : new Layer(below);
  layer.tip += 1;
  layer.add(node, layer.tip);
  return { layer, at: layer.tip };
}
