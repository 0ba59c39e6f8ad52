import type { Backend, Models, ResolvedModel } from "../core/ports.ts";
import { modelNotFound } from "../protocol/errors.ts";

/** The name that stands for every model that is not named. */
const ANY = "*";
/** Milliseconds for which the model server's list of its models is taken for true. */
const FRESH_MS = 60_000;

type RegistryOptions = {
  readonly backend: Backend;
  /** The client's name of each model → the backend's. */
  readonly models: ReadonlyMap<string, string>;
  /** The backend's name of the model that stands in for those that nobody knows; null when there is none. */
  readonly defaultModel?: string | null;
};

/**
 * Which models are served, and by what name the backend knows them. Without entries every name is passed on as it is;
 * with entries only those are served, unless `*` is one of them (`*` → `*` passes the others on as they are). With a
 * default every name is served: the entries' own, then the names that the backend lists, and for all others the default.
 */
export class ModelRegistry implements Models {
  readonly #backend: Backend;
  readonly #names: ReadonlyMap<string, string>;
  readonly #default: string | null;
  /** What the backend listed last, and when. */
  #listed: { readonly names: ReadonlySet<string>; readonly at: number } | null = null;
  #listing: Promise<void> | null = null;

  constructor({ backend, models, defaultModel = null }: RegistryOptions) {
    this.#backend = backend;
    this.#names = models;
    this.#default = defaultModel;
  }

  resolve(model: string): ResolvedModel | Promise<ResolvedModel> {
    const passesAll = this.#names.size === 0 && this.#default === null;
    const name = passesAll ? ANY : (this.#names.get(model) ?? this.#names.get(ANY));
    if (name !== undefined) return this.#as(name === ANY ? model : name);
    if (this.#default === null) throw modelNotFound(model);
    const isFresh = this.#listed !== null && performance.now() - this.#listed.at < FRESH_MS;
    const listing = isFresh ? null : this.#list();
    // A list that is out of date will do until the next one is there: no turn waits for it.
    return this.#listed === null && listing !== null
      ? listing.then(() => this.#orDefault(model))
      : this.#orDefault(model);
  }

  get fallback(): string | null {
    return this.#default;
  }

  async list(): Promise<readonly string[]> {
    const named = [...this.#names.keys()].filter((name) => name !== ANY);
    if (this.#default !== null) {
      await this.#list();
      return [...new Set([...named, this.#default, ...(this.#listed?.names ?? [])])];
    }
    const passesOthers = named.length === 0 || this.#names.get(ANY) === ANY;
    return passesOthers ? [...new Set([...named, ...(await this.#backend.models())])] : named;
  }

  #as(model: string): ResolvedModel {
    return { backend: this.#backend, model };
  }

  #orDefault(model: string): ResolvedModel {
    return this.#as(this.#listed?.names.has(model) ? model : (this.#default ?? model));
  }

  /** Asks the backend for its list; one that gives none is taken to know nothing but the default. Never rejects. */
  #list(): Promise<void> {
    this.#listing ??= this.#backend
      .models()
      .catch((): readonly string[] => [])
      .then((names) => {
        this.#listed = { names: new Set(names), at: performance.now() };
        this.#listing = null;
      });
    return this.#listing;
  }
}
