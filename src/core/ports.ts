import type { Annotation, CompactionItem, Item, TokenLogprob } from "../protocol/items.ts";
import type { CreateRequest } from "../protocol/request.ts";
import type { OpaqueEvent } from "../protocol/opaque.ts";
import type { Usage } from "../protocol/response.ts";
import type { IdKind } from "../protocol/ids.ts";
import type { ErrorCode } from "../protocol/table.ts";
import type { ServerEvent } from "../protocol/events.ts";
import type { Memory } from "./budget.ts";
import type { Limits } from "./limits.ts";
import type { ResponseNode, Tenant } from "./node.ts";
import type { Admit, JsonValue, RecordChange, Records } from "./record-ports.ts";

/** Every interface that an adapter implements, and the values that cross it. */

export { DEFAULT_LIMITS, type Limits } from "./limits.ts";
export type { Tenant } from "./node.ts";
export type {
  Admit,
  JsonValue,
  ListOptions,
  NewRecord,
  RecordChange,
  RecordName,
  Records,
  StoreRecord,
} from "./record-ports.ts";

/** What produces output for a context: a model server, a hosted API, the simulator. */
export interface Backend {
  /**
   * Starts one generation. Batches arrive as the model produces them; the events of one batch (what one network chunk
   * held) reach the client in one write. The first batch says that the request was accepted; it may come empty, before
   * there is any output. The last event is a `finish`.
   *
   * @throws ApiError synchronously, or by the first `next`, when the backend refuses the request: the turn is then refused
   * before its first event. After that, failures reject the iteration, with an `ApiError` when the client may know why.
   * An abort of `signal` ends the iteration at once and leaves no connection behind.
   */
  stream(request: BackendRequest, signal: AbortSignal): AsyncIterable<readonly BackendEvent[]>;
  /** Names of the models it serves, as it knows them; empty when it cannot tell. Rejects when it is unreachable. */
  models(): Promise<readonly string[]>;
  /**
   * Takes a context in ahead of time, so that the model's prefix cache is warm when a turn continues from it. A backend
   * that cannot, or that was not told to, resolves at once.
   */
  prefill(request: BackendRequest, signal: AbortSignal): Promise<void>;
  /** Tokens that the request would have the model read: by its server's own count, or as near as can be told. */
  count(request: BackendRequest, signal: AbortSignal): Promise<number>;
  close(): Promise<void>;
}

export type BackendRequest = {
  /** The backend's own name of the model. */
  readonly model: string;
  /** The last node of the chain, or null at the start of one. Nodes are frozen, so what is made of one may be kept. */
  readonly parent: ResponseNode | null;
  /** The new input, after the chain. This very array becomes the node's input. */
  readonly input: readonly Item[];
  /**
   * Instructions, tools and the rest, as they are in force: with what items of the context have added and changed. Clients
   * repeat their tools, but within a session equal tools are one array.
   */
  readonly settings: Omit<CreateRequest, "input" | "model">;
  /** What the model sees in the place of a compaction item. @throws ApiError when it cannot be read here */
  readonly open: (item: CompactionItem) => Compacted;
  /** Stands for the client's connection: a key for what happens once per connection. */
  readonly session: object;
  /** How often the request may be sent again to a server that refuses it; undefined leaves it to the backend. */
  readonly retries?: number | undefined;
};

/** What a compaction item stands for. */
export type Compacted = {
  /** Whether the item stands for everything before it; otherwise what is before it is still said. */
  readonly replaces: boolean;
  readonly items: readonly Item[];
};

/** What a backend says while it generates. An item that a backend invents passes whole, as `item`. */
export type BackendEvent =
  | { readonly type: "text.delta"; readonly delta: string; readonly logprobs?: readonly TokenLogprob[] }
  | { readonly type: "refusal.delta"; readonly delta: string }
  | { readonly type: "reasoning.delta"; readonly delta: string }
  | { readonly type: "summary.delta"; readonly delta: string }
  /** A tool call begins. `key` names it among the calls of this response; calls may interleave. */
  | {
      readonly type: "call";
      readonly key: number;
      readonly kind: "function" | "custom";
      readonly callId: string | null;
      readonly name: string;
      /** The namespace of the tool, where it has one. */
      readonly namespace?: string | null;
      /** Whether the tool is async; the engine says so, and no backend has to. */
      readonly async?: true;
    }
  | { readonly type: "call.delta"; readonly key: number; readonly delta: string }
  /** The call is complete. Calls that are still open at the end are complete as well. */
  | { readonly type: "call.done"; readonly key: number }
  /** Belongs to the text that is open; without any it is dropped. */
  | { readonly type: "annotation"; readonly annotation: Annotation }
  | OpaqueEvent
  | { readonly type: "item"; readonly item: Item }
  | { readonly type: "usage"; readonly usage: Usage }
  | { readonly type: "finish"; readonly reason: FinishReason };

