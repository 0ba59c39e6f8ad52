import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Tenant } from "../core/ports.ts";
import { ApiError, responseNotFound } from "../protocol/errors.ts";
import type { Response } from "../protocol/response.ts";
import type { TransportContext } from "./context.ts";
import { pageOf, parsePageQuery } from "./cursor-page.ts";
import { resource } from "./routes.ts";

/** What a client can do with a stored response, below the path where responses are created. */
export function serveStored(api: FastifyInstance, path: string, { engine }: TransportContext): void {
  resource(api, `${path}/:id`, {
    GET: async (request) => {
      const { tenant, id } = named(request);
      return found(await engine.retrieve(tenant, id), id);
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
      const response: Response = found(await engine.retrieve(tenant, id), id);
      if (response.background) return response;
      const message = "Cannot cancel a synchronous response: only one that was created with 'background: true' can be.";
      throw new ApiError("invalid_value", message);
    },
  });
  resource(api, `${path}/:id/input_items`, {
    GET: async (request) => {
      const { tenant, id } = named(request);
      const query = parsePageQuery(request.query);
      return pageOf(found(await engine.inputItems(tenant, id), id), query);
    },
  });
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
