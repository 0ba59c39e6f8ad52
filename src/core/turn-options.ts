import type { CreateRequest } from "../protocol/request.ts";
import type { ContextMemory } from "./context-memory.ts";
import type { ConversationTurn } from "./conversation-turn.ts";
import type { Detached } from "./detached.ts";
import type { ItemSource } from "./item-references.ts";
import type { ResponseNode } from "./node.ts";
import type { Emit, Permit, Tenant, Transport } from "./ports.ts";

/** Where a turn comes from, for its report. */
type TurnOrigin = {
  readonly tenant: Tenant;
  readonly transport: Transport;
  /** Id of the session. */
  readonly session: string;
  readonly requestId: string | null;
  /** Size of the request as it came. */
  readonly bytesIn: number;
  /** What has been sent of this turn so far. */
  readonly bytesOut: () => number;
};

/** What a turn is given beside the engine's ports. */
export type TurnOptions = {
  readonly request: CreateRequest;
  readonly origin: TurnOrigin;
  readonly emit: Emit;
  /** What it has when it outlives its client. */
  readonly detached: Detached | undefined;
  /** Stands for the connection in front of the backend. */
  readonly session: object;
  /** Ends with the connection. */
  readonly sessionEnd: AbortSignal;
  /** How often the backend may send the request again; undefined leaves it to the backend. */
  readonly retries: number | undefined;
  /** Asked whether the turn may be, and told what it has used. */
  readonly permit: Permit | undefined;
  /** What the turn holds of its context; whoever made it releases it. */
  readonly memory: ContextMemory;
  /** The conversation that the turn takes part in, which then says what it continues. */
  readonly conversation: ConversationTurn | null;
  /** Finds the parent. @throws ApiError `previous_response_not_found` */
  readonly resolveParent: () => Promise<ResponseNode | null>;
  /** Where items are found that the input refers to. */
  readonly items: ItemSource;
  /** Keeps the node in the session. */
  readonly keep: (node: ResponseNode) => void;
  /** Told right before the first event, from when on the turn can be named by its response's id. */
  readonly begun: () => void;
};
