import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { ChatCompletionsBackend } from "./backends/chat-completions.ts";
import { CoalescingBackend } from "./backends/coalesce.ts";
import { isAllowable, isSettable } from "./backends/extra-fields.ts";
import { ModelRegistry } from "./backends/registry.ts";
import { SimBackend } from "./backends/sim.ts";
import { completeConfig, isLoopback } from "./config.ts";
import { Memory } from "./core/budget.ts";
import { Engine } from "./core/engine.ts";
import { type Backend, DEFAULT_LIMITS, type Limits, type Observer, type Runtime, type Store } from "./core/ports.ts";
import { KeyBook } from "./keys/key-book.ts";
import { DEFAULT_TENANT, KeyRing } from "./keys/key-ring.ts";
import { createLog, flushLog, type Log, LogObserver, observers, withContentLog } from "./observe.ts";
import { wrongNode } from "./node-version.ts";
import { logTransports } from "./observe-transports.ts";
import { systemRuntime } from "./runtime.ts";
import { createSeal, openConfiguredStore } from "./configured-store.ts";
import type { Config } from "./settings.ts";
import { StartError } from "./start-error.ts";
import { type Sizes, sizesOf } from "./sizes.ts";
import type { CutReason } from "./transports/context.ts";
import { DEFAULT_TRANSPORT_LIMITS, type TransportLimits } from "./transports/limits.ts";
import { hostInUrl, Listener } from "./transports/listener.ts";
import { VERSION } from "./version.ts";

/** The composition root: the only file that knows every layer. */

/** A server that is listening. */
export type RunningServer = {
  /** Where it is reached, such as `http://127.0.0.1:4400`. */
  readonly url: string;
  readonly port: number;
  /** Whether clients need a key. */
  readonly needsKey: boolean;
  readonly models: Backend["models"];
  /** What it may use of memory. */
  readonly sizes: Sizes;
  /**
   * Refuses new turns, lets those that run end within `graceSeconds`, and resolves when nothing is left of the server.
   * Further calls wait for the same end.
   */
  readonly close: () => Promise<void>;
};

/** What takes the place of what the configuration would choose. The server closes all parts when it ends. */
export type ServerParts = {
  readonly backend?: Backend;
  readonly store?: Store;
  readonly runtime?: Runtime;
  readonly limits?: Partial<Limits>;
  readonly log?: Log;
  /** Sees what the log sees, besides it. */
  readonly observer?: Observer;
  /** Whether the server goes with the program that has started it; `/healthz` then says so. */
  readonly isTemporary?: boolean;
};

export { StartError } from "./start-error.ts";

/**
 * Starts a server. Settings that are left out have their defaults; `port: 0` takes a free port.
 * @throws ConfigError when the settings do not go together, StartError when the machine does not let it start
 */
export async function startServer(settings: Partial<Config> = {}, parts: ServerParts = {}): Promise<RunningServer> {
  const wrong = wrongNode();
  if (wrong !== null) throw new StartError(wrong);
  const config = completeConfig(settings);
  const tls = readTls(config);
  const log = parts.log ?? createLog({ level: config.logLevel, pretty: config.logFormat === "pretty" });
  const runtime = parts.runtime ?? systemRuntime;
  const backend = withCoalescing(parts.backend ?? createBackend(config, log), config);
  const store = parts.store ?? (await openConfiguredStore(config, log));
  const sizes = sizesOf(config);
  const engine = new Engine({
    models: new ModelRegistry({ backend, models: config.models, defaultModel: config.defaultModel ?? null }),
    store: config.logContent ? withContentLog(store, log) : store,
    runtime,
    observer: observers(new LogObserver(log), parts.observer, log),
    seal: createSeal(config, log),
    limits: { ...engineLimits(config, sizes), ...parts.limits },
    memory: new Memory({ serverBytes: sizes.memoryBytes, tenantBytes: sizes.memoryBytesPerTenant }),
  });
  const isForOthers = !isLoopback(config.host) && !config.allowUnauthenticated;
  const access = new KeyRing({
    configured: config.apiKeys,
    records: store.records,
    runtime,
    isClosed: isForOthers,
    onWrongKey: ({ address, count, isSlowed }) =>
      log.warn({ address, count }, isSlowed ? "too many wrong API keys: slowing the address" : "wrong API key"),
  });
  const listener = new Listener({
    engine,
    runtime,
    access,
    version: VERSION,
    isTemporary: parts.isTemporary ?? false,
    // Any read will do.
    probe: () => store.records.get({ tenant: DEFAULT_TENANT, kind: "probe", id: "probe" }),
    limits: transportLimits(config),
    policy: {
      webSocket: config.websocket === "on",
      allowedHosts: allowedHosts(config),
      allowedOrigins: config.allowOrigins,
      keepalive: config.keepalive,
      echo: config.echo,
      deflate: config.deflate,
    },
    ...(tls !== undefined && { tls }),
    onCut: cutLog(log),
    onError: (error, requestId) => log.error({ requestId, err: error }, "unexpected error"),
    report: logTransports(log),
  });
  const release = (): Promise<void> =>
    inTurn([() => listener.close(), () => backend.close(), () => store.close(), () => flushLog(log)]);
  const start = async () => {
    if (isForOthers && !(await access.hasKeys())) throw new StartError(whyNotOpen(config));
    const needsKey = await access.needsKey();
    return { ...(await listener.listen(config)), needsKey };
  };
  const address = await start().catch(async (error: unknown) => {
    await release();
    throw whyNotListening(error, config);
  });

  engine.runs.sweepRegularly((err) => log.error({ err }, "could not end the runs of stopped servers"));
  const shutDown = async (): Promise<void> => {
    listener.stopAccepting();
    await drain(engine, config.graceSeconds);
    await release();
  };
  let ended: Promise<void> | undefined;
  return { ...address, sizes, models: () => backend.models(), close: () => (ended ??= shutDown()) };
}

