import { type RunningServer, startServer } from "../../src/server.ts";
import type { ChatUpstream } from "./chat-upstream.ts";

type Options = NonNullable<Parameters<typeof startServer>[0]>;

/** A server in front of a chat server, on a free port; silent, never overloaded, and with a store that ends with it. */
export function startInFrontOf(upstream: ChatUpstream, options: Partial<Options> = {}): Promise<RunningServer> {
  const quiet = { store: "memory:", logLevel: "silent", maxLoopDelayMs: 0 } as const;
  return startServer({ port: 0, backend: upstream.url, ...quiet, ...options });
}
