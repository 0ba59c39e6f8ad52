/**
 * Counts the steps that synchronous work takes, instead of the time: elements of arrays that are visited, copied or
 * searched, characters that are searched, parsed or written, and fields that are read of counted values. The same work
 * takes the same number of steps on any machine.
 */
export function stepsOf(work: () => unknown): number {
  let steps = 0;
  const undo: (() => void)[] = [];
  const patch = (owner: object, name: PropertyKey, cost: (self: never, args: never, result: never) => number): void => {
    const described = Object.getOwnPropertyDescriptor(owner, name);
    const original = described?.value as (...args: unknown[]) => unknown;
    Object.defineProperty(owner, name, {
      ...described,
      value: function counted(this: unknown, ...args: unknown[]): unknown {
        const result = Reflect.apply(original, this, args);
        steps += cost(this as never, args as never, result as never);
        return result;
      },
    });
    undo.push(() => Object.defineProperty(owner, name, described as PropertyDescriptor));
  };
  for (const name of WHOLE) patch(Array.prototype, name, ({ length }: unknown[]) => length);
  for (const name of SEARCHES) {
    // They stop at what they find: only what was passed over is counted.
    patch(Array.prototype, name, ({ length }: unknown[], _: never, result: unknown) =>
      typeof result === "number" && result >= 0 ? result + 1 : length,
    );
  }
  patch(Array.prototype, "slice", (_: never, __: never, { length }: unknown[]) => length);
  patch(RegExp.prototype, "exec", (_: never, [text]: [string], found: RegExpExecArray | null) =>
    found === null ? text.length : found.index + found[0].length,
  );
  patch(String.prototype, "indexOf", ({ length }: string, _: never, found: number) => (found === -1 ? length : found));
  patch(JSON, "stringify", (_: never, __: never, text: string | undefined) => text?.length ?? 1);
  patch(JSON, "parse", (_: never, [text]: [string]) => text.length);
  const arrays: object = Array.prototype;
  const iterate = Array.prototype[Symbol.iterator];
  Object.defineProperty(arrays, Symbol.iterator, {
    configurable: true,
    writable: true,
    value: function counted(this: unknown[]): IterableIterator<unknown> {
      const inner = Reflect.apply(iterate, this, []) as IterableIterator<unknown>;
      return {
        [Symbol.iterator]: () => inner,
        next: () => {
          steps += 1;
          return inner.next();
        },
        return: (value?: unknown) => ({ done: true, value }),
      } as IterableIterator<unknown>;
    },
  });
  undo.push(() =>
    Object.defineProperty(arrays, Symbol.iterator, { configurable: true, writable: true, value: iterate }),
  );
  const before = reads;
  try {
    work();
  } finally {
    for (const each of undo) each();
  }
  return steps + reads - before;
}

const WHOLE = [
  "concat",
  "filter",
  "flatMap",
  "forEach",
  "join",
  "map",
  "reduce",
  "shift",
  "sort",
  "splice",
  "toReversed",
  "toSorted",
  "toSpliced",
  "unshift",
] as const;
const SEARCHES = ["every", "find", "findIndex", "findLast", "findLastIndex", "includes", "indexOf", "some"] as const;

let reads = 0;

/** A value of JSON whose every read counts as a step. */
export function counted<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  const members = Array.isArray(value)
    ? value.map((member: unknown) => counted(member))
    : Object.fromEntries(Object.entries(value).map(([name, member]) => [name, counted(member)]));
  if (Array.isArray(members)) return members as T;
  return new Proxy(members, {
    get: (target, name) => {
      reads += 1;
      return Reflect.get(target, name) as unknown;
    },
  }) as T;
}

/** How many times as many steps twice the size takes. */
export function growth(size: number, workOf: (size: number) => () => unknown): number {
  const [once, twice] = [stepsOf(workOf(size)), stepsOf(workOf(2 * size))];
  return twice / once;
}
