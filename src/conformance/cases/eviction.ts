import type { Group } from "../case.ts";
import { SAY_OK, user } from "../prompts.ts";
import type { Socket } from "../socket.ts";
import type { Json } from "../types.ts";
import { same } from "../violation.ts";

const ORPHAN = { type: "function_call_output", call_id: "call_conformance_missing", output: "x" };

/** What a failed continuation makes the connection forget, and what not. */
export const EVICTION: Group = {
  name: "eviction",
  title: "what a failed continuation makes the connection forget",
  cases: [
    {
      id: "eviction.failed-continuation",
      level: "must",
      title:
        "When a continuation fails, its unstored parent is gone: naming it again gives previous_response_not_found.",
      rule: "V1",
      from: "OpenAI WebSocket guide; Open Responses compliance 10",
      mend: "Remove the referenced response from the connection's memory when a continuation ends in 4xx or 5xx.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({ input: SAY_OK, store: false });
        await socket.failed({ input: [ORPHAN], store: false, previous_response_id: first.id });
        await notFound(socket, first.id);
      },
    },
    {
      id: "eviction.invalid-request",
      level: "should",
      title:
        "A continuation that is refused for what is wrong in the request leaves its parent there: it can be mended.",
      rule: "V5",
      from: "a request that reached no model has changed nothing; OpenAI loses no stored parent by it",
      mend: "Evict for an output without a call and for a turn that broke, and for nothing that validation refuses.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({ input: SAY_OK, store: false });
        const next = { input: SAY_OK, store: false, previous_response_id: first.id };
        await socket.refused({ ...next, max_output_tokens: -1 });
        await socket.refused({ ...next, input: 42 });
        const second = await socket.completed(next);
        same(second["previous_response_id"], first.id, "'previous_response_id' of the response");
      },
    },
    {
      id: "eviction.recovery",
      level: "must",
      title: "After an eviction the same connection takes the full context, and that can be continued.",
      rule: "V1",
      from: "OpenAI: recovery",
      mend: "Forget the response, not the connection.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({ input: SAY_OK, store: false });
        await socket.failed({ input: [ORPHAN], store: false, previous_response_id: first.id });
        const input = [user(SAY_OK), ...first.output, user(SAY_OK)];
        const replayed = await socket.completed({ input, store: false, previous_response_id: null });
        await socket.completed({ input: SAY_OK, store: false, previous_response_id: replayed.id });
      },
    },
    {
      id: "eviction.stored-parent",
      level: "must",
      title: "A stored parent survives a failed continuation.",
      rule: "V4",
      from: "OpenAI: what is stored is read again",
      mend: "Evict from the connection's memory only, and look the id up in the store afterwards.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({ input: SAY_OK, store: true });
        await socket.failed({ input: [ORPHAN], previous_response_id: first.id });
        const second = await socket.completed({ input: SAY_OK, previous_response_id: first.id });
        same(second["previous_response_id"], first.id, "'previous_response_id' of the response");
      },
    },
    {
      id: "eviction.other-failure",
      level: "should",
      title: "A failed create that names no parent evicts nothing.",
      rule: "V3",
      from: "only the referenced id is evicted",
      mend: "Evict the id that the failed request named, and nothing else.",
      run: (trial) => survives(trial.connect(), { input: 42 }),
    },
    {
      id: "eviction.unknown-parent",
      level: "should",
      title: "A create that names an unknown parent evicts nothing else.",
      rule: "V3",
      from: "only the referenced id is evicted",
      mend: "Evict the id that the failed request named, and nothing else.",
      run: (trial) => survives(trial.connect(), { input: SAY_OK, previous_response_id: "resp_conformance_missing" }),
    },
    {
      id: "eviction.nonsense",
      level: "should",
      title: "A message that is no create evicts nothing.",
      rule: "V3",
      from: "only a continuation evicts",
      mend: "Answer nonsense with an error, and leave the state of the conversation alone.",
      run: (trial) => survives(trial.connect(), '{"type":"response.conformance_unknown"}', "{"),
    },
  ],
};

async function survives(connecting: Promise<Socket>, ...failures: readonly (Json | string)[]): Promise<void> {
  const socket = await connecting;
  const first = await socket.completed({ input: SAY_OK, store: false });
  for (const failure of failures)
    await socket.refused(typeof failure === "string" ? failure : { store: false, ...failure });
  const second = await socket.completed({ input: SAY_OK, store: false, previous_response_id: first.id });
  same(second["previous_response_id"], first.id, "'previous_response_id' of the response");
}

async function notFound(socket: Socket, id: string): Promise<void> {
  const { code } = await socket.failed({ input: SAY_OK, store: false, previous_response_id: id });
  same(code, "previous_response_not_found", "The code of the error");
}
