import { onTestFinished } from "vitest";
import { Engine } from "../../src/core/engine.ts";
import {
  type Backend,
  DEFAULT_LIMITS,
  type EngineEvent,
  type Limits,
  type Models,
  type Store,
} from "../../src/core/ports.ts";
import type { ApiKey } from "../../src/keys/configured-keys.ts";
import { KeyRing } from "../../src/keys/key-ring.ts";
import type { WrongKey } from "../../src/keys/wrong-keys.ts";
import { modelNotFound } from "../../src/protocol/errors.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ClearSeal, FakeRuntime, ScriptedBackend, type Step } from "../../src/testing/index.ts";
import type { Tls } from "../../src/transports/http.ts";
import type { TransportLimits } from "../../src/transports/limits.ts";
import type { Load } from "../../src/transports/load.ts";
import type { TransportPolicy } from "../../src/transports/policy.ts";
import { Memory, type MemoryLimits } from "../../src/core/budget.ts";
import { Listener } from "../../src/transports/listener.ts";
import { HttpClient } from "./http-client.ts";
import { WsClient, type WsClientOptions } from "./ws-client.ts";

export type TestServerOptions = {
  readonly steps?: Iterable<Step>;
  readonly keys?: readonly ApiKey[];
  readonly limits?: Partial<Limits>;
  readonly memory?: MemoryLimits;
  readonly transportLimits?: Partial<TransportLimits>;
  readonly policy?: Partial<TransportPolicy>;
  readonly load?: Load;
  readonly models?: Models;
  readonly store?: Store;
  readonly tls?: Tls;
};

/** The one model that the servers of the tests offer. */
export const MODEL = "scripted";

/** Everything between a socket and a script, on a port of its own until the test is over. */
export class TestServer {
  readonly backend: ScriptedBackend;
  readonly store: Store;
  readonly runtime = new FakeRuntime();
  readonly engine: Engine;
  readonly listener: Listener;
  /** What an operator would have seen. */
  readonly events: EngineEvent[] = [];
  /** Unexpected errors that the transports reported. */
  readonly errors: unknown[] = [];
  /** Why clients were cut. */
  readonly cuts: string[] = [];
  /** Wrong keys that an operator would have heard of. */
  readonly wrongKeys: WrongKey[] = [];
  #url = "";

  constructor(options: TestServerOptions) {
    this.backend = new ScriptedBackend(options.steps);
    this.store = options.store ?? new MemoryStore({ budgetBytes: 16 * 1024 * 1024 });
    this.engine = new Engine({
      models: options.models ?? modelsOf(this.backend),
      store: this.store,
      runtime: this.runtime,
      seal: new ClearSeal(),
      observer: { observe: (event) => this.events.push(event) },
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      memory: new Memory(options.memory),
    });
    this.listener = new Listener({
      engine: this.engine,
      runtime: this.runtime,
      access: new KeyRing({
        configured: options.keys ?? [],
        records: this.store.records,
        runtime: this.runtime,
        isClosed: false,
        onWrongKey: (wrong) => this.wrongKeys.push(wrong),
      }),
      version: "0.0.0-test",
      // A machine that is busy with tests is not what the watch over the load is for.
      limits: { closeMs: 500, maxLoopDelayMs: 0, ...options.transportLimits },
      ...(options.policy && { policy: options.policy }),
      ...(options.load && { load: options.load }),
      ...(options.tls && { tls: options.tls }),
      onCut: (reason) => this.cuts.push(reason),
      onError: (error) => this.errors.push(error),
      report: (report) => {
        if (report.kind === "refused" && report.status >= 500 && report.cause !== undefined)
          this.errors.push(report.cause);
      },
    });
  }

  async start(): Promise<void> {
    this.#url = (await this.listener.listen({ host: "127.0.0.1", port: 0 })).url;
  }

  get url(): string {
    return this.#url;
  }

  /** A new WebSocket connection. */
  connect({
    path = "/v1/responses",
    ...options
  }: WsClientOptions & { readonly path?: string } = {}): Promise<WsClient> {
    return WsClient.open(`${this.#url.replace(/^http/, "ws")}${path}`, options);
  }

  http(key?: string): HttpClient {
    return new HttpClient(this.#url, key);
  }
}

export async function startServer(options: TestServerOptions = {}): Promise<TestServer> {
  const server = new TestServer(options);
  await server.start();
  onTestFinished(async () => {
    await server.listener.close();
    await server.backend.close();
  });
  return server;
}

function modelsOf(backend: Backend): Models {
  return {
    resolve: (model) => {
      if (model !== MODEL) throw modelNotFound(model);
      return { backend, model };
    },
    list: () => Promise.resolve([MODEL]),
  };
}

/** Waits until something that no frame tells is so, one round of the event loop at a time; a test's own limit ends it. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}