/** The keys in the store of a configuration, for its operator. */
export type OpenKeys = { readonly book: KeyBook; readonly close: () => Promise<void> };
export { makeFolder } from "./stores/make-folder.ts";
export type { KeyTerms } from "./keys/key-record.ts";
export type { KeyBook, ListedKey } from "./keys/key-book.ts";

/** @throws StartError when there is no such store */
export async function openKeys(config: Config): Promise<OpenKeys> {
  if (config.store === "memory:") {
    throw new StartError(
      "keys are kept in the store, and 'memory:' keeps nothing: give --store, or --api-key to serve",
    );
  }
  const store = await openConfiguredStore(config, createLog({ level: "silent" }));
  return { book: new KeyBook(store.records), close: () => store.close() };
}

/** Where a server of this configuration is reached from this machine. */
export function addressOf({ host, port, tlsCert }: Config): string {
  return `${tlsCert === undefined ? "http" : "https"}://${hostInUrl(host)}:${port}`;
}

/** The hosts that a server without keys answers to. Where others can reach it, any host: an operator may list those it has. */
function allowedHosts({ host, allowedHosts: listed }: Config): readonly string[] | null {
  if (!isLoopback(host) && listed.length === 0) return null;
  return [hostInUrl(host).toLowerCase(), ...listed];
}

function createBackend(config: Config, log: Log): Backend {
  if (config.backend === undefined) {
    const { simRounds: rounds, simTools: tools, simDelayMs: delayMs, simRate: tokensPerSecond } = config;
    return new SimBackend({ rounds, tools, mcpTools: config.mcpTools, delayMs, tokensPerSecond });
  }
  const { reasoningPassback: reasoning, backendMaxTokensField: maxTokens } = config;
  return new ChatCompletionsBackend({
    url: config.backend,
    key: config.backendKey ?? null,
    log,
    connectTimeoutMs: config.connectTimeout * 1000,
    firstByteTimeoutMs: config.firstByteTimeout * 1000,
    silenceTimeoutMs: config.silenceTimeout * 1000,
    retries: config.backendRetries,
    retryDelayMs: 250,
    dialects: { reasoning, maxTokens, ...config.backendDialect },
    thinkTags: config.thinkTags,
    strictTools: config.strictTools,
    mcpTools: config.mcpTools,
    extraBody: operatorFields(config.backendExtraBody, "--backend-extra-body"),
    defaultBody: operatorFields(config.backendDefaultBody, "--backend-default-body"),
    allowFields: allowableFields(config.backendAllowFields),
    prefill: config.prefill,
    tokenizer: config.tokenizer,
  });
}

function operatorFields(fields: Config["backendExtraBody"], flag: string): Config["backendExtraBody"] {
  const wrong = Object.keys(fields).find((field) => !isSettable(field));
  if (wrong === undefined) return fields;
  throw new StartError(`${flag}: '${wrong}' is set by this server for each request`);
}

function allowableFields(fields: readonly string[]): readonly string[] {
  const wrong = fields.find((field) => !isAllowable(field));
  if (wrong === undefined) return fields;
  throw new StartError(
    `--backend-allow-fields: '${wrong}' would let clients choose another model than the one that their key allows, or break the answer`,
  );
}

function withCoalescing(backend: Backend, { coalesceMs }: Config): Backend {
  return coalesceMs === 0 ? backend : new CoalescingBackend(backend, coalesceMs);
}

