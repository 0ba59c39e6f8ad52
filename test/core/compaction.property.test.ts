import fc from "fast-check";
import { expect, test } from "vitest";
import { ASK_FOR_SUMMARY } from "../../src/core/compaction-prompt.ts";
import { pairedInput } from "../../src/core/pairing.ts";
import type { Backend, BackendEvent, BackendRequest } from "../../src/core/ports.ts";
import type { Item } from "../../src/protocol/items.ts";
import type { Response } from "../../src/protocol/response.ts";
import { ScriptedBackend, type Step } from "../../src/testing/index.ts";
import { makeEngine, turn } from "./harness.ts";

/** What the model does in one turn: it says something, and calls tools. */
type Answer = { readonly text: string; readonly calls: number };
const answers = fc.record({ text: fc.string({ maxLength: 400 }), calls: fc.nat({ max: 3 }) });
/** What the client brings beside the outputs of those calls. */
const asks = fc.record({
  words: fc.string({ minLength: 1, maxLength: 300 }),
  developer: fc.boolean(),
  allows: fc.boolean(),
});

const user = (content: string): Item => ({ type: "message", role: "user", content });
const MANAGED = [{ type: "compaction", compact_threshold: 120 }];
const RULES: Item = { type: "message", role: "developer", content: "The rules." };

/** A model that writes summaries when asked, and otherwise what it is told to. */
class Agent implements Backend {
  readonly #inner = new ScriptedBackend();
  readonly summarised: (readonly Item[])[] = [];
  readonly answered: (readonly Item[])[] = [];
  next: Answer = { text: "", calls: 0 };
  #calls = 0;

  stream(request: BackendRequest, signal: AbortSignal): AsyncIterable<readonly BackendEvent[]> {
    const isSummary = request.input.at(-1) === ASK_FOR_SUMMARY;
    this.#inner.expect(isSummary ? this.#say("A summary.", 0) : this.#say(this.next.text, this.next.calls));
    const stream = this.#inner.stream(request, signal);
    (isSummary ? this.summarised : this.answered).push(this.#inner.calls.at(-1)?.context ?? []);
    return stream;
  }

  /** Without a usage, so that contexts are measured by what is in them. */
  #say(delta: string, calls: number): Step {
    const events: BackendEvent[] = [{ type: "text.delta", delta }];
    for (let key = 0; key < calls; key += 1) {
      this.#calls += 1;
      events.push({ type: "call", key, kind: "function", callId: `c${this.#calls}`, name: "f" });
    }
    return [events, [{ type: "finish", reason: "stop" }]];
  }

  models = async () => [];
  prefill = async () => undefined;
  count = async () => 0;
  close = async () => undefined;
}

/** Items without what differs between two that say the same. */
const said = (items: readonly Item[] | undefined) => items?.map((item) => ({ ...item, id: null }));

test("whatever an agent does, the model sees calls with their outputs, the rules, and all that is new; however it is sent", async () => {
  let compactions = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(asks, answers), { minLength: 1, maxLength: 8 }), async (rounds) => {
      const agent = new Agent();
      const { open } = makeEngine({ backend: agent });
      const session = open();
      const everything: Item[] = [];
      let previous_response_id: string | null = null;
      let pending: readonly Item[] = [RULES];
      for (const [{ words, developer, allows }, answer] of rounds) {
        agent.next = answer;
        const input = [...pending, ...(developer ? [RULES] : []), user(words)];
        const fields: object = {
          previous_response_id,
          input,
          store: false,
          ...(allows && { context_management: MANAGED }),
        };
        const response: Response = await turn(session, fields).response();
        everything.push(...input, ...(response.output as readonly Item[]));
        previous_response_id = response.id;
        pending = response.output.flatMap((item) =>
          item.type === "function_call"
            ? [{ type: "function_call_output", call_id: (item as { call_id: string }).call_id, output: words }]
            : [],
        );
        const seen = agent.answered.at(-1) ?? [];
        expect(said(seen.slice(-input.length))).toEqual(said(input));
        expect(seen.some((item) => JSON.stringify(item).includes("The rules."))).toBe(true);
        for (const context of [seen, ...agent.summarised]) expect(pairedInput(null, context)).toBe(context);
      }
      compactions += agent.summarised.length;

      agent.next = { text: "ok", calls: 0 };
      const input = [...pending, user("And now?")];
      await turn(session, { previous_response_id, input, store: false }).response();
      await turn(open(), { input: [...everything, ...input], store: false }).response();
      const last = everything.findLastIndex(({ type }) => type === "compaction");
      await turn(open(), { input: [...everything.slice(Math.max(last, 0)), ...input], store: false }).response();
      const [chained, whole, cut] = agent.answered.slice(-3);
      expect(said(whole)).toEqual(said(chained));
      expect(said(cut)).toEqual(said(chained));
    }),
  );
  expect(compactions).toBeGreaterThan(20);
});