export type FinishReason = "stop" | "max_output_tokens" | "content_filter";

/** A model, by the backend's own name of it. */
export type ResolvedModel = { readonly backend: Backend; readonly model: string };

/** Model names to backends. */
export interface Models {
  /**
   * Takes time only where it has to ask what there is, and never for long.
   * @throws ApiError `model_not_found`
   */
  resolve(model: string): ResolvedModel | Promise<ResolvedModel>;
  /** The models that this server offers, by the names that clients use. */
  list(): Promise<readonly string[]>;
  /** The model that stands in for every name that nobody knows, where there is one. */
  readonly fallback?: string | null;
}

/** Keeps nodes beyond the session. All of its methods are per tenant: an id of another tenant does not exist. */
export interface Store {
  readonly records: Records;
  /**
   * Keeps a node that is new; when it resolves, the node and all changes of records are as durable as this store makes
   * them. Node and changes are one transaction.
   * @throws NotPut when nothing was written: the id was deleted, is there already, or a record has changed since
   */
  put(node: ResponseNode, options?: PutOptions): Promise<void>;
  /** Where there is a quota: @throws ApiError `tenant_storage_exceeded`, `server_storage_exceeded` when it is used up */
  checkRoom?(tenant: Tenant): Promise<void>;
  /** The node by itself; also one that cannot be continued, since an ancestor of it was never stored. */
  get(tenant: Tenant, id: string, admit?: Admit): Promise<StoredResponse | undefined>;
  /** What was recorded with the node; undefined when it is unknown, null when there was nothing. */
  recording(tenant: Tenant, id: string, admit?: Admit): Promise<JsonValue | undefined>;
  /** The node with its whole chain behind it; undefined when any of it is missing. */
  load(tenant: Tenant, id: string, admit?: Admit): Promise<ResponseNode | undefined>;
  /**
   * Deletes a response in one transaction: its node, its recording, and all records that are about it. False when there was
   * neither. The content stays, hidden, only while descendants or records stand on it. A tombstone keeps the id from being
   * put again.
   */
  delete(tenant: Tenant, id: string): Promise<boolean>;
  close(): Promise<void>;
}

export type PutOptions = {
  /** False for a node that no id leads to: it stands for records and descendants, and goes when none of them is left. */
  readonly listed?: boolean;
  /** How the response came to be, as `recording` gives it back; it is kept apart from the node, which is loaded without it. */
  readonly recording?: JsonValue;
  /** Changes of records that are written with the node, or not at all. */
  readonly changes?: readonly RecordChange[];
};

/** Why a store wrote nothing of a put. */
export type WhyNotPut =
  /** The id was deleted, and may not come back. */
  | "deleted"
  /** Another put came first. */
  | "exists"
  /** A record that was to change with the node has changed since it was read. */
  | "outdated";

const MESSAGE = {
  deleted: "The response was deleted, and its id may not be used again.",
  exists: "A response with this id is stored already.",
  outdated: "A record that belongs to the response has changed.",
} as const satisfies Record<WhyNotPut, string>;

/** A put that has changed nothing. */
export class NotPut extends Error {
  override readonly name = "NotPut";
  readonly why: WhyNotPut;

  constructor(why: WhyNotPut) {
    super(MESSAGE[why]);
    this.why = why;
  }
}

/** What a store has of one node. */
export type StoredResponse = Pick<ResponseNode, "input" | "response">;

