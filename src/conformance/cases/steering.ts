import type { Group } from "../case.ts";
import { LANES, STEER } from "../features.ts";
import { clean } from "../findings.ts";
import { examine } from "../grammar.ts";
import { filler, SAY_OK, user } from "../prompts.ts";
import { isOf } from "../reading.ts";
import type { Socket } from "../socket.ts";
import { begin, steer, STEERED_TURN, type Steering, steerOf } from "../steered.ts";
import type { Trial } from "../trial.ts";
import type { Json, Turn, WireResponse } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { inputTokens, object } from "../wire.ts";
import { STEER_QUEUES } from "./steering-queues.ts";

const GUIDE = "OpenAI guide to steering";
/** What a successor takes over from the response that it succeeds. */
const SETTINGS = [
  "model",
  "instructions",
  "metadata",
  "tools",
  "tool_choice",
  "parallel_tool_calls",
  "temperature",
  "top_p",
  "text",
  "max_output_tokens",
  "truncation",
  "store",
] as const;

/** `response.steer`: new words for a response that is running. */
export const STEERING: Group = {
  name: "steering",
  title: "response.steer: new words for a response that is running",
  cases: [
    {
      id: "steering.accepted",
      level: "must",
      title: "A steer is accepted once, with an id of its own and the id of its response.",
      rule: "G2",
      from: GUIDE,
      mend: "Answer with response.steer.accepted: steer.id and steer.previous_response_id.",
      run: async (trial) => {
        const { accepted, target } = await steered(trial);
        same(accepted.length, 1, "The number of response.steer.accepted events");
        const { id, previous_response_id } = steerOf(accepted[0]!);
        demand(typeof id === "string" && id !== "", "The steer has no id.", { got: accepted[0] });
        same(previous_response_id, target.id, "'steer.previous_response_id'");
      },
    },
    {
      id: "steering.target",
      level: "must",
      title: "The steered response ends as incomplete with the reason 'steered', or completes; its items are whole.",
      rule: "G2",
      from: GUIDE,
      mend: "Finish the item that is being written, then end the response; do not fail it.",
      run: async (trial) => {
        const { last, target, frames } = await steered(trial);
        if (last.type !== "response.completed") {
          same(last.type, "response.incomplete", "The end of the steered response");
          same(target["incomplete_details"], { reason: "steered" }, "'incomplete_details' of the steered response");
        }
        const events = frames.filter((frame) => !isOf("response.steer.accepted")(frame));
        clean(examine(events), "lifecycle", "items", "parts", "folding", "ids", "output", "snapshots");
        const done = events.filter(isOf("response.output_item.done")).map(({ item }) => item);
        same(target.output, done, "'output' of the steered response");
        const added = events.filter(isOf("response.output_item.added"));
        same(done.length, added.length, "The number of items that were done, of those that were added");
      },
    },
    {
      id: "steering.successor",
      level: "must",
      title: "A response follows by itself that names the steered one as previous_response_id.",
      rule: "G2",
      from: GUIDE,
      mend: "Begin the successor on your own, right after the end of the steered response.",
      run: async (trial) => {
        const { target, successor } = await steered(trial);
        clean(examine(successor.frames), "lifecycle", "numbers", "ids");
        same(successor.response?.["previous_response_id"], target.id, "'previous_response_id' of the successor");
        demand(successor.response?.id !== target.id, "The successor has the id of the steered response.");
        same(successor.last.type, "response.completed", "The end of the successor");
      },
    },
    {
      id: "steering.inherited",
      level: "must",
      title: "The successor has all settings of the steered response: instructions, metadata, tools and the like.",
      rule: "G2",
      from: GUIDE,
      mend: "Run the successor with the request of the steered response; only its input is new.",
      run: async (trial) => {
        const { target, successor } = await steered(trial);
        const next = successor.response ?? skip("the successor failed");
        for (const setting of SETTINGS) same(next[setting], target[setting], `'${setting}' of the successor`);
      },
    },
    {
      id: "steering.context",
      level: "must",
      title: "The successor has seen what the steered response had seen, and the new words.",
      rule: "G2",
      from: GUIDE,
      mend: "The context of the successor: the input and the finished output of the steered response, then the steers.",
      run: async (trial) => {
        const { target, successor } = await steered(trial);
        const next = successor.response ?? skip("the successor failed");
        demand(inputTokens(next) > inputTokens(target), "The successor's context is no larger.", {
          expected: `more than ${inputTokens(target)} tokens of input`,
          got: inputTokens(next),
        });
      },
    },
    {
      id: "steering.numbers",
      level: "extension",
      title: "response.steer.accepted counts on in the sequence numbers of the steered response.",
      rule: "S2",
      from: "samples of the guide",
      mend: "Take the sequence_number of steering events from the counter of the response that they are about.",
      run: async (trial) => {
        clean(examine((await steered(trial)).frames), "numbers", "counting", "fields");
      },
    },
    {
      id: "steering.goes-on",
      level: "must",
      title: "After the successor the connection goes on, from the successor.",
      rule: "G2",
      from: GUIDE,
      mend: "Free the lane when the successor has ended, and keep the successor as any other response.",
      run: async (trial) => {
        const { next, successor } = await steered(trial);
        same(next.last.type, "response.completed", "The end of the turn that continues the successor");
        same(next.response?.["previous_response_id"], successor.response?.id, "'previous_response_id' of that turn");
      },
    },
    {
      id: "steering.several",
      level: "must",
      title: "Several steers of one response are all accepted, in order, and one successor has seen them all.",
      rule: "G2",
      from: GUIDE,
      mend: "Queue the steers of a response and put all of them, in order, at the beginning of its one successor.",
      run: async (trial) => {
        await trial.requires(STEER);
        const socket = await trial.connect();
        const running = await begin(socket, {});
        const parts = [{ type: "input_text", text: SAY_OK }];
        const { accepted, target } = await steer(socket, running, filler(100), [user(filler(100))], [user(parts)]);
        same(accepted.length, 3, "The number of response.steer.accepted events");
        same(new Set(accepted.map((frame) => steerOf(frame)["id"])).size, 3, "The number of different steer ids");
        const { response } = await socket.rest();
        const successor = response ?? skip("the successor failed");
        same(successor["previous_response_id"], target.id, "'previous_response_id' of the successor");
        const more = inputTokens(successor) - inputTokens(target);
        demand(more >= 200, "The successor has not seen all steers.", { expected: "200 tokens more", got: more });
        const { frames } = await socket.turn({ input: SAY_OK, store: false });
        clean(examine(frames), "lifecycle");
      },
    },
    {
      id: "steering.lane",
      level: "must",
      title: "Steering works on a named lane: its events and the successor carry the stream_id of the response.",
      rule: "G2",
      from: GUIDE,
      mend: "Find the lane by the response that is steered, and tag the answers with it.",
      run: async (trial) => {
        await trial.requires(STEER);
        await trial.requires(LANES);
        const socket = await trial.connect();
        const running = await begin(socket, { stream_id: "main" });
        const { accepted, target } = await steer(socket, running, SAY_OK);
        for (const frame of accepted) same(frame["stream_id"], "main", `'stream_id' of ${frame.type}`);
        const { frames, response } = await socket.rest();
        for (const frame of frames) same(frame["stream_id"], "main", `'stream_id' of ${frame.type} of the successor`);
        same(response?.["previous_response_id"], target.id, "'previous_response_id' of the successor");
      },
    },
    {
      id: "steering.unknown",
      level: "must",
      title: "A steer for an unknown response fails with response_not_found and brings its input back.",
      rule: "G7",
      from: GUIDE,
      mend: "Answer response.steer.failed with steer.previous_response_id, steer.input as it came, and the error.",
      run: async (trial) => {
        await trial.requires(STEER);
        const socket = await trial.connect();
        const id = "resp_conformance_missing";
        await failsWith(socket, { previous_response_id: id, input: "Turn left." }, "response_not_found");
        await failsWith(socket, { previous_response_id: id, input: [user("Turn right.")] }, "response_not_found");
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
    {
      id: "steering.completed",
      level: "must",
      title: "A steer for a completed response fails with response_already_completed and brings its input back.",
      rule: "G7",
      from: GUIDE,
      mend: "Take no steers for a response that has ended; the client sends them in its next create.",
      run: async (trial) => {
        await trial.requires(STEER);
        const socket = await trial.connect();
        const { id } = await socket.completed({ input: SAY_OK, store: false });
        await failsWith(socket, { previous_response_id: id, input: "Turn left." }, "response_already_completed");
        await socket.completed({ input: SAY_OK, store: false, previous_response_id: id });
      },
    },
    {
      id: "steering.other-connection",
      level: "must",
      title: "A response cannot be steered from another connection.",
      rule: "G7",
      from: GUIDE,
      mend: "Look for the response among those of the connection only.",
      run: async (trial) => {
        await trial.requires(STEER);
        const socket = await trial.connect();
        const running = await begin(socket, {});
        const other = await trial.connect();
        await failsWith(other, { previous_response_id: running.id, input: "Turn left." }, "response_not_found");
      },
    },
    {
      id: "steering.invalid-input",
      level: "must",
      title: "Input that is not words of the user fails with invalid_input, and the response runs on.",
      rule: "G1",
      from: GUIDE,
      mend: "Take a string or a list of user messages that is not empty; refuse all else as a whole.",
      run: async (trial) => {
        await trial.requires(STEER);
        const socket = await trial.connect();
        const running = await begin(socket, { max_output_tokens: 200 });
        const invalid = [
          [],
          42,
          [{ type: "message", role: "assistant", content: "x" }],
          [{ type: "message", role: "system", content: "x" }],
          [{ type: "function_call_output", call_id: "call_1", output: "x" }],
          [user("good"), { type: "item_reference", id: "msg_1" }],
        ];
        for (const input of invalid) socket.send({ type: "response.steer", previous_response_id: running.id, input });
        for (const input of invalid) {
          const failed = await socket.frame(isOf("response.steer.failed"), "response.steer.failed");
          const code = object(failed["error"], "'error'")["code"];
          const isLate = code === "response_already_completed" || code === "response_not_active";
          if (isLate) skip("the model is too fast: the response had ended before it was steered");
          same(code, "invalid_input", `'error.code' for the input ${JSON.stringify(input)}`);
          same(steerOf(failed)["input"], input, "'steer.input', which is given back");
        }
        const { last, response } = await socket.rest();
        if (last.type === "response.completed") return;
        // It is long enough to be cut off, and that is no harm.
        const end = response?.["incomplete_details"];
        same(end, { reason: "max_output_tokens" }, "The end of the response after steers that were not taken");
      },
    },
    {
      id: "steering.stream-id",
      level: "should",
      title: "A steer that names a stream_id is refused: the lane is that of its response.",
      rule: "G1",
      from: GUIDE,
      mend: "Refuse fields of a steer other than type, previous_response_id and input, as invalid_input.",
      run: async (trial) => {
        await trial.requires(STEER);
        const socket = await trial.connect();
        const running = await begin(socket, {});
        const fields = { previous_response_id: running.id, input: "Turn left.", stream_id: "main" };
        socket.send({ type: "response.steer", ...fields });
        const isAnswer = isOf("response.steer.failed", "response.steer.accepted", "error");
        const answer = await socket.frame(isAnswer, "the answer to response.steer");
        demand(answer.type !== "response.steer.accepted", "The steer was taken.", { got: answer });
      },
    },
    ...STEER_QUEUES,
  ],
};

type SteeredTurn = Steering & { readonly successor: Turn; readonly next: Turn };

async function steered(trial: Trial): Promise<SteeredTurn> {
  await trial.requires(STEER);
  return trial.recording(STEERED_TURN);
}

/** Demands that a steer fails for this reason and is given back. */
async function failsWith(
  socket: Socket,
  steer: { readonly previous_response_id: WireResponse["id"]; readonly input: unknown },
  code: string,
): Promise<void> {
  socket.send({ type: "response.steer", ...steer });
  const failed = await socket.frame(undefined, "response.steer.failed");
  same(failed.type, "response.steer.failed", "The answer to response.steer");
  const error: Json = object(failed["error"], "'error' of response.steer.failed");
  same([error["code"], error["type"]], [code, "invalid_request_error"], "'code' and 'type' of the error");
  const { previous_response_id, input } = steerOf(failed);
  same({ previous_response_id, input }, steer, "The steer that is given back");
}