/** Runs every step, also after one that failed; then fails as the first of those did. */
async function inTurn(steps: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) await step().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

async function drain(engine: Engine, graceSeconds: number): Promise<void> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), graceSeconds * 1000);
  const giveUp = Promise.withResolvers<void>();
  // A turn may still hang on a client that does not read; its connection is about to be cut anyway.
  const lastTimer = setTimeout(giveUp.resolve, graceSeconds * 1000 + LAST_WORDS_MS);
  await Promise.race([engine.drain(deadline.signal), giveUp.promise]);
  clearTimeout(timer);
  clearTimeout(lastTimer);
}

/** For turns that were failed at the deadline to say so. */
const LAST_WORDS_MS = 2000;

/** The certificate, tried before anything is started: later a bad one would only show as failed handshakes. */
function readTls({ tlsCert, tlsKey }: Config) {
  if (tlsCert === undefined || tlsKey === undefined) return undefined;
  const tls = { cert: readPem(tlsCert), key: readPem(tlsKey) };
  try {
    createSecureContext(tls);
  } catch (error) {
    const message = `${tlsCert} and ${tlsKey} are not a certificate and its key: ${(error as Error).message}`;
    throw new StartError(message, { cause: error });
  }
  return tls;
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StartError(`${file} ${code === "ENOENT" ? "does not exist" : `cannot be read (${code})`}`, {
      cause: error,
    });
  }
}

function whyNotOpen({ host }: Config): string {
  const ways = "--api-key tenant=key, or --allow-unauthenticated if whoever reaches the port may use the model";
  return `--host "${host}" lets other machines connect, but there are no API keys: make one with 'turnwire keys add', or add ${ways}`;
}

/** Failures of `listen` that an operator can mend, in words. */
const LISTEN_FAILURES: { readonly [code: string]: (config: Config) => string } = {
  EADDRINUSE: ({ host, port }) => `port ${port} of ${host} is in use; choose another with --port`,
  EACCES: ({ port }) => `port ${port} is not for this user; choose one above 1023 with --port`,
  EADDRNOTAVAIL: notHere,
  ENOTFOUND: notHere,
  EAI_AGAIN: notHere,
};

function notHere({ host }: Config): string {
  return `${host} is not an address of this machine; choose another with --host`;
}

function whyNotListening(error: unknown, config: Config): unknown {
  const words = LISTEN_FAILURES[(error as NodeJS.ErrnoException).code ?? ""]?.(config);
  return words === undefined ? error : new StartError(words, { cause: error });
}

function engineLimits(config: Config, { contextBytes }: Sizes): Limits {
  return {
    ...DEFAULT_LIMITS,
    turns: config.maxTurns,
    turnsPerTenant: config.maxTurnsPerTenant,
    sessionBytes: config.sessionBytes,
    laneNames: config.maxLanes,
    turnsInFlight: config.maxTurnsInFlight,
    queuedTurns: config.maxQueuedTurns,
    detachedRuns: config.maxDetachedTurns,
    detachedRunsPerTenant: config.maxDetachedTurnsPerTenant,
    compactTokens: config.compactTokens,
    compactBytes: config.compactBytes,
    contextBytes,
    conversationDays: config.conversationDays,
    conversationItems: config.maxConversationItems,
    acceptMs: config.acceptTimeout * 1000,
  };
}

function transportLimits(config: Config): Partial<TransportLimits> {
  return {
    maxMessageBytes: config.maxMessageBytes,
    connectionMs: config.connectionMinutes * 60_000,
    pingMs: config.pingSeconds * 1000,
    silenceMs: config.keepaliveSeconds * 1000,
    maxConnections: config.maxConnections,
    maxConnectionsPerTenant: config.maxConnectionsPerTenant,
    maxDeflateConnections: config.maxDeflateConnections,
    maxLoopDelayMs: config.maxLoopDelayMs,
    maxValues: config.maxMessageValues,
    slowClientMs: config.slowReaderSeconds * 1000,
    requestMs: config.slowMessageSeconds * 1000,
    messageMs: config.slowMessageSeconds * 1000,
    requestHeaderMs: Math.min(DEFAULT_TRANSPORT_LIMITS.requestHeaderMs, config.slowMessageSeconds * 1000),
  };
}

/** One line for each client that was cut, with how many there were for the same reason. */
function cutLog(log: Log): (reason: CutReason) => void {
  const counts = new Map<CutReason, number>();
  return (reason) => {
    const count = (counts.get(reason) ?? 0) + 1;
    counts.set(reason, count);
    log.warn({ reason, count }, "cut a client");
  };
}