/** Seals texts that clients keep for the server and cannot read. All of it is per tenant. */
export interface Seal {
  seal(tenant: Tenant, text: string): string;
  /**
   * Undefined when it was not sealed for this tenant, or not by a key that is known here.
   * @throws RangeError when the text has more than `limit` bytes; no more of it is unpacked
   */
  open(tenant: Tenant, sealed: string, limit: number): string | undefined;
}

/** Lets clients in. */
export interface Access {
  /** Whether a client needs a key at all. */
  needsKey(): Promise<boolean>;
  /**
   * @param authorization the header of that name
   * @throws ApiError `invalid_api_key`, and `rate_limit_exceeded` after many wrong keys from the address
   */
  authenticate(authorization: string | undefined, address?: string): Promise<Permit>;
}

/**
 * What a client may do, by the key that it has shown. A connection holds it for all its life; what has become of the key
 * since then is looked up before each turn.
 */
export interface Permit {
  readonly tenant: Tenant;
  /** What its operator calls the key; null where no key was needed. Never the key itself. */
  readonly keyName: string | null;
  /**
   * Counts one turn in.
   * @throws ApiError `invalid_api_key`, `model_not_found`, `rate_limit_exceeded`
   */
  admit(model: string): Promise<void>;
  /** Counts the tokens of a turn that has ended. */
  charge(tokens: number): void;
  /** Whether the key is good for this model. */
  allowsModel(model: string): boolean;
  /** @throws ApiError `rate_limit_exceeded` when there can be no further WebSocket connection now */
  checkConnection(): void;
  /** Counts a WebSocket connection in. @returns what counts it out again */
  connect(): () => void;
}

/** Time, chance and identity. */
export interface Runtime {
  /** Milliseconds since 1970. */
  now(): number;
  /** Milliseconds of a clock that only goes forward. */
  monotonic(): number;
  /** Does something again and again, until the returned function is called; it keeps no process alive. */
  every(milliseconds: number, task: () => void): () => void;
  /** Lets what is under way go first, such as a request that has been handed over and is to be sent. */
  pause(): Promise<void>;
  newId(kind: IdKind): string;
}

/**
 * Takes the events of a turn, in order. A promise means "wait, I am full"; it resolves when there is room again, and also
 * when the client is gone.
 */
export type Emit = (events: readonly ServerEvent[]) => void | Promise<void>;

export type Transport = "http" | "sse" | "websocket";

/** What operators see of the engine: metrics, log and dashboard all hang here. */
export interface Observer {
  observe(event: EngineEvent): void;
}

export type EngineEvent =
  | { readonly kind: "session.opened"; readonly tenant: Tenant; readonly session: string }
  | { readonly kind: "session.closed"; readonly tenant: Tenant; readonly session: string }
  | { readonly kind: "turn.started"; readonly tenant: Tenant; readonly responseId: string }
  | ({ readonly kind: "turn.ended" } & TurnReport);

/** One finished turn. Times are milliseconds, sizes are bytes. */
export type TurnReport = {
  readonly tenant: Tenant;
  readonly transport: Transport;
  readonly session: string;
  /** Id of the HTTP request or of the WebSocket upgrade that it came by; null for a caller without one. */
  readonly requestId: string | null;
  readonly keyName: string | null;
  readonly responseId: string;
  readonly previousResponseId: string | null;
  readonly model: string;
  /** `abandoned`: the client left before the end. `refused`: the client got an error and no event. */
  readonly outcome: "completed" | "incomplete" | "failed" | "abandoned" | "refused";
  readonly errorCode: ErrorCode | null;
  /** The error that stays on this side of the wire. */
  readonly cause: unknown;
  readonly itemsIn: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly usage: Usage | null;
  /** Whether the model has summarised the context on the way. */
  readonly compacted: boolean;
  /** From the start of the turn to its first delta or item; null when there was none. */
  readonly timeToFirstOutput: number | null;
  readonly duration: number;
  /** Whether the response may be kept beyond memory; of one that may not, no word is written anywhere. */
  readonly store: boolean;
};

/** What the engine runs on. */
export type EnginePorts = {
  readonly models: Models;
  readonly store: Store;
  readonly runtime: Runtime;
  readonly observer: Observer;
  readonly seal: Seal;
  readonly limits: Limits;
  /** The budgets of live bytes; without one there is no limit. */
  readonly memory?: Memory;
};
