import type { CreateRequest } from "../protocol/request.ts";
import type { Batches } from "./batches.ts";
import { CallRules } from "./call-rules.ts";
import { Compactions } from "./compacted.ts";
import { Compaction, type CompactionEvents, isTooLong } from "./compaction.ts";
import { planCompaction } from "./compaction-plan.ts";
import type { ContextMemory } from "./context-memory.ts";
import type { ResponseNode } from "./node.ts";
import type { Backend, BackendEvent, EnginePorts, Tenant } from "./ports.ts";
import { settingsInForce } from "./standing.ts";
import { Truncation } from "./truncation.ts";

/** What the model does for a turn. */
export type Generation = {
  /** Null for a warm-up, for which it does nothing that anybody waits for. */
  readonly batches: Batches | null;
  /** What the request says of calls; null where it says nothing. */
  readonly calls: CallRules | null;
  /** What the node of the turn stands on, which is not what the turn had where its context was compacted. */
  readonly rootOf: (
    node: Pick<ResponseNode, "parent" | "input" | "response">,
  ) => Pick<ResponseNode, "parent" | "input">;
  /** Told of that node, where that means something for the turns behind it. */
  readonly made?: (node: ResponseNode) => void;
};

type Subject = {
  readonly request: CreateRequest;
  readonly parent: ResponseNode | null;
  readonly tenant: Tenant;
  /** What the turn holds of its context. */
  readonly memory: ContextMemory;
  readonly responseId: string;
  readonly backend: Backend;
  /** The backend's own name of the model. */
  readonly model: string;
  /** Stands for the connection in front of the backend. */
  readonly session: object;
  /** Ends with the connection. */
  readonly sessionEnd: AbortSignal;
  readonly retries: number | undefined;
};

/** Asks the backend. @throws ApiError when the request is refused for its input, or for what it asks */
export function beginGeneration(
  ports: Pick<EnginePorts, "seal" | "limits">,
  subject: Subject,
  signal: AbortSignal,
): Generation {
  const { request, parent, tenant, memory, responseId, backend, model, session, sessionEnd, retries } = subject;
  const { input } = request;
  const compactions = new Compactions(ports.seal, tenant, memory);
  compactions.check(input);
  const settings = settingsInForce(request, parent);
  const asked = { model, parent, input, settings, session, retries, open: compactions.open };
  if (!request.generate) {
    // A warm-up is answered at once; a backend that really warms up does so on its own time.
    backend.prefill(asked, sessionEnd).catch(() => undefined);
    return { batches: null, calls: null, rootOf: asMade };
  }
  const calls = CallRules.of(settings);
  const subjectOfPlan = { request, parent, compactions, limits: ports.limits, responseId };
  let compaction: Compaction | null = null;
  const compact = (isTooLong: boolean): CompactionEvents | null => {
    const plan = planCompaction(subjectOfPlan, isTooLong);
    compaction = plan === null ? null : new Compaction(plan, compactions, backend, asked);
    return compaction?.start(signal) ?? null;
  };
  const rootOf: Generation["rootOf"] = (node) => (compaction ?? { rootOf: asMade }).rootOf(node);
  const compacted = compact(false);
  if (compacted !== null) return { batches: compacted, calls, rootOf };
  if (request.compaction === null && request.truncation === "auto") {
    const truncation = new Truncation(backend, asked);
    return { batches: truncation.start(signal), calls, rootOf: asMade, made: (node) => truncation.made(node) };
  }
  const batches = backend.stream(asked, signal)[Symbol.asyncIterator]();
  if (request.compaction === null) return { batches, calls, rootOf: asMade };
  return { batches: orCompacted(batches, () => compact(true)), calls, rootOf };
}

/** What the model says; or, if its server takes the context for too long, what it says to a smaller one. */
async function* orCompacted(
  batches: AsyncIterator<readonly BackendEvent[]>,
  compact: () => CompactionEvents | null,
): CompactionEvents {
  let first: Awaited<ReturnType<typeof batches.next>>;
  try {
    // Accepted requests may still be too long: some servers say so in the stream.
    while (isEmpty((first = await batches.next()))) yield [];
  } catch (error) {
    const instead = isTooLong(error) ? compact() : null;
    if (instead === null) throw error;
    yield* instead;
    return;
  }
  try {
    for (let step = first; !step.done; step = await batches.next()) yield step.value;
  } finally {
    await batches.return?.();
  }
}

function isEmpty({ done, value }: IteratorResult<readonly BackendEvent[], unknown>): boolean {
  return done !== true && value.length === 0;
}

function asMade({ parent, input }: Pick<ResponseNode, "parent" | "input">): Pick<ResponseNode, "parent" | "input"> {
  return { parent, input };
}
