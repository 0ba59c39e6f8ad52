import type { FastifyInstance } from "fastify";
import type { TransportPolicy } from "./policy.ts";

/**
 * Lets web pages of the origins that the operator allows read answers (CORS). Requests of other origins get no such
 * headers, so that a browser keeps the answers from their pages.
 */

/** Methods that the API has. */
const METHODS = "GET, POST, DELETE";
/** Headers of answers that a page may read besides the ones that every page may. */
const EXPOSED = "x-request-id, retry-after, retry-after-ms";
/** Seconds for which a browser need not ask again. */
const PREFLIGHT_SECONDS = 600;

export function allowOrigins(app: FastifyInstance, policy: Pick<TransportPolicy, "allowedOrigins">): void {
  if (policy.allowedOrigins.length === 0) return;
  app.addHook("onRequest", async (request, reply) => {
    // What comes depends on who asks, also for caches.
    reply.header("vary", "origin");
    const { origin } = request.headers;
    if (origin === undefined || !isAllowed(policy, origin)) return;
    reply.headers({ "access-control-allow-origin": origin, "access-control-expose-headers": EXPOSED });
    const method = request.headers["access-control-request-method"];
    if (request.method !== "OPTIONS" || method === undefined) return;
    const headers = request.headers["access-control-request-headers"];
    reply.code(204).headers({
      "access-control-allow-methods": METHODS,
      "access-control-max-age": String(PREFLIGHT_SECONDS),
      // The page may send what it likes: a key is looked at when the request itself comes.
      ...(headers !== undefined && { "access-control-allow-headers": headers }),
      ...(request.headers["access-control-request-private-network"] === "true" && {
        "access-control-allow-private-network": "true",
      }),
    });
    // A reply that was sent ends the request: no later hook runs.
    await reply.send();
  });
}

function isAllowed({ allowedOrigins }: Pick<TransportPolicy, "allowedOrigins">, origin: string): boolean {
  return allowedOrigins.includes("*") || allowedOrigins.includes(origin.toLowerCase());
}
