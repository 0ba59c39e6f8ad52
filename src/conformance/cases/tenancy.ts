import type { Group } from "../case.ts";
import { INTERRUPT, LANES, RETRIEVAL, STEER } from "../features.ts";
import { SAY_OK } from "../prompts.ts";
import { isOf } from "../reading.ts";
import type { Socket } from "../socket.ts";
import { begin } from "../steered.ts";
import type { Trial } from "../trial.ts";
import type { Json } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { errorOf } from "../wire.ts";

const RULE = "tenants share nothing";
const KEYED =
  "Make the tenant part of the key under which a response is kept, instead of a check that a path can forget.";
/** An id of nobody's. It stands in the place of a real one when messages are compared. */
const NOBODYS = "resp_conformance_missing";

/** Two keys: what belongs to one does not exist for the other. */
export const TENANCY: Group = {
  name: "tenancy",
  title: "what belongs to one key does not exist for another",
  cases: [
    {
      id: "tenancy.continue",
      level: "must",
      title: "A stored response of another key cannot be continued: the error is that for an id which does not exist.",
      rule: "A2",
      from: RULE,
      mend: KEYED,
      run: async (trial) => {
        const stranger = await trial.connect({ key: trial.secondKey });
        const id = await owned(trial, { store: true });
        await unknown(stranger, id, {});
      },
    },
    {
      id: "tenancy.continue-unstored",
      level: "must",
      title: "An unstored response of another key cannot be continued either, while its connection lives.",
      rule: "A2",
      from: RULE,
      mend: "Keep the memory of a connection with the connection; look nowhere else for unstored responses.",
      run: async (trial) => {
        const stranger = await trial.connect({ key: trial.secondKey });
        const id = await owned(trial, { store: false });
        await unknown(stranger, id, {});
      },
    },
    {
      id: "tenancy.fork",
      level: "must",
      title: "A response of another key cannot be forked on a lane.",
      rule: "A2",
      from: RULE,
      mend: KEYED,
      run: async (trial) => {
        const { secondKey } = trial;
        await trial.requires(LANES);
        const stranger = await trial.connect({ key: secondKey });
        await unknown(stranger, await owned(trial, { store: true }), { stream_id: "fork" });
      },
    },
    {
      id: "tenancy.continue-http",
      level: "must",
      title: "A response of another key cannot be continued over HTTP, with 'stream' or without.",
      rule: "A2",
      from: RULE,
      mend: KEYED,
      run: async (trial) => {
        const key = trial.secondKey;
        const id = await owned(trial, { store: true });
        for (const stream of [false, true]) {
          const ask = async (previous_response_id: string): Promise<unknown> => {
            const answer = await trial.post({ input: SAY_OK, stream, previous_response_id }, { key });
            return anonymous({ status: answer.status, ...answer.json }, previous_response_id);
          };
          const [theirs, nobodys] = [await ask(id), await ask(NOBODYS)];
          demand((theirs as Json)["status"] !== 200, "The other key has continued the response.", { got: theirs });
          same(theirs, nobodys, "The answer for a response of another key, against that for one which does not exist,");
        }
      },
    },
    {
      id: "tenancy.read",
      level: "must",
      title: "A response of another key cannot be read, replayed, listed, cancelled or deleted.",
      rule: "A2",
      from: RULE,
      mend: KEYED,
      run: async (trial) => {
        const key = trial.secondKey;
        await trial.requires(RETRIEVAL);
        const id = await owned(trial, { store: true });
        for (const [method, suffix] of [
          ["GET", ""],
          ["GET", "?stream=true"],
          ["GET", "/input_items"],
          ["POST", "/cancel"],
          ["DELETE", ""],
        ] as const) {
          const ask = async (response: string): Promise<unknown> => {
            const { status, text } = await trial.request(method, `/responses/${response}${suffix}`, { key });
            return { status, text: text.replaceAll(response, "…") };
          };
          const [theirs, nobodys] = [await ask(id), await ask(NOBODYS)];
          same(
            theirs,
            nobodys,
            `The answer to ${method} …${suffix} for a response of another key, against one of nobody's,`,
          );
        }
        const { status } = await trial.request("GET", `/responses/${id}`);
        same(status, 200, "The status of the owner's own GET afterwards");
      },
    },
    {
      id: "tenancy.items",
      level: "must",
      title: "An item of another key cannot be referred to.",
      rule: "A2",
      from: RULE,
      mend: "Look item references up among the items of the same key only.",
      run: async (trial) => {
        const stranger = await trial.connect({ key: trial.secondKey });
        const socket = await trial.connect();
        const { output } = await socket.completed({ input: SAY_OK, store: true });
        const id = output.find(({ type }) => type === "message")?.["id"];
        if (typeof id !== "string") skip("the response has no message with an id");
        const ask = async (item: string): Promise<unknown> => {
          const reference = { type: "item_reference", id: item };
          const { last } = await stranger.turn({ input: [reference, { role: "user", content: SAY_OK }], store: false });
          return last.type === "error" ? anonymous(last, item) : last.type;
        };
        const theirs = await ask(id);
        demand(theirs !== "response.completed", "The other key has used the item.", { got: theirs });
        same(
          theirs,
          await ask("msg_conformance_missing"),
          "The answer for an item of another key, against one of nobody's,",
        );
      },
    },
    {
      id: "tenancy.owner",
      level: "must",
      title: "What a stranger tries does not take a response from its owner.",
      rule: "A2",
      from: RULE,
      mend: "Forget a response after a failed continuation only on the connection that made it.",
      run: async (trial) => {
        const stranger = await trial.connect({ key: trial.secondKey });
        const socket = await trial.connect();
        for (const store of [false, true]) {
          const { id } = await socket.completed({ input: SAY_OK, store });
          await stranger.refused({ input: SAY_OK, previous_response_id: id });
          await trial.request("DELETE", `/responses/${id}`, { key: trial.secondKey });
          await socket.completed({ input: SAY_OK, store: false, previous_response_id: id });
        }
      },
    },
    {
      id: "tenancy.steer",
      level: "must",
      title: "A running response of another key cannot be steered.",
      rule: "A2",
      from: RULE,
      mend: "Look for the response among those of the connection only.",
      run: async (trial) => {
        const stranger = await trial.connect({ key: trial.secondKey });
        await trial.requires(STEER);
        const { id } = await begin(await trial.connect(), {});
        const ask = async (previous_response_id: string): Promise<unknown> => {
          stranger.send({ type: "response.steer", previous_response_id, input: "Turn left." });
          return anonymous(await stranger.frame(), previous_response_id);
        };
        same(await ask(id), await ask(NOBODYS), "The answer to a steer of another key's response, against nobody's,");
      },
    },
    {
      id: "tenancy.interrupt",
      level: "must",
      title: "A running response of another key cannot be interrupted.",
      rule: "A2",
      from: RULE,
      mend: "Look for the response among those of the connection only.",
      run: async (trial) => {
        const stranger = await trial.connect({ key: trial.secondKey });
        await trial.requires(INTERRUPT);
        const socket = await trial.connect();
        const { id, frames } = await begin(socket, {});
        stranger.send({ type: "response.interrupt", response_id: id, mode: "discard_partial_items" });
        const theirs = await stranger.completed({ input: SAY_OK, store: false });
        demand(theirs.id !== id, "The stranger has got the response.");
        if (frames.some(isOf("response.completed"))) skip("the response had ended before it was interrupted");
        const { last } = await socket.rest();
        demand(last.type !== "response.incomplete", "The stranger has stopped the response.", { got: last });
      },
    },
    {
      id: "tenancy.second-key-works",
      level: "must",
      title: "The second key works as the first does.",
      rule: "A1",
      from: RULE,
      mend: "Give the suite two keys that are both valid, of two tenants.",
      run: async (trial) => {
        const socket = await trial.connect({ key: trial.secondKey });
        const { id } = await socket.completed({ input: SAY_OK, store: true });
        await socket.completed({ input: SAY_OK, store: false, previous_response_id: id });
      },
    },
  ],
};

/** A response of the first key. */
async function owned(trial: Trial, fields: Json): Promise<string> {
  const socket = await trial.connect();
  const { id } = await socket.completed({ input: SAY_OK, ...fields });
  return id;
}

/** Demands that an id gets the same error as one that does not exist. */
async function unknown(stranger: Socket, id: string, fields: Json): Promise<void> {
  const ask = async (previous_response_id: string): Promise<unknown> => {
    const frame = await stranger.refused({ input: SAY_OK, store: false, previous_response_id, ...fields });
    same(errorOf(frame, "The error event")["code"], "previous_response_not_found", "'code' of the error");
    return anonymous(frame, previous_response_id);
  };
  same(await ask(id), await ask(NOBODYS), "The error for a response of another key, against one that does not exist,");
}

/** An answer without the id that was asked for, and without what counts up from answer to answer. */
function anonymous(answer: Json, id: string): unknown {
  const text = JSON.stringify({ ...answer, sequence_number: null }).replaceAll(id, "…");
  return JSON.parse(text) as unknown;
}
