/**
 * What a model server wants to see again, unchanged, with an item that it made: signatures of its thinking, for one. It is kept
 * beside the item, since clients have no field for it, and goes back to the server that it came from and to no other.
 */

export type OpaqueFields = { readonly [field: string]: unknown };

export type Opaque = {
  /** Names the model server that it came from. */
  readonly origin: string;
  /** Fields of the message that the item is a part of. */
  readonly message?: OpaqueFields;
  /** Fields of the call that the item is. */
  readonly call?: OpaqueFields;
};

/** What a backend says of them: for the call of this key, which may still be to come, or for the message in place of before. */
export type OpaqueEvent = {
  readonly type: "opaque";
  readonly origin: string;
  readonly key: number | null;
  readonly fields: OpaqueFields;
};

const kept = new WeakMap<object, Opaque>();

export function keepOpaque(item: object, opaque: Opaque): void {
  const known = kept.get(item);
  kept.set(item, known?.origin === opaque.origin ? { ...known, ...opaque } : opaque);
}

export function copyOpaque(from: object, to: object): void {
  const opaque = kept.get(from);
  if (opaque !== undefined) kept.set(to, opaque);
}

export function opaqueOf(item: object): Opaque | undefined {
  return kept.get(item);
}

/** What is kept beside the items of a list, by their places; undefined when it is nothing. */
export function opaqueList(
  items: readonly object[],
): readonly (readonly [place: number, opaque: Opaque])[] | undefined {
  const list = items.flatMap((item, place) => {
    const opaque = kept.get(item);
    return opaque === undefined ? [] : [[place, opaque] as const];
  });
  return list.length === 0 ? undefined : list;
}

/** Keeps again what `opaqueList` has listed. */
export function keepOpaqueList(items: readonly object[], list: ReturnType<typeof opaqueList>): void {
  for (const [place, opaque] of list ?? []) {
    const item = items[place];
    if (item !== undefined) keepOpaque(item, opaque);
  }
}
