import type { CreateRequest } from "../protocol/request.ts";
import { callableTools, toolKey, type Tool } from "../protocol/tools.ts";
import type { CompactionEvent } from "./compaction.ts";
import type { BackendEvent } from "./ports.ts";

/** What the request says of the model's calls, kept whatever the model server makes of it. */
export class CallRules {
  readonly #async: ReadonlySet<string>;
  readonly #isParallel: boolean;
  /** The one call that a request without parallel calls has; null before it. */
  #only: { readonly key: number | null } | null = null;
  /** Whether a call behind that one was left out: that one is then complete. */
  #isCut = false;

  private constructor(asyncTools: ReadonlySet<string>, isParallel: boolean) {
    this.#async = asyncTools;
    this.#isParallel = isParallel;
  }

  /** Null where there is nothing to keep. */
  static of({ tools, parallel_tool_calls }: Pick<CreateRequest, "tools" | "parallel_tool_calls">): CallRules | null {
    const asyncTools = asyncToolsOf(tools);
    const isParallel = parallel_tool_calls !== false;
    return isParallel && asyncTools.size === 0 ? null : new CallRules(asyncTools, isParallel);
  }

  apply(batch: readonly (BackendEvent | CompactionEvent)[]): readonly (BackendEvent | CompactionEvent)[] {
    return batch.flatMap((event) => (this.#leavesOut(event) ? [] : [this.#marked(event)]));
  }

  #leavesOut(event: BackendEvent | CompactionEvent): boolean {
    if (this.#isParallel) return false;
    const key = event.type === "call" || event.type === "call.delta" ? event.key : null;
    const isCall = key !== null || (event.type === "item" && event.item.type.endsWith("_call"));
    if (!isCall) return false;
    if (this.#only === null) {
      this.#only = { key };
      return false;
    }
    if (key !== null && key === this.#only.key) return false;
    this.#isCut = true;
    return true;
  }

  #marked(event: BackendEvent | CompactionEvent): BackendEvent | CompactionEvent {
    if (event.type === "finish" && this.#isCut) return { type: "finish", reason: "stop" };
    if (event.type !== "call" || !this.#async.has(toolKey(event.namespace, event.name))) return event;
    return { ...event, async: true };
  }
}

/** Made once for each list of tools. */
const known = new WeakMap<readonly Tool[], ReadonlySet<string>>();

function asyncToolsOf(tools: readonly Tool[]): ReadonlySet<string> {
  let keys = known.get(tools);
  if (keys === undefined) {
    const found = callableTools(tools).filter(({ tool }) => tool["async"] === true);
    known.set(tools, (keys = new Set(found.map(({ namespace, name }) => toolKey(namespace, name)))));
  }
  return keys;
}
