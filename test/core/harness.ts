import { Memory, type MemoryLimits } from "../../src/core/budget.ts";
import { Engine } from "../../src/core/engine.ts";
import type { ResponseNode } from "../../src/core/node.ts";
import {
  type Backend,
  DEFAULT_LIMITS,
  type EngineEvent,
  type JsonValue,
  type Limits,
  type PutOptions,
  type Store,
  type StoredResponse,
  type TurnReport,
} from "../../src/core/ports.ts";
import type { Session, TurnSink } from "../../src/core/session.ts";
import type { TurnEnd } from "../../src/core/turn.ts";
import { ApiError, modelNotFound } from "../../src/protocol/errors.ts";
import { isTerminal, type ServerEvent, type TerminalEvent } from "../../src/protocol/events.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import type { Response } from "../../src/protocol/response.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { ClearSeal, FakeRuntime, ScriptedBackend, type Step } from "../../src/testing/index.ts";

export type EngineFields = {
  readonly steps?: Iterable<Step>;
  readonly backend?: Backend;
  readonly store?: Store;
  readonly limits?: Partial<Limits>;
  readonly memory?: MemoryLimits;
};

/** An engine with everything that it stands on, and what it told its observer. */
export type TestEngine = {
  readonly engine: Engine;
  readonly scripted: ScriptedBackend;
  readonly store: Store;
  readonly runtime: FakeRuntime;
  readonly observed: readonly EngineEvent[];
  readonly reports: () => readonly TurnReport[];
  readonly open: (tenant?: string) => Session;
};

export function makeEngine(fields: EngineFields = {}): TestEngine {
  const scripted = new ScriptedBackend(fields.steps);
  const backend = fields.backend ?? scripted;
  const store = fields.store ?? new MemoryStore({ budgetBytes: 1 << 30 });
  const runtime = new FakeRuntime();
  const observed: EngineEvent[] = [];
  const engine = new Engine({
    models: {
      resolve: (model) => {
        if (model !== "m") throw modelNotFound(model);
        return { backend, model: "its own name" };
      },
      list: async () => ["m"],
    },
    store,
    runtime,
    seal: new ClearSeal(),
    observer: { observe: (event) => observed.push(event) },
    limits: { ...DEFAULT_LIMITS, ...fields.limits },
    memory: new Memory(fields.memory),
  });
  return {
    engine,
    scripted,
    store,
    runtime,
    observed,
    reports: () => observed.flatMap((event) => (event.kind === "turn.ended" ? event : [])),
    open: (tenant = "acme") => engine.openSession({ tenant, transport: "websocket" }),
  };
}

export type TurnFields = {
  readonly lane?: string;
  /** Takes the events as the client would; a promise means that it is behind. */
  readonly emit?: (events: readonly ServerEvent[]) => void | Promise<void>;
  readonly refuse?: (error: ApiError) => void;
};

/** One turn as its client sees it, while it runs and after. */
export class TestTurn {
  readonly events: ServerEvent[] = [];
  /** How many events came together, write by write. */
  readonly writes: number[] = [];
  readonly refusals: ApiError[] = [];
  readonly end: Promise<TurnEnd>;
  readonly #begun = Promise.withResolvers<void>();

  constructor(session: Session, request: object, fields: TurnFields = {}) {
    const sink: TurnSink = {
      bytesIn: 10,
      bytesOut: () => this.events.length,
      emit: (events) => {
        this.events.push(...events);
        this.writes.push(events.length);
        this.#begun.resolve();
        return fields.emit?.(events);
      },
      refuse: (error) => {
        this.refusals.push(error);
        fields.refuse?.(error);
      },
    };
    this.end = session.create(parseCreateRequest({ model: "m", input: "Hi", ...request }), sink, fields.lane);
  }

  /** Resolves when the first events are there. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  get terminal(): TerminalEvent | undefined {
    return this.events.find(isTerminal);
  }

  /** The response in its last form. */
  async response(): Promise<Response> {
    const { error } = await this.end;
    if (this.terminal === undefined) throw new Error("the turn has no response", { cause: error });
    return this.terminal.response;
  }

  /** The code of the error that ended the turn. */
  async code(): Promise<string | null> {
    const { outcome, error } = await this.end;
    return error === null ? outcome : error.code;
  }
}

export function turn(session: Session, request: object = {}, fields: TurnFields = {}): TestTurn {
  return new TestTurn(session, request, fields);
}

/** The events of a response as they are streamed again. */
export async function eventsOf(engine: Engine, id: string): Promise<readonly ServerEvent[]> {
  const all: ServerEvent[] = [];
  const followed = await engine.runs.follow("acme", id);
  for await (const events of followed?.events() ?? []) all.push(...events);
  return all;
}

/** Everything that only waits for promises has happened. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A store that a test holds in its hand: it says what it is asked, and waits or fails when told to. */
export class JournalStore implements Store {
  readonly #inner = new MemoryStore({ budgetBytes: 1 << 30 });
  readonly records = this.#inner.records;
  readonly journal: string[];
  /** Called before the store does what it is asked. */
  before: (act: "put" | "load", id: string) => Promise<void> = async () => undefined;

  constructor(journal: string[] = []) {
    this.journal = journal;
  }

  async put(node: ResponseNode, options?: PutOptions): Promise<void> {
    this.journal.push(`put ${node.id}`);
    await this.before("put", node.id);
    await this.#inner.put(node, options);
    this.journal.push(`kept ${node.id}`);
  }

  async load(tenant: string, id: string): Promise<ResponseNode | undefined> {
    this.journal.push(`load ${id}`);
    await this.before("load", id);
    return this.#inner.load(tenant, id);
  }

  get(tenant: string, id: string): Promise<StoredResponse | undefined> {
    return this.#inner.get(tenant, id);
  }

  recording(tenant: string, id: string): Promise<JsonValue | undefined> {
    return this.#inner.recording(tenant, id);
  }

  delete(tenant: string, id: string): Promise<boolean> {
    return this.#inner.delete(tenant, id);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
