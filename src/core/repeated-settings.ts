import type { CreateRequest } from "../protocol/request.ts";
import { toolsJson } from "../protocol/tools.ts";

/**
 * Clients send the same instructions and tools with every turn. One copy serves all turns of a connection, and so does
 * whatever is derived from it.
 */
export class RepeatedSettings {
  #tools: CreateRequest["tools"] | null = null;
  #instructions: string | null = null;

  /** The request, with what it repeats of the request before it in the very same values. */
  share(request: CreateRequest): CreateRequest {
    const last = this.#tools;
    const json = toolsJson(request.tools);
    const tools = last !== null && toolsJson(last) === json ? last : Object.freeze(request.tools);
    this.#tools = tools;
    if (this.#instructions !== request.instructions) this.#instructions = request.instructions;
    return { ...request, tools, instructions: this.#instructions };
  }
}
