import type { Group } from "../case.ts";
import { SAY_OK, sayOkAfter, user } from "../prompts.ts";
import type { Json, WireResponse } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { asResponse, errorOf, inputTokens } from "../wire.ts";

const FROM = "OpenAI; the AI SDK sends what the model said by its id";

/** item_reference: items that a client sends by their ids alone. */
export const REFERENCES: Group = {
  name: "references",
  title: "item_reference: items that are sent by their ids",
  cases: [
    {
      id: "references.output",
      level: "should",
      title: "A message of a stored response can be sent by its id, on another connection.",
      rule: "I3",
      from: FROM,
      mend: "Keep the output items of stored responses by their ids, or make ids from which the response can be told.",
      run: async (trial) => {
        const { output } = await (await trial.connect()).completed({ input: sayOkAfter(300), store: true });
        const socket = await trial.connect();
        const ask = (items: readonly Json[]): Promise<WireResponse> =>
          socket.completed({ input: [user(SAY_OK), ...items, user(SAY_OK)], store: false });
        sameContext(await ask(output.map(reference)), await ask(output));
      },
    },
    {
      id: "references.every-item",
      level: "should",
      title:
        "A whole conversation can be resent with references in the place of all that the model said, turn for turn.",
      rule: "I3",
      from: FROM,
      mend: "Look an item up wherever it was first put out, however many responses ago.",
      waits: 5,
      run: async (trial) => {
        const [referring, inline]: [Json[], Json[]] = [[], []];
        let last: WireResponse | null = null;
        for (let turn = 0; turn < 4; turn += 1) {
          for (const history of [referring, inline]) history.push(user(SAY_OK));
          const answer = await trial.posted({ input: referring, store: true });
          last = asResponse(answer.json, "The body of the answer");
          if (turn === 3) break;
          referring.push(...last.output.map(reference));
          inline.push(...last.output);
        }
        const replayed = await trial.posted({ input: inline, store: false });
        if (last !== null) sameContext(last, asResponse(replayed.json, "The body of the answer"));
      },
    },
    {
      id: "references.unstored",
      level: "extension",
      title: "An item of an unstored response can be referred to on the connection that made it, and on no other.",
      rule: "I3",
      from: "Turnwire: what a connection can continue, it can refer to",
      mend: "Look an item up among the responses of the connection before the store.",
      run: async (trial) => {
        const socket = await trial.connect();
        const { output } = await socket.completed({ input: SAY_OK, store: false });
        const input = [...output.map(reference), user(SAY_OK)];
        await socket.completed({ input, store: false });
        const stranger = await trial.connect();
        await stranger.refused({ input, store: false });
      },
    },
    {
      id: "references.duplicate",
      level: "should",
      title: "An item that the chain has is refused beside previous_response_id, whole or by its id.",
      rule: "I8",
      from: "OpenAI: Duplicate item found with id …",
      mend: "Look each id of the input up among those of the chain; taking the item doubles the context in silence.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({ input: SAY_OK, store: false });
        for (const items of [first.output, first.output.map(reference)]) {
          const fields = { input: [...items, user(SAY_OK)], store: false, previous_response_id: first.id };
          const error = errorOf(await socket.refused(fields), "The error event");
          const { id } = items[0] ?? {};
          demand(String(error["message"]).includes(String(id)), "The message does not say which item.", {
            got: error["message"],
          });
        }
      },
    },
    {
      id: "references.unknown",
      level: "should",
      title: "A reference to an item that nobody knows is refused, by its id and with 'param' \"input\".",
      rule: "I3",
      from: "OpenAI: Item with id '…' not found",
      mend: "Refuse the turn before its first event: a model must not be asked with a part of its context missing.",
      run: async (trial) => {
        const input = [reference({ id: "msg_conformance_missing" }), user(SAY_OK)];
        const error = errorOf(await (await trial.connect()).refused({ input, store: false }), "The error event");
        same(error["param"], "input", "'param' of the error");
        demand(String(error["message"]).includes("msg_conformance_missing"), "The message does not say which item.", {
          got: error["message"],
        });
        const { status } = await trial.post({ input, store: false });
        demand(status === 404 || status === 400, "The status over HTTP is not that of a mistake.", { got: status });
      },
    },
  ],
};

function reference(item: Json): Json {
  if (typeof item["id"] !== "string") skip("an item of the response has no id");
  return { type: "item_reference", id: item["id"] };
}

function sameContext(referring: WireResponse, inline: WireResponse): void {
  same(
    inputTokens(referring),
    inputTokens(inline),
    "The number of input tokens of a turn that refers to items, against one that sends them,",
  );
}
