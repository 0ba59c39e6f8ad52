import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { ApiError } from "../protocol/errors.ts";

export type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

type Method = "GET" | "POST" | "DELETE";

/** What a path does by each of its methods, and the refusal of it by any other. */
export function resource(app: FastifyInstance, url: string, handlers: { readonly [M in Method]?: Handler }): void {
  const allowed = Object.keys(handlers).flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
  for (const [method, handler] of Object.entries(handlers)) app.route({ method, url, handler });
  app.route({
    method: app.supportedMethods.filter((name) => !allowed.includes(name)),
    url,
    // Before the body, which may be of any kind then.
    onRequest: async (request, reply) => {
      reply.header("allow", allowed.join(", "));
      throw new ApiError("method_not_allowed", `Method ${request.method} is not allowed here.`);
    },
    handler: unknownRoute,
  });
}

export async function unknownRoute(request: FastifyRequest): Promise<never> {
  throw new ApiError("not_found", `Unknown request URL: ${request.method} ${request.url.split("?", 1)[0]}.`);
}
