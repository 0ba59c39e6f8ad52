import type { Group } from "../case.ts";
import { SAY_OK, sayOkAfter } from "../prompts.ts";
import { CALL_STREAM, CALL_TURN, type RecordedTurn, TEXT_ANSWER, TEXT_STREAM, TEXT_TURN } from "../recordings.ts";
import type { Frame, Json, WireResponse } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { asResponse, inputTokens, isObject } from "../wire.ts";

/** One request over WebSocket, SSE and HTTP: what comes back has to be the same thing. */
export const EQUIVALENCE: Group = {
  name: "equivalence",
  title: "one request over WebSocket, SSE and HTTP is answered by the same thing",
  cases: [
    {
      id: "equivalence.events",
      level: "must",
      title: "WebSocket and SSE show the same events in the same order.",
      rule: "F1",
      from: "OpenAI; Open Responses: the same event objects",
      mend: "Make the events once; let the transports only write them.",
      run: async (trial) => {
        sameEvents(await trial.recording(TEXT_TURN), await trial.recording(TEXT_STREAM));
      },
    },
    {
      id: "equivalence.call-events",
      level: "must",
      title: "WebSocket and SSE show the same events of a function call.",
      rule: "F1",
      from: "OpenAI; Open Responses: the same event objects",
      mend: "Make the events once; let the transports only write them.",
      run: async (trial) => {
        sameEvents(await trial.recording(CALL_TURN), await trial.recording(CALL_STREAM));
      },
    },
    {
      id: "equivalence.fields",
      level: "must",
      title: "An event has the same fields on WebSocket and SSE.",
      rule: "F1",
      from: "OpenAI; Open Responses: the same event objects",
      mend: "Do not add or drop fields per transport; only stream_id is of WebSockets alone.",
      run: async (trial) => {
        const [overSocket, overSse] = [await trial.recording(TEXT_TURN), await trial.recording(TEXT_STREAM)];
        const fields = fieldsOf(overSse.frames);
        for (const [type, keys] of fieldsOf(overSocket.frames)) {
          const expected = fields.get(type);
          if (expected !== undefined)
            same(keys, expected, `The fields of ${type} over WebSocket, measured against SSE,`);
        }
      },
    },
    {
      id: "equivalence.numbers",
      level: "should",
      title: "sequence_number begins at the same number on both.",
      rule: "S1",
      from: "Open Responses: it means the same",
      mend: "Number the events where they are made, not where they are written.",
      run: async (trial) => {
        const [overSocket, overSse] = [await trial.recording(TEXT_TURN), await trial.recording(TEXT_STREAM)];
        same(
          overSocket.frames[0]?.["sequence_number"],
          overSse.frames[0]?.["sequence_number"],
          "The first sequence_number over WebSocket, measured against SSE,",
        );
      },
    },
    {
      id: "equivalence.snapshots",
      level: "must",
      title: "The response at the end has the same keys and settings over WebSocket, SSE and as JSON.",
      rule: "F1",
      from: "OpenAI; Open Responses",
      mend: "The JSON answer is what the last event of the stream shows.",
      run: async (trial) => {
        const answer = (await trial.recording(TEXT_ANSWER)).response;
        for (const recording of [TEXT_TURN, TEXT_STREAM]) {
          const { response, last } = await trial.recording(recording);
          same(
            Object.keys(response).toSorted(),
            Object.keys(answer).toSorted(),
            `The keys of ${last.type}, measured against JSON,`,
          );
          same(settingsOf(response), settingsOf(answer), `The settings of ${last.type}, measured against JSON,`);
        }
      },
    },
    {
      id: "equivalence.items",
      level: "must",
      title: "Output items have the same form over WebSocket, SSE and as JSON.",
      rule: "F1",
      from: "OpenAI; Open Responses",
      mend: "Make items once, for all transports.",
      run: async (trial) => {
        const answer = (await trial.recording(TEXT_ANSWER)).response;
        for (const recording of [TEXT_TURN, TEXT_STREAM]) {
          const { response, last } = await trial.recording(recording);
          if (typesOf(response) !== typesOf(answer)) skip("the model gave items of other types the second time");
          same(
            response.output.map(formOf),
            answer.output.map(formOf),
            `The form of the items in ${last.type}, measured against JSON,`,
          );
        }
      },
    },
    {
      id: "equivalence.input",
      level: "must",
      title: "The model reads the same context over WebSocket, SSE and HTTP.",
      rule: "F1",
      from: "OpenAI: one resource",
      mend: "Build the model's prompt in one place.",
      run: async (trial) => {
        const responses = [
          (await trial.recording(TEXT_ANSWER)).response,
          (await trial.recording(TEXT_TURN)).response,
          (await trial.recording(TEXT_STREAM)).response,
        ];
        const counts = responses.map(inputTokens);
        same(new Set(counts).size, 1, `The number of different input token counts (${counts.join(", ")})`);
      },
    },
    {
      id: "equivalence.continuation",
      level: "must",
      title: "A chain continued over WebSocket, SSE or HTTP gives the model the same context.",
      rule: "F1",
      from: "OpenAI: one resource",
      mend: "Resolve previous_response_id in one place.",
      run: async (trial) => {
        const socket = await trial.connect();
        const { id } = await socket.completed({ input: sayOkAfter(50), store: true });
        const next = { input: SAY_OK, store: false, previous_response_id: id };
        const overSocket = await socket.completed(next);
        const overHttp = asResponse((await trial.posted(next)).json, "The body of the answer");
        const streamed = (await trial.posted({ ...next, stream: true })).events.at(-1);
        const overSse = asResponse(streamed?.["response"], "'response' of the last event");
        const counts = [overSocket, overSse, overHttp].map(inputTokens);
        same(new Set(counts).size, 1, `The number of different input token counts (${counts.join(", ")})`);
      },
    },
  ],
};

