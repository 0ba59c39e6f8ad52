import type { BackendRequest } from "../core/ports.ts";
import { hasChatForm } from "./chat-context.ts";
import { namedParts } from "./chat-parts.ts";
import type { ChatHead } from "./chat-request.ts";
import { loggableTypes } from "./loggable-types.ts";

/** Types of tools and items that are reported as left out, for each connection, and characters of one. */
const MOST_REPORTED = 32;
const LONGEST_REPORTED = 100;

/** Tells the operator what of a request the model does not see. */
export class LeftOut {
  /** What was told, by connection: each is worth one line. */
  readonly #reported = new WeakMap<object, Set<string>>();

  report(request: BackendRequest, head: ChatHead, log: { warn(fields: object, message: string): void }): void {
    const foreign = loggableTypes(request.input.filter((item) => !hasChatForm(item)).map((item) => item.type));
    const named = request.input.flatMap(namedParts);
    if (head.tools.omitted.length + foreign.length + head.dropped.length + named.length === 0) return;
    const isNew = this.#news(request.session);
    const tools = loggableTypes(head.tools.omitted).filter(isNew("tool"));
    const items = foreign.filter(isNew("item"));
    const fields = head.dropped.filter(isNew("field"));
    const parts = named.filter(isNew("part"));
    if (fields.length > 0) {
      log.warn({ fields }, "dropped request fields that clients may not send: see --backend-allow-fields");
    }
    if (parts.length > 0) {
      log.warn({ parts }, "the model reads of these parts only that they are there: the request does not hold them");
    }
    if (tools.length + items.length > 0) {
      log.warn({ tools, items }, "left out of what the model sees: chat servers have no form for these");
    }
  }

  #news(session: object): (kind: string) => (type: string) => boolean {
    const reported = this.#reported.get(session) ?? new Set();
    this.#reported.set(session, reported);
    return (kind) => (type) => {
      const name = `${kind} ${type}`;
      // A client may invent types without end: of one connection only so many are remembered and logged.
      if (reported.size >= MOST_REPORTED || type.length > LONGEST_REPORTED || reported.has(name)) return false;
      reported.add(name);
      return true;
    };
  }
}
