import { changed, COMMON_DIALECT, type Dialect, type DialectChange, differences, keyOfDialect } from "./dialect.ts";

export type DialectSettings = DialectChange & {
  /** Traits of single models, by the model server's names. */
  readonly models?: { readonly [model: string]: DialectChange | undefined } | undefined;
};

/** Names come from clients where every name is passed on, so what is remembered has a bound. */
const MOST_MODELS = 500;

/** The dialect of each model of one server: configured, and what was learned since. */
export class ModelDialects {
  readonly #common: Dialect;
  readonly #models: NonNullable<DialectSettings["models"]>;
  /** The least recently learned first. */
  readonly #learned = new Map<string, Dialect>();

  constructor({ models = {}, ...common }: DialectSettings = {}) {
    this.#common = changed(COMMON_DIALECT, common);
    this.#models = models;
  }

  of(model: string): Dialect {
    const learned = this.#learned.get(model);
    if (learned !== undefined) return learned;
    const own = Object.hasOwn(this.#models, model) ? this.#models[model] : undefined;
    return own === undefined ? this.#common : changed(this.#common, own);
  }

  /** Remembers what helped. @returns what is new in it; null when all of it was known */
  learn(model: string, change: DialectChange): DialectChange | null {
    const before = this.of(model);
    const after = changed(before, change);
    if (keyOfDialect(before) === keyOfDialect(after)) return null;
    this.#learned.delete(model);
    this.#learned.set(model, after);
    for (const oldest of this.#learned.keys()) {
      if (this.#learned.size <= MOST_MODELS) break;
      this.#learned.delete(oldest);
    }
    return differences(after, before);
  }
}
