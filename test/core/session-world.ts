import type { ResponseNode } from "../../src/core/node.ts";
import type { BackendEvent, BackendRequest, FinishReason, Limits } from "../../src/core/ports.ts";
import type { Session } from "../../src/core/session.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import { isTerminal, type ServerEvent } from "../../src/protocol/events.ts";
import { type Item, isItem, isToolCall, isToolOutput } from "../../src/protocol/items.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import type { Response } from "../../src/protocol/response.ts";
import { parseSteer } from "../../src/protocol/steer.ts";
import { makeEngine } from "./harness.ts";
import { HandBackend, HandStore } from "./session-hands.ts";

/**
 * A connection of which the test moves every part: what its client says and takes, what its backend says, and when its
 * store has stored. Responses have names here: that of the request, with a `+` for each successor. Items are labels.
 */

/** One thing that happens. `name` is a response's, and one that nobody has is an id that nobody knows. */
export type Action =
  | ({ readonly act: "create" } & CreateAction)
  | { readonly act: "steer"; readonly name: string; readonly label: string; readonly valid: boolean }
  | { readonly act: "interrupt"; readonly name: string | null; readonly mode: string | null }
  | { readonly act: "say"; readonly name: string; readonly events: readonly BackendEvent[] }
  | { readonly act: "finish"; readonly name: string; readonly reason: FinishReason; readonly ends: boolean }
  | { readonly act: "end" | "fail"; readonly name: string }
  | { readonly act: "down" | "hold" | "slow"; readonly is: boolean }
  | { readonly act: "stored"; readonly name: string; readonly ok: boolean }
  | { readonly act: "keepAlive" | "refuse" | "stop" | "close" };

export type CreateAction = {
  readonly name: string;
  readonly lane: string;
  readonly parent: string | null;
  readonly input: readonly string[];
  readonly generate: boolean;
  readonly store: boolean;
  readonly compacts: boolean;
  /** One that nobody serves is refused, and one with UNREADABLE stands for a request that the transport could not read. */
  readonly model: string;
};

export const UNREADABLE = "unreadable";

/** What a backend was asked. */
type Asked = { readonly name: string; readonly context: readonly string[]; readonly frozen: boolean };

/** Small, so that every bound is met. */
export const LIMITS: Limits = {
  sessionBytes: 1 << 30,
  turns: 1 << 30,
  turnsPerTenant: 1 << 30,
  contextBytes: Infinity,
  conversationDays: 0,
  conversationItems: 10_000,
  acceptMs: 0,
  turnsInFlight: 3,
  queuedTurns: 4,
  laneNames: 3,
  pendingSteers: 2,
  detachedRuns: 2,
  detachedRunsPerTenant: 2,
  compactTokens: 1 << 30,
  compactBytes: 1 << 30,
  referencedResponses: 2,
  leaseMs: 15_000,
};

/** Made elsewhere: by another connection of this tenant, stored or not, and by another tenant. */
export const ELSEWHERE = "elsewhere";
export const HIDDEN = "hidden";
export const THEIRS = "theirs";

export class World {
  readonly session: Session;
  /** What was said on each lane, in short, in the order of all. */
  readonly history: { readonly lane: string; readonly line: string }[] = [];
  /** All events of each response, by its name. */
  readonly events = new Map<string, ServerEvent[]>();
  readonly asked: Asked[] = [];
  readonly created: CreateAction[] = [];
  readonly #backend = new HandBackend((request) => this.#note(request));
  readonly #store = new HandStore();
  readonly #engine = makeEngine({ backend: this.#backend, store: this.#store, limits: LIMITS });
  readonly #ids = new Map<string, string>();
  readonly #steers = new Map<string, string>();
  #label = "";
  readonly #successors = new Map<string, number>();
  readonly #calls = new Map<string, number>();
  readonly #current = new Map<string, string>();
  #room: PromiseWithResolvers<void> | null = null;
  /** Called after every write. */
  onWrite: () => void = () => undefined;

  private constructor() {
    this.session = this.#engine.open();
  }

