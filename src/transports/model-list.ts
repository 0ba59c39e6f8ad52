import type { Permit } from "../core/ports.ts";
import { ApiError } from "../protocol/errors.ts";
import type { TransportContext } from "./context.ts";

export type ModelObject = {
  readonly id: string;
  readonly object: "model";
  readonly created: number;
  readonly owned_by: string;
};

type ModelListObject = {
  readonly object: "list";
  readonly data: readonly ModelObject[];
  /** What Codex looks for: models that change its own catalogue. There are none, so it keeps its prompts and settings. */
  readonly models?: readonly never[];
};

/** Codex names its version in the query, and expects a catalogue of its own form. */
function isCodexQuery(query: unknown): boolean {
  return typeof query === "object" && query !== null && "client_version" in query;
}

/** What `/v1/models` says: of all models, those that the client may use. */
export class ModelList {
  readonly #context: TransportContext;
  /** Nobody knows when a model was made; since this server started it has been here. */
  readonly #created: number;
  #running: Promise<readonly string[]> | null = null;

  constructor(context: TransportContext) {
    this.#context = context;
    this.#created = Math.floor(context.runtime.now() / 1000);
  }

  /** The names of the models. Whoever asks while they are being fetched shares the answer. */
  async names(): Promise<readonly string[]> {
    this.#running ??= this.#context.engine.models().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async list(permit: Permit, query: unknown): Promise<ModelListObject> {
    const allowed = (await this.#known()).filter((id) => permit.allowsModel(id));
    const list = { object: "list", data: allowed.map((id) => this.#describe(id)) } as const;
    return isCodexQuery(query) ? { ...list, models: [] } : list;
  }

  /** @throws ApiError `not_found` */
  async get(id: string, permit: Permit): Promise<ModelObject> {
    if (permit.allowsModel(id) && (await this.#known()).includes(id)) return this.#describe(id);
    throw new ApiError("not_found", `The model '${id}' does not exist.`, { param: "model" });
  }

  async #known(): Promise<readonly string[]> {
    try {
      return await this.names();
    } catch (error) {
      const message = "The models could not be listed: what serves them gave no answer.";
      throw new ApiError("upstream_unavailable", message, { cause: error });
    }
  }

  #describe(id: string): ModelObject {
    return { id, object: "model", created: this.#created, owned_by: "turnwire" };
  }
}
