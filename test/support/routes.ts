import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { FastifyInstance, RouteOptions } from "fastify";

/** The routes that a server has from its start on, as `POST /v1/responses`; without those that only refuse a method. */
export async function routesOf(start: () => Promise<unknown>): Promise<readonly string[]> {
  const routes = new Set<string>();
  const note = ({ method, url, onRequest }: RouteOptions): void => {
    // The refusal of a method is a route with a hook of its own.
    if (onRequest !== undefined) return;
    for (const name of [method].flat()) if (name !== "HEAD") routes.add(`${name} ${url}`);
  };
  const watch = (message: unknown): void => {
    (message as { readonly fastify: FastifyInstance }).fastify.addHook("onRoute", note);
  };
  subscribe("fastify.initialization", watch);
  try {
    await start();
  } finally {
    unsubscribe("fastify.initialization", watch);
  }
  return [...routes].toSorted();
}