  static async open(): Promise<World> {
    const world = new World();
    const foreign = [
      { name: ELSEWHERE, tenant: "acme", store: true },
      { name: HIDDEN, tenant: "acme", store: false },
      { name: THEIRS, tenant: "other", store: true },
    ];
    for (const { name, tenant, store } of foreign) {
      const session = world.#engine.open(tenant);
      const request = { model: "m", generate: false, store, input: name, metadata: { name } };
      const emit = (events: readonly ServerEvent[]): void => {
        for (const event of events) if (isTerminal(event)) world.#ids.set(name, event.response.id);
      };
      await session.create(parseCreateRequest(request), { emit, bytesIn: 0, bytesOut: () => 0 });
      if (name !== HIDDEN) session.close();
    }
    world.asked.length = 0;
    return world;
  }

  /** Names of responses whose backend is listened to, and of those that are being stored. */
  get generating(): readonly string[] {
    return [...this.#backend.calls].flatMap(([name, call]) => (call.isOpen ? name : []));
  }
  get storing(): readonly string[] {
    return [...this.#store.puts.keys()].map((id) => this.nameOf(id));
  }
  /** Turns that have begun and not ended. */
  get turnsOpen(): number {
    const count = (kind: string): number => this.#engine.observed.filter((event) => event.kind === kind).length;
    return count("turn.started") - count("turn.ended");
  }
  /** Whether the backend has said that it is done, and has not ended its stream. */
  isFinished(name: string): boolean {
    return this.#backend.calls.get(name)?.isFinished ?? false;
  }

  nameOf(id: string): string {
    return [...this.#ids].find(([, known]) => known === id)?.[0] ?? id.replace("resp_of_", "");
  }

  heard(lane: string): readonly string[] {
    return this.history.flatMap((each) => (each.lane === lane ? each.line : []));
  }

  /** The response as its terminal event showed it. */
  response(name: string): Response | undefined {
    return this.events.get(name)?.find(isTerminal)?.response;
  }

  callsOf(name: string): readonly string[] {
    const output: readonly Item[] = this.response(name)?.output ?? [];
    return output.filter(isToolCall).map((call) => call.call_id);
  }

  drain(): Promise<void> {
    return this.#engine.engine.drain(AbortSignal.abort());
  }

  act(action: Action): void {
    switch (action.act) {
      case "create":
        return this.#create(action);
      case "steer": {
        const input = action.valid ? action.label : [{ role: "system", content: action.label }];
        const steer = parseSteer({ previous_response_id: this.#idOf(action.name), input });
        this.#label = action.label;
        return this.session.steer(steer, (event, lane) => this.#hear(event, lane));
      }
      case "interrupt":
        return this.session.interrupt(action.name === null ? null : this.#idOf(action.name), action.mode);
      case "say":
        return this.#backend.calls.get(action.name)?.say(action.events);
      case "finish":
        return this.#backend.calls.get(action.name)?.finish(action.reason, action.ends);
      case "end":
        return this.#backend.calls.get(action.name)?.end(null);
      case "fail":
        return this.#backend.calls.get(action.name)?.end(new Error("the backend broke"));
      case "down":
        this.#backend.isDown = action.is;
        return;
      case "hold":
        this.#store.holds = action.is;
        return;
      case "stored":
        return this.#store.release(this.#idOf(action.name), action.ok);
      case "slow":
        if (action.is) this.#room ??= Promise.withResolvers<void>();
        else this.#room?.resolve();
        if (!action.is) this.#room = null;
        return;
      case "keepAlive":
        return this.session.keepAlive();
      case "refuse":
      case "stop":
        this.session.refuse(new ApiError("server_shutting_down", "No."));
        // What a drain does when it can wait no longer.
        if (action.act === "stop") this.session.stop("shutting_down");
        return;
      case "close":
        this.session.close();
        // What an outbox does for those who wait for it.
        this.#room?.resolve();
        return;
      default:
        action satisfies never;
    }
  }

  #create(create: CreateAction): void {
    const { name, lane, parent, input, compacts, ...fields } = create;
    this.created.push(create);
    const request = {
      ...fields,
      input: input.map(itemOf),
      previous_response_id: parent === null ? null : this.#idOf(parent),
      metadata: { name },
      context_management: compacts ? [{ type: "compaction" }] : null,
    };
    const sink = {
      bytesIn: 0,
      bytesOut: () => 0,
      emit: (events: readonly ServerEvent[]): void | Promise<void> => {
        for (const event of events) this.#hear(event, lane);
        this.onWrite();
        return this.#room?.promise;
      },
      refuse: (error: ApiError) => {
        this.#tell(lane, `${name} refused ${error.code}`);
        this.onWrite();
      },
    };
    const unreadable = new ApiError("invalid_value", "No.");
    if (create.model === UNREADABLE) void this.session.reject(unreadable, sink, lane);
    else void this.session.create(parseCreateRequest(request), sink, lane);
  }

  #idOf(name: string): string {
    return this.#ids.get(name) ?? `resp_of_${name}`;
  }

  #note(request: BackendRequest): string {
    const root = request.settings.metadata["name"] ?? "";
    const count = this.#calls.get(root) ?? 0;
    this.#calls.set(root, count + 1);
    const name = root + "+".repeat(count);
    const chain: ResponseNode[] = [];
    for (let node = request.parent; node !== null; node = node.parent) chain.unshift(node);
    const items = chain.flatMap((node) => [...node.input, ...(node.response.output as readonly Item[])]);
    const frozen = chain.every((node) =>
      [node, node.input, node.response, node.response.output].every(Object.isFrozen),
    );
    this.asked.push({ name, context: [...items, ...request.input].map(labelOf), frozen });
    return name;
  }

  /** Which response an event tells of: steers say so, and all else is of the one that began last on its lane. */
  #hear(event: ServerEvent, lane: string): void {
    if (event.type === "response.created") {
      const root = event.response.metadata["name"] ?? "";
      const count = this.#successors.get(root) ?? 0;
      this.#successors.set(root, count + 1);
      this.#current.set(lane, root + "+".repeat(count));
      this.#ids.set(root + "+".repeat(count), event.response.id);
    }
    const steered = "steer" in event ? this.nameOf(event.steer.previous_response_id) : null;
    const name = steered ?? this.#current.get(lane) ?? "";
    const isOurs = event.type === "response.created" || this.events.has(name);
    if (isOurs) this.events.set(name, [...(this.events.get(name) ?? []), event]);
    const line = this.#describe(event);
    if (line !== null) this.#tell(lane, `${name} ${line}`);
  }

  #describe(event: ServerEvent): string | null {
    if ("steer" in event) return this.#describeSteer(event);
    const type = event.type.replace("response.", "");
    if (!isTerminal(event)) return TOLD.has(type) ? type : null;
    const { error, incomplete_details } = event.response;
    const why = error?.code ?? incomplete_details?.reason;
    return why === undefined ? type : `${type} ${why}`;
  }

  #describeSteer(event: Extract<ServerEvent, { steer: object }>): string {
    const label = this.#steers.get(event.steer.id ?? "");
    switch (event.type) {
      case "response.steer.accepted":
        // It is said in the very call that steers.
        this.#steers.set(event.steer.id, this.#label);
        return `accepts ${this.#label}`;
      case "response.steer.pending":
        return `waits ${label} ${event.required_input.map((stub) => stub.call_id).join()}`;
      case "response.steer.failed":
        return label === undefined ? `takes no steer: ${event.error.code}` : `returns ${label}`;
      default:
        return event satisfies never;
    }
  }

  #tell(lane: string, line: string): void {
    this.history.push({ lane, line });
  }
}

/** Beside the terminal events and steers, what the model tells as well. */
const TOLD = new Set(["created", "interrupt.accepted", "interrupt.failed", "output_item.interrupted", "keepalive"]);

function itemOf(label: string): object {
  const [kind, callId] = label.split(" ");
  return kind === "out" && callId !== undefined
    ? { type: "function_call_output", call_id: callId, output: "" }
    : { type: "message", role: "user", content: label };
}

export function labelOf(item: Item): string {
  if (isToolOutput(item)) return `out ${item.call_id}`;
  if (isToolCall(item)) return `call ${item.call_id}`;
  const content = isItem(item, "message") || isItem(item, "reasoning") ? (item.content ?? []) : [];
  return typeof content === "string" ? content : content.map((part) => String(part["text"])).join("");
}
