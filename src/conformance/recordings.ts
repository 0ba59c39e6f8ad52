import { ASK_WEATHER, TIME_TOOL, user, WEATHER_TOOL } from "./prompts.ts";
import type { Recording } from "./trial.ts";
import type { Frame, Json, Turn, WireResponse } from "./types.ts";
import { demand, skip } from "./violation.ts";
import { asResponse, callsOf } from "./wire.ts";

/** Turns that many cases look at, each run once. They are only read, so that sharing them couples no cases. */

export type RecordedTurn = {
  readonly request: Json;
  readonly frames: readonly Frame[];
  readonly last: Frame;
  readonly response: WireResponse;
};

export type RecordedStream = RecordedTurn & {
  readonly headers: { readonly [name: string]: string | string[] | undefined };
  readonly text: string;
};

const TEXT_REQUEST: Json = {
  input: "Say in two short sentences what the sea is.",
  store: false,
  metadata: { suite: "conformance" },
};

/** A plain answer over WebSocket. */
export const TEXT_TURN: Recording<RecordedTurn> = {
  make: async (trial) => {
    const socket = await trial.connect();
    return withResponse(TEXT_REQUEST, await socket.turn(TEXT_REQUEST));
  },
};

/** The same over SSE. */
export const TEXT_STREAM: Recording<RecordedStream> = {
  make: async (trial) => {
    const answer = await trial.posted({ ...TEXT_REQUEST, stream: true });
    const frames = answer.events;
    const last = frames.at(-1);
    demand(last !== undefined, "The stream has no events.", { got: answer.text });
    const response = asResponse(last["response"], `'response' of ${last.type}`);
    return { request: TEXT_REQUEST, frames, last, response, headers: answer.headers, text: answer.text };
  },
};

/** The same as one JSON answer. */
export const TEXT_ANSWER: Recording<{ readonly request: Json; readonly response: WireResponse }> = {
  make: async (trial) => {
    const { json } = await trial.posted(TEXT_REQUEST);
    return { request: TEXT_REQUEST, response: asResponse(json, "The body of the answer") };
  },
};

const CALL_REQUEST: Json = {
  input: ASK_WEATHER,
  store: false,
  tools: [WEATHER_TOOL],
  tool_choice: { type: "function", name: "get_weather" },
};

/** A turn that calls a function, since it has to. */
export const CALL_TURN: Recording<RecordedTurn> = {
  make: async (trial) => {
    const socket = await trial.connect();
    return withCalls(withResponse(CALL_REQUEST, await socket.turn(CALL_REQUEST)));
  },
};

/** The same over SSE. */
export const CALL_STREAM: Recording<RecordedTurn> = {
  make: async (trial) => {
    const frames = (await trial.posted({ ...CALL_REQUEST, stream: true })).events;
    const last = frames.at(-1);
    demand(last !== undefined, "The stream has no events.");
    const response = asResponse(last["response"], `'response' of ${last.type}`);
    return withCalls({ request: CALL_REQUEST, frames, last, response });
  },
};

/** A turn that calls two functions or more; some models never do. */
export const PARALLEL_TURN: Recording<RecordedTurn> = {
  make: async (trial) => {
    const socket = await trial.connect();
    const settings = {
      store: false,
      tools: [WEATHER_TOOL, TIME_TOOL],
      tool_choice: "required",
      parallel_tool_calls: true,
    };
    let request: Json = {
      ...settings,
      input: "Call get_weather for Paris and get_time for Paris, both at once, in parallel, before anything else.",
    };
    for (let round = 0; round < 3; round += 1) {
      const turn = withCalls(withResponse(request, await socket.turn(request)));
      const calls = callsOf(turn.response);
      if (calls.length > 1) return turn;
      const outputs = calls.map(({ call_id }) => ({
        type: "function_call_output",
        call_id,
        output: "unknown, ask both tools again",
      }));
      request = { ...settings, previous_response_id: turn.response.id, input: outputs };
    }
    return skip("the model never called two functions in one response");
  },
};

/** A turn with a reasoning item; most models have none. */
export const REASONING_TURN: Recording<RecordedTurn> = {
  make: async (trial) => {
    const socket = await trial.connect();
    const request = {
      input: [user("How many weekdays have an even number of letters? Think it through.")],
      store: false,
      reasoning: { effort: "low", summary: "auto" },
    };
    const turn = await socket.turn(request);
    if (turn.response === null) return skip("the model takes no reasoning settings");
    // By the events, not by the output at the end: a server may lose it on the way there.
    if (!turn.frames.some(isReasoning)) skip("the model showed no reasoning");
    return withResponse(request, turn);
  },
};

function isReasoning({ item }: Json): boolean {
  return (item as Json | undefined)?.["type"] === "reasoning";
}

function withResponse(request: Json, turn: Turn): RecordedTurn {
  const { frames, last, response } = turn;
  demand(response !== null, "A turn that should succeed was refused.", { expected: "response.completed", got: last });
  demand(response.status !== "failed", "A turn that should succeed failed.", { got: last });
  return { request, frames, last, response };
}

function withCalls(turn: RecordedTurn): RecordedTurn {
  if (callsOf(turn.response).length === 0) skip("the model called no function although it had to");
  return turn;
}
