import type { CreateRequest } from "../protocol/request.ts";

/**
 * Clients send the same instructions and tools with every turn. One copy serves all turns of a connection, and so does
 * whatever is derived from it.
 */
export class RepeatedSettings {
  #tools: { readonly json: string; readonly value: CreateRequest["tools"] } | null = null;
  #instructions: string | null = null;

  /** The request, with what it repeats of the request before it in the very same values. */
  share(request: CreateRequest): CreateRequest {
    const json = JSON.stringify(request.tools);
    if (this.#tools?.json !== json) this.#tools = { json, value: Object.freeze(request.tools) };
    if (this.#instructions !== request.instructions) this.#instructions = request.instructions;
    return { ...request, tools: this.#tools.value, instructions: this.#instructions };
  }
}
