import type { Group } from "../case.ts";
import { INTERRUPT, LANES, RETRIEVAL, STEER } from "../features.ts";
import type { HttpAnswer } from "../http.ts";
import { filler, SAY_OK, user } from "../prompts.ts";
import { isOf } from "../reading.ts";
import type { Socket } from "../socket.ts";
import { begin } from "../steered.ts";
import type { Trial } from "../trial.ts";
import type { Json, Turn } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { errorOf, inputTokens, isObject, outputTokens } from "../wire.ts";

const RULE = "tenants share nothing";
const KEYED =
  "Make the tenant part of the key under which a response is kept, instead of a check that a path can forget.";
/** Ids that do not exist: the answers for them are what a stranger has to get. */
const MISSING_RESPONSE = "resp_conformance_missing";
const MISSING_ITEM = "msg_conformance_missing";
/** Words of an answer that would show in the context of another turn. */
const LONG_ANSWER = 100;

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
          const ask = (previous_response_id: string): Promise<HttpAnswer> =>
            trial.post({ input: SAY_OK, stream, previous_response_id }, { key });
          const [theirs, missing] = [await ask(id), await ask(MISSING_RESPONSE)];
          if (missing.status === 200) skip("the server continues responses that do not exist");
          demand(theirs.status !== 200, "The other key has continued the response.", {
            got: `${theirs.status} ${theirs.text}`,
          });
          same(
            refusal(theirs, id),
            refusal(missing, MISSING_RESPONSE),
            "The answer for a response of another key (got), against that for one which does not exist (expected),",
          );
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
          const ask = async (response: string): Promise<unknown> =>
            refusal(await trial.request(method, `/responses/${response}${suffix}`, { key }), response);
          same(
            await ask(id),
            await ask(MISSING_RESPONSE),
            `The answer to ${method} …${suffix} for a response of another key, against one that does not exist,`,
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
        const owned = await socket.completed({ input: `Reply with exactly: ${filler(LONG_ANSWER)}`, store: true });
        const id = owned.output.find(({ type }) => type === "message")?.["id"];
        if (typeof id !== "string") skip("the response has no message with an id");
        const refer = (item: string): Promise<Turn> => {
          const reference = { type: "item_reference", id: item };
          return stranger.turn({ input: [reference, user(SAY_OK)], store: false });
        };
        const [theirs, missing] = [await refer(id), await refer(MISSING_ITEM)];
        if (theirs.response?.status === "completed" && missing.response?.status === "completed") {
          // The server ignores references that it cannot resolve. Did this one bring the item's text into the context?
          const more = inputTokens(theirs.response) - inputTokens(missing.response);
          if (outputTokens(owned) < LONG_ANSWER) skip("the model's answer is too short to be found in a context");
          demand(more < LONG_ANSWER / 2, "The other key has used the item.", {
            expected: "as many tokens of input as for an item that does not exist",
            got: `${more} more`,
          });
          return;
        }
        demand(theirs.last.type !== "response.completed", "The other key has used the item.", { got: theirs.last });
        same(
          refusedTurn(theirs, id),
          refusedTurn(missing, MISSING_ITEM),
          "The answer for an item of another key, against one that does not exist,",
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
          await stranger.turn({ input: SAY_OK, previous_response_id: id });
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
        same(
          await ask(id),
          await ask(MISSING_RESPONSE),
          "The answer to a steer of another key's response, against one that does not exist,",
        );
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
  const ask = (previous_response_id: string): Promise<Turn> =>
    stranger.turn({ input: SAY_OK, store: false, previous_response_id, ...fields });
  const [theirs, missing] = [await ask(id), await ask(MISSING_RESPONSE)];
  if (missing.last.type === "response.completed") skip("the server continues responses that do not exist");
  demand(theirs.last.type === "error", "The other key has continued the response.", { got: theirs.last });
  same(errorOf(theirs.last, "The error event")["code"], "previous_response_not_found", "'code' of the error");
  same(
    refusedTurn(theirs, id),
    refusedTurn(missing, MISSING_RESPONSE),
    "The error for a response of another key, against one that does not exist,",
  );
}

/** What a refusal over HTTP says, without what differs from request to request. */
function refusal({ status, text }: HttpAnswer, id: string): unknown {
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    // Not JSON: compared as text.
  }
  return {
    status,
    body: isObject(body) && isObject(body["error"]) ? errorFields(body["error"], id) : masked(body, id),
  };
}

function refusedTurn({ last, response }: Turn, id: string): unknown {
  const error = last.type === "error" ? last["error"] : response?.["error"];
  return { type: last.type, status: last["status"] ?? null, error: isObject(error) ? errorFields(error, id) : null };
}

function errorFields({ type, code, message, param }: Json, id: string): unknown {
  return masked({ type, code, message, param }, id);
}

/** An answer without the id that was asked for, and without what counts up from answer to answer. */
function anonymous(answer: Json, id: string): unknown {
  const { error, ...fields } = answer;
  const { sequence_number: _number, event_id: _event, ...rest } = fields;
  return masked(
    { ...rest, ...(error !== undefined && { error: isObject(error) ? errorFields(error, id) : error }) },
    id,
  );
}

/** Ids of the request itself are different in every answer. */
const REQUEST_IDS = /\breq[_-][\w-]+|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g;

function masked(value: unknown, id: string): unknown {
  const text = (JSON.stringify(value) ?? "null").replaceAll(id, "…").replaceAll(REQUEST_IDS, "…");
  return JSON.parse(text) as unknown;
}
