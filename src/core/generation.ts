import type { CreateRequest } from "../protocol/request.ts";
import { Compactions } from "./compacted.ts";
import { Compaction, type CompactionEvent } from "./compaction.ts";
import { planCompaction } from "./compaction-plan.ts";
import type { ResponseNode } from "./node.ts";
import type { BackendEvent, EnginePorts, Tenant } from "./ports.ts";
import { settingsInForce } from "./standing.ts";

/** What a turn hears from the model, batch by batch. */
export type Batches = AsyncIterator<readonly (BackendEvent | CompactionEvent)[], unknown>;

/** What the model does for a turn. */
export type Generation = {
  /** Null for a warm-up, for which it does nothing that anybody waits for. */
  readonly batches: Batches | null;
  /** What the node of the turn stands on, which is not what the turn had where its context was compacted. */
  readonly rootOf: (node: Pick<ResponseNode, "parent" | "input" | "response">) => Pick<ResponseNode, "parent" | "input">;
};

type Subject = {
  readonly request: CreateRequest;
  readonly parent: ResponseNode | null;
  readonly tenant: Tenant;
  readonly responseId: string;
  /** Stands for the connection in front of the backend. */
  readonly session: object;
  /** Ends with the connection. */
  readonly sessionEnd: AbortSignal;
};

/** Asks the backend. @throws ApiError when the request is refused for its model, its input or what it asks for */
export function beginGeneration(ports: EnginePorts, subject: Subject, signal: AbortSignal): Generation {
  const { request, parent, tenant, responseId, session, sessionEnd } = subject;
  const { input } = request;
  const compactions = new Compactions(ports.seal, tenant);
  compactions.check(input);
  const { backend, model } = ports.models.resolve(request.model);
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

/** Leaves a model in the middle of what it says. */
export async function leave(batches: Batches): Promise<void> {
  await batches.return?.();
}

/** The next batch. It may fail before anybody waits for it, which is no failure of its own. */
export function pull(batches: Batches): ReturnType<Batches["next"]> {
  let next: ReturnType<Batches["next"]>;
  try {
    next = batches.next();
  } catch (thrown) {
    next = Promise.reject(thrown);
  }
  next.catch(() => undefined);
  return next;
}