/** The events in order, runs of deltas as one, without those that may come at any time. */
function outline({ frames }: RecordedTurn): readonly string[] {
  const types = frames.map(({ type }) => type).filter((type) => type !== "keepalive");
  return types.filter((type, index) => !(type.endsWith(".delta") && types[index - 1] === type));
}

function sameEvents(overSocket: RecordedTurn, overSse: RecordedTurn): void {
  if (typesOf(overSocket.response) !== typesOf(overSse.response))
    skip("the model gave items of other types the second time");
  same(outline(overSocket), outline(overSse), "The order of events over WebSocket, measured against SSE,");
}

function typesOf({ output }: WireResponse): string {
  return output.map(({ type }) => type).join();
}

/** The fields that events of each type have, with those that only some of them have left out. */
function fieldsOf(frames: readonly Frame[]): ReadonlyMap<string, readonly string[]> {
  const optional = new Set(["stream_id", "obfuscation"]);
  const fields = frames.map(
    (frame) =>
      [
        frame.type,
        Object.keys(frame)
          .filter((key) => !optional.has(key))
          .toSorted(),
      ] as const,
  );
  return new Map(fields);
}

/** What of a response is not by chance. */
function settingsOf(response: WireResponse): Json {
  const byChance = new Set([
    "id",
    "created_at",
    "completed_at",
    "output",
    "usage",
    "service_tier",
    "status",
    "incomplete_details",
  ]);
  return Object.fromEntries(Object.entries(response).filter(([key]) => !byChance.has(key)));
}

/** The keys of a value, all the way down, without what they hold. */
function formOf(value: unknown): unknown {
  if (Array.isArray(value)) {
    demand(value.length < 10_000, "A list has no end.");
    return value.length === 0 ? [] : [formOf(value[0])];
  }
  if (!isObject(value)) return typeof value;
  return Object.fromEntries(
    Object.keys(value)
      .toSorted()
      .map((key) => [key, formOf(value[key])]),
  );
}
