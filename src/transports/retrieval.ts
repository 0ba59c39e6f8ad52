import type { FastifyInstance, FastifyRequest } from "fastify";
import { ContextMemory } from "../core/context-memory.ts";
import { listed } from "../core/input-items.ts";
import type { Tenant } from "../core/ports.ts";
import { ApiError, responseNotFound } from "../protocol/errors.ts";
import type { Response } from "../protocol/response.ts";
import type { TransportContext } from "./context.ts";
import { pageOf, parsePageQuery } from "./cursor-page.ts";
import { sendEvents } from "./detached.ts";
import { echoFor, viewOf } from "./echo.ts";
import { leaseOf } from "./request-memory.ts";
import { resource } from "./routes.ts";

/** What a client can do with a stored response, below the path where responses are created. */
export function serveStored(api: FastifyInstance, path: string, context: TransportContext): void {
  const { engine, policy } = context;
  resource(api, `${path}/:id`, {
    GET: async (request, reply) => {
      const { tenant, id } = named(request);
      const replay = parseReplay(request.query);
      const { chain: admit } = new ContextMemory(leaseOf(request));
      if (replay === null) return found(await engine.runs.retrieve(tenant, id, admit), id);
      const { after, obfuscated } = replay;
      const view = viewOf({ echo: null, obfuscated }, echoFor(policy, request.headers));
      await sendEvents(context, found(await engine.runs.follow(tenant, id, admit), id), reply, { view, after });
      return undefined;
    },
    DELETE: async (request) => {
      const { tenant, id } = named(request);
      if (!(await engine.delete(tenant, id))) throw responseNotFound(id);
      return { id, object: "response", deleted: true };
    },
  });
  resource(api, `${path}/:id/cancel`, {
    POST: async (request) => {
      const { tenant, id } = named(request);
      const response: Response = found(await engine.runs.cancel(tenant, id), id);
      if (response.background) return response;
      const message = "Cannot cancel a synchronous response: only one that was created with 'background: true' can be.";
      throw new ApiError("invalid_value", message);
    },
  });
  resource(api, `${path}/:id/input_items`, {
    GET: async (request) => {
      const { tenant, id } = named(request);
      const query = parsePageQuery(request.query);
      return pageOf(found(await engine.inputItems(tenant, id, leaseOf(request)), id), query, listed);
    },
  });
}

/**
 * Which events of a response are requested, and how; null when the request is for the response itself.
 * @throws ApiError `invalid_value`
 */
function parseReplay(query: unknown): { readonly after: number; readonly obfuscated: boolean } | null {
  const { stream, starting_after: after = "-1", include_obfuscation } = query as { readonly [name: string]: unknown };
  const isStream = parseFlag("stream", stream);
  const obfuscated = parseFlag("include_obfuscation", include_obfuscation);
  const number = Number(after);
  if (!Number.isInteger(number) || after === "") {
    const message = "Invalid value for 'starting_after': expected the sequence number of an event.";
    throw new ApiError("invalid_value", message, { param: "starting_after" });
  }
  return isStream ? { after: number, obfuscated } : null;
}

function parseFlag(param: string, value: unknown): boolean {
  if (value === undefined || value === "false") return false;
  if (value === "true") return true;
  throw new ApiError("invalid_value", `Invalid value for '${param}': expected true or false.`, { param });
}

function named(request: FastifyRequest): { readonly tenant: Tenant; readonly id: string } {
  const { id } = request.params as { readonly id: string };
  return { tenant: request.getDecorator<Tenant>("tenant"), id };
}

/** @throws ApiError `not_found` */
function found<T>(value: T | undefined, id: string): T {
  if (value === undefined) throw responseNotFound(id);
  return value;
}
