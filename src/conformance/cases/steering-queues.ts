import type { Case } from "../case.ts";
import { STEER } from "../features.ts";
import { ASK_WEATHER, filler, SAY_OK, WEATHER_TOOL } from "../prompts.ts";
import { idOf, isOf, isTerminal, until } from "../reading.ts";
import type { Socket } from "../socket.ts";
import { begin, type Running, steer, type Steering, steerOf } from "../steered.ts";
import type { Json, WireItem, WireResponse } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { callsOf, inputTokens, list, object } from "../wire.ts";

const GUIDE = "OpenAI guide to steering";

const CALL: Json = {
  input: ASK_WEATHER,
  store: false,
  tools: [WEATHER_TOOL],
  tool_choice: { type: "function", name: "get_weather" },
};

/** Steers that do not begin a successor, but go along with a create of the client. */
export const STEER_QUEUES: readonly Case[] = [
  {
    id: "steering.pending",
    level: "must",
    title:
      "When a response ends in calls, its steers are pending, with a stub for each output that the client has to bring.",
    rule: "G4",
    from: GUIDE,
    mend: "Send response.steer.pending after the end, for each steer, instead of beginning a successor.",
    run: async (trial) => {
      await trial.requires(STEER);
      const socket = await trial.connect();
      const { call, accepted, target } = await steeredCall(socket, "first", "second");
      const ids = accepted.map((frame) => steerOf(frame)["id"]);
      for (const id of ids) {
        const pending = await socket.frame(undefined, "response.steer.pending");
        same(pending.type, "response.steer.pending", "What follows the end of a steered response with an open call");
        same(steerOf(pending), { id, previous_response_id: target.id }, "'steer' of response.steer.pending");
        same(pending["reason"], "waiting_for_required_input", "'reason' of response.steer.pending");
        const stubs = list(pending["required_input"], "'required_input' of response.steer.pending");
        const stub = { type: "function_call_output", call_id: call["call_id"], name: call["name"] };
        same(stubs, [stub], "'required_input' of response.steer.pending");
      }
    },
  },
  {
    id: "steering.prepended",
    level: "must",
    title: "The create that brings the outputs has the pending steers put before its input.",
    rule: "G4",
    from: GUIDE,
    mend: "Put the pending steers before the input of the next create of that lane that continues their response.",
    run: async (trial) => {
      await trial.requires(STEER);
      const plain = await trial.connect();
      const turn = await plain.completed(CALL);
      const [open] = callsOf(turn);
      if (open === undefined) skip("the model called no function although it had to");
      const without = await plain.completed(answer(turn, open));

      const socket = await trial.connect();
      const { call, target } = await steeredCall(socket, `${filler(100)} ${SAY_OK}`);
      await socket.frame(isOf("response.steer.pending"), "response.steer.pending");
      const next = await socket.completed(answer(target, call));
      same(next["previous_response_id"], target.id, "'previous_response_id' of the explicit create");
      const more = inputTokens(next) - inputTokens(without);
      demand(more >= 80, "The create has not seen the pending steer.", {
        expected: "about 200 tokens of input more than without it",
        got: more,
      });
      const after = await socket.completed({ input: SAY_OK, store: false });
      demand(inputTokens(after) < inputTokens(next), "The steer was applied again.", { got: inputTokens(after) });
    },
  },
  {
    id: "steering.queued-create",
    level: "should",
    title: "A create that already waits to continue the response takes the steers along; no successor comes before it.",
    rule: "G3",
    from: GUIDE,
    mend: "Look for a waiting create that names the response before a successor is begun.",
    run: async (trial) => {
      await trial.requires(STEER);
      const socket = await trial.connect();
      const running = await begin(socket, {});
      socket.create({ input: SAY_OK, store: false, previous_response_id: running.id, metadata: { kind: "explicit" } });
      const { target } = await steer(socket, running, filler(100));
      const { frames, response } = await socket.rest();
      demand(response !== null, "The create that waited was refused.", { got: frames.at(-1) });
      same(response["metadata"], { kind: "explicit" }, "'metadata' of what followed the steered response");
      same(response["previous_response_id"], target.id, "'previous_response_id' of it");
      const more = inputTokens(response) - inputTokens(target);
      demand(more >= 100, "The create has not taken the steer along.", { expected: "100 tokens more", got: more });
    },
  },
];

/** A turn that is writing a call. */
async function begun(socket: Socket): Promise<Running> {
  socket.create(CALL);
  const isCall = isOf("response.output_item.added");
  const frames = await until(
    socket,
    (frame) => isTerminal(frame) || (isCall(frame) && object(frame["item"], "'item'")["type"] === "function_call"),
    "a function call",
  );
  const [created] = frames;
  demand(created?.type === "response.created", "The turn was refused.", { expected: "response.created", got: created });
  return { id: idOf(created), frames };
}

async function steeredCall(
  socket: Socket,
  ...inputs: readonly unknown[]
): Promise<Steering & { readonly call: WireItem }> {
  const steering = await steer(socket, await begun(socket), ...inputs);
  const [call] = callsOf(steering.target);
  if (call === undefined) skip("the model called no function although it had to");
  return { ...steering, call };
}

/** The create that brings the output of the call. */
function answer(response: WireResponse, call: WireItem): Json {
  const output = { type: "function_call_output", call_id: call["call_id"], name: call["name"], output: "Sunny." };
  const settings = { store: false, tools: [WEATHER_TOOL], tool_choice: "none" };
  return { ...settings, previous_response_id: response.id, input: [output] };
}
