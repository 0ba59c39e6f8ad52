import type { Static, TSchema } from "typebox";
import {
  apiKeys,
  choice,
  hosts,
  integer,
  minutesOrNever,
  type Kind,
  onOff,
  optionalText,
  origins,
  seconds,
  secondsOrNever,
  size,
  text,
} from "./setting-kinds.ts";
import { ECHOES } from "./protocol/echo.ts";
import { MEMORY_SETTINGS } from "./settings-memory.ts";
import { MODEL_SETTINGS } from "./settings-model.ts";

/**
 * Every setting, said once. Types, flags, environment names, help texts, the table of `turnwire config` and the published
 * JSON schema all come from these rows.
 */

export const GROUPS = ["Server", "WebSocket", "Load", "Model", "Simulator", "Memory", "Logs"] as const;

export type Setting = Kind & {
  readonly group: (typeof GROUPS)[number];
  /** The flag, where it is not the name in kebab-case. */
  readonly flag?: string;
};

export const SETTINGS = {
  host: {
    ...text("<host>", "an address", { default: "127.0.0.1", description: "Address to listen on." }),
    group: "Server",
  },
  port: {
    ...integer({ minimum: 0, maximum: 65_535, default: 4400, description: "Port to listen on; 0 takes a free one." }),
    value: "<port>",
    group: "Server",
  },
  apiKeys: {
    ...apiKeys("A tenant and its key; without any, only this machine may connect."),
    flag: "api-key",
    group: "Server",
  },
  allowUnauthenticated: {
    ...onOff("Listen on other addresses without keys: whoever reaches the port may use the model."),
    group: "Server",
  },
  allowedHosts: {
    ...hosts(
      "Host names by which clients may address a server without keys, besides those of loopback, such as that of a proxy.",
    ),
    group: "Server",
  },
  tlsCert: {
    ...optionalText("<file>", "a file name", { description: "Certificate chain (PEM), for https and wss." }),
    group: "Server",
  },
  tlsKey: {
    ...optionalText("<file>", "a file name", { description: "Private key of the certificate (PEM)." }),
    group: "Server",
  },
  maxMessageBytes: {
    ...size({ default: "64MiB", description: "Largest request body or WebSocket message." }),
    group: "Server",
  },
  graceSeconds: {
    ...seconds({ default: 30, description: "How long running turns may go on when the server stops." }),
    group: "Server",
  },

  websocket: {
    ...choice(["on", "off"], {
      default: "on",
      description: "Take WebSocket connections; off answers them with 426, and clients use HTTP.",
    }),
    group: "WebSocket",
  },
  allowOrigins: {
    ...origins("Origin of web pages that may use the server, besides its own; '*' allows all."),
    flag: "allow-origin",
    group: "WebSocket",
  },
  connectionMinutes: {
    ...minutesOrNever({
      default: 60,
      description: "Age at which a connection takes no new turns and is closed after those it has; 0 is no limit.",
    }),
    group: "WebSocket",
  },
  pingSeconds: {
    ...secondsOrNever({
      default: 25,
      description: "Time between pings; three without an answer end the connection. 0 sends none.",
    }),
    group: "WebSocket",
  },
  keepalive: {
    ...choice(["auto", "on", "off"], {
      default: "auto",
      description: "Events that say nothing, in the silences of a turn; auto: for Codex, opencode and their like.",
    }),
    group: "WebSocket",
  },
  keepaliveSeconds: {
    ...secondsOrNever({
      default: 30,
      description: "Silence after which they are sent, and a comment over SSE to everybody; 0 is never.",
    }),
    group: "WebSocket",
  },
  echo: {
    ...choice(["auto", ...ECHOES], {
      default: "auto",
      description:
        "Which events repeat instructions and tools: all (full), the last (terminal) or none (minimal); auto: what the client reads.",
    }),
    group: "WebSocket",
  },
  coalesceMs: {
    ...integer({
      minimum: 0,
      maximum: 1000,
      default: 0,
      description:
        "Milliseconds for which deltas wait to be sent as one: fewer events, for slow links; 0 is not at all.",
    }),
    group: "WebSocket",
  },
  deflate: {
    ...choice(["auto", "on", "off"], {
      default: "auto",
      description: "Compression for clients that offer it; auto: unless they are on this machine.",
    }),
    group: "WebSocket",
  },
  maxDeflateConnections: {
    ...integer({
      minimum: 0,
      maximum: 1_000_000,
      default: 1000,
      description: "Connections that may compress at the same time; further ones do not.",
    }),
    group: "WebSocket",
  },
  maxLanes: {
    ...integer({ minimum: 1, maximum: 10_000, default: 32, description: "Lanes that one connection may name." }),
    group: "WebSocket",
  },
  maxTurnsInFlight: {
    ...integer({
      minimum: 1,
      maximum: 10_000,
      default: 16,
      description: "Turns of one connection that run at the same time, over all its lanes; more wait.",
    }),
    group: "WebSocket",
  },
  maxQueuedTurns: {
    ...integer({
      minimum: 1,
      maximum: 100_000,
      default: 64,
      description: "Turns of one connection that may wait; more are refused.",
    }),
    group: "WebSocket",
  },

  maxTurns: {
    ...integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 1024,
      description: "Turns that run at the same time, over HTTP and WebSocket; more are refused with 429.",
    }),
    group: "Load",
  },
  maxTurnsPerTenant: {
    ...integer({ minimum: 1, maximum: 1_000_000, default: 256, description: "The same, of one tenant." }),
    group: "Load",
  },
  maxConnections: {
    ...integer({
      minimum: 0,
      maximum: 1_000_000,
      default: 10_000,
      description: "WebSocket connections at the same time; 0 is no limit.",
    }),
    group: "Load",
  },
  maxDetachedTurns: {
    ...integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 256,
      description: "Turns at the same time that run in the background or have an idempotency key.",
    }),
    group: "Load",
  },
  maxDetachedTurnsPerTenant: {
    ...integer({ minimum: 1, maximum: 1_000_000, default: 64, description: "The same, of one tenant." }),
    group: "Load",
  },
  maxConnectionsPerTenant: {
    ...integer({
      minimum: 0,
      maximum: 1_000_000,
      default: 2000,
      description: "WebSocket connections of one tenant at the same time; 0 is no limit.",
    }),
    group: "Load",
  },
  maxMessageValues: {
    ...integer({
      minimum: 1000,
      maximum: 100_000_000,
      default: 1_000_000,
      description: "Arrays, objects and members in the JSON of one message: each takes more memory than its text.",
    }),
    group: "Load",
  },
  slowReaderSeconds: {
    ...seconds({
      default: 60,
      description: "Time that a client has to read 768 KiB of its answer, of whatever kind; then it is cut.",
    }),
    group: "Load",
  },
  slowMessageSeconds: {
    ...seconds({
      default: 300,
      description: "Time in which a request with its body, or a WebSocket message, must have arrived; then it is cut.",
    }),
    group: "Load",
  },
  maxLoopDelayMs: {
    ...integer({
      minimum: 0,
      maximum: 60_000,
      default: 500,
      description:
        "Delay of the process, in milliseconds, beyond which new turns and connections are refused; 0 is never.",
    }),
    value: "<ms>",
    group: "Load",
  },

  ...MODEL_SETTINGS,

  ...MEMORY_SETTINGS,

  logLevel: {
    ...choice(["trace", "debug", "info", "warn", "error", "silent"], {
      default: "info",
      description: "Least important line to log: trace, debug, info, warn, error or silent.",
    }),
    value: "<level>",
    group: "Logs",
  },
  logFormat: {
    ...choice(["auto", "json", "pretty"], {
      default: "auto",
      description: "How lines are written: json, pretty, or auto: pretty on a terminal.",
    }),
    value: "<json|pretty>",
    group: "Logs",
  },
  logContent: {
    ...onOff("Also log input and output of the responses that are stored; store:false is never logged."),
    group: "Logs",
  },
} as const satisfies { readonly [name: string]: Setting };

export type SettingName = keyof typeof SETTINGS;

type Value<Row> = Row extends { readonly decode: (value: never) => infer Decoded }
  ? Decoded
  : Row extends { readonly schema: infer Schema extends TSchema }
    ? Static<Schema>
    : never;

type OptionalName = {
  [Name in SettingName]: (typeof SETTINGS)[Name]["schema"] extends { readonly "~optional": unknown } ? Name : never;
}[SettingName];

/** A whole configuration, checked and with every default filled in. Sizes are bytes. */
export type Config = {
  readonly [Name in Exclude<SettingName, OptionalName>]: Value<(typeof SETTINGS)[Name]>;
} & { readonly [Name in OptionalName]?: Value<(typeof SETTINGS)[Name]> };
