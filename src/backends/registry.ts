import type { Backend, Models } from "../core/ports.ts";
import { modelNotFound } from "../protocol/errors.ts";

/** The name that stands for every model that is not named. */
const ANY = "*";

/**
 * Which models are served, and by what name the backend knows them. Without entries every name is passed on as it is;
 * with entries only those are served, unless `*` is one of them (`*` → `*` passes the others on as they are).
 */
export class ModelRegistry implements Models {
  readonly #backend: Backend;
  readonly #names: ReadonlyMap<string, string>;

  /** @param options `models`: the client's name of each model → the backend's */
  constructor(options: { readonly backend: Backend; readonly models: ReadonlyMap<string, string> }) {
    this.#backend = options.backend;
    this.#names = options.models;
  }

  resolve(model: string): { readonly backend: Backend; readonly model: string } {
    const name = this.#names.size === 0 ? ANY : (this.#names.get(model) ?? this.#names.get(ANY));
    if (name === undefined) throw modelNotFound(model);
    return { backend: this.#backend, model: name === ANY ? model : name };
  }

  async list(): Promise<readonly string[]> {
    const named = [...this.#names.keys()].filter((name) => name !== ANY);
    return named.length > 0 ? named : await this.#backend.models();
  }
}
