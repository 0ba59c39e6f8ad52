/**
 * Turnwire as a library: a server in your own process, with your own backend, store or observer where you have one.
 *
 * ```ts
 * import { startServer } from "turnwire";
 *
 * const server = await startServer({ port: 0, backend: "http://localhost:8000/v1" });
 * console.log(server.url);
 * await server.close();
 * ```
 */

/** Starting a server, and what it is made of. */
export { type RunningServer, type ServerParts, StartError, startServer } from "./server.ts";
/** Reading a configuration from flags, environment and file, as the command line does. */
export { ConfigError, type ConfigSources, parseConfig, type ParsedConfig } from "./config.ts";
export type { Config } from "./settings.ts";
/** The engine without any transport: sessions, turns and chains, for other ways in. */
export { Engine } from "./core/engine.ts";
/** What can be put in the place of Turnwire's own: where output comes from, where nodes are kept, who watches. */
export type {
  Backend,
  BackendEvent,
  BackendRequest,
  EngineEvent,
  EnginePorts,
  Observer,
  Runtime,
  Store,
  StoredResponse,
  TurnReport,
} from "./core/ports.ts";
export type { ResponseNode } from "./core/node.ts";
/** A failure that a client may be told about; a backend throws it to say why. */
export { ApiError } from "./protocol/errors.ts";
/** The words of the wire. */
export type { ServerEvent } from "./protocol/events.ts";
export type { Item } from "./protocol/items.ts";
export type { Response } from "./protocol/response.ts";
