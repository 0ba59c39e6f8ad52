import type { CreateRequest } from "../protocol/request.ts";
import type { Batches } from "./batches.ts";
import { Compactions } from "./compacted.ts";
import { Compaction } from "./compaction.ts";
import { planCompaction } from "./compaction-plan.ts";
import type { ResponseNode } from "./node.ts";
import type { Backend, EnginePorts, Tenant } from "./ports.ts";
import { settingsInForce } from "./standing.ts";

/** What the model does for a turn. */
export type Generation = {
  /** Null for a warm-up, for which it does nothing that anybody waits for. */
  readonly batches: Batches | null;
  /** What the node of the turn stands on, which is not what the turn had where its context was compacted. */
  readonly rootOf: (
    node: Pick<ResponseNode, "parent" | "input" | "response">,
  ) => Pick<ResponseNode, "parent" | "input">;
};

type Subject = {
  readonly request: CreateRequest;
  readonly parent: ResponseNode | null;
  readonly tenant: Tenant;
  readonly responseId: string;
  readonly backend: Backend;
  /** The backend's own name of the model. */
  readonly model: string;
  /** Stands for the connection in front of the backend. */
  readonly session: object;
  /** Ends with the connection. */
  readonly sessionEnd: AbortSignal;
};

/** Asks the backend. @throws ApiError when the request is refused for its input, or for what it asks */
export function beginGeneration(
  ports: Pick<EnginePorts, "seal" | "limits">,
  subject: Subject,
  signal: AbortSignal,
): Generation {
  const { request, parent, tenant, responseId, backend, model, session, sessionEnd } = subject;
  const { input } = request;
  const compactions = new Compactions(ports.seal, tenant);
  compactions.check(input);
  const settings = settingsInForce(request, parent);
  const asked = { model, parent, input, settings, session, open: compactions.open };
  if (!request.generate) {
    // A warm-up is answered at once; a backend that really warms up does so on its own time.
    backend.prefill(asked, sessionEnd).catch(() => undefined);
    return { batches: null, rootOf: asMade };
  }
  const plan = planCompaction({ request, parent, compactions, limits: ports.limits, responseId });
  if (plan === null) return { batches: backend.stream(asked, signal)[Symbol.asyncIterator](), rootOf: asMade };
  const compaction = new Compaction(plan, compactions, backend, asked);
  return { batches: compaction.start(signal), rootOf: (node) => compaction.rootOf(node) };
}

function asMade({ parent, input }: Pick<ResponseNode, "parent" | "input">): Pick<ResponseNode, "parent" | "input"> {
  return { parent, input };
}
