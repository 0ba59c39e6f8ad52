import type { Group } from "../case.ts";
import { ASK_WEATHER, filler, SAY_OK, user, WEATHER_TOOL } from "../prompts.ts";
import { CALL_TURN } from "../recordings.ts";
import type { Socket } from "../socket.ts";
import type { Trial } from "../trial.ts";
import type { Json, WireResponse } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { callsOf, errorOf, inputTokens } from "../wire.ts";

const NAMED = { type: "function", name: "get_weather" };
const ASYNC_TOOL = { ...WEATHER_TOOL, async: true };
const REPEATED = "OpenAI; LiveKit Agents, strands, llama-index and crewAI send it in every turn with a tool";

/** Outputs of tools beyond the usual one for each call: late, repeated, or for no call at all. */
export const TOOL_OUTPUTS: Group = {
  name: "outputs",
  title: "async tools, outputs that come late, twice, or without a call",
  cases: [
    {
      id: "outputs.async-open",
      level: "should",
      title: "A call of an async tool is shown with async: true, and the conversation goes on without its output.",
      rule: "I6",
      from: "OpenAI recordings, async tools",
      mend: "Let the chain go on while such a call is open, and show the model that the call is still running.",
      run: async (trial) => {
        const { socket, first } = await called(trial, ASYNC_TOOL);
        const fields = { store: false, tools: [ASYNC_TOOL], tool_choice: "none" };
        const second = await socket.completed({ ...fields, input: SAY_OK, previous_response_id: first.id });
        await socket.completed({ ...fields, input: SAY_OK, previous_response_id: second.id });
      },
    },
    {
      id: "outputs.async-late",
      level: "should",
      title: "The output of an async call may come turns later, and again: each reaches the model.",
      rule: "I6",
      from: "OpenAI recordings, async tools: late, duplicate and contradictory outputs are taken",
      mend: "Remember the calls of async tools for as long as their chain lives, answered or not.",
      run: async (trial) => {
        const { socket, first, callId } = await called(trial, ASYNC_TOOL);
        const fields = { store: false, tools: [ASYNC_TOOL], tool_choice: "none" };
        const second = await socket.completed({ ...fields, input: SAY_OK, previous_response_id: first.id });
        const late = [outputOf(callId, filler(200)), user(SAY_OK)];
        const third = await socket.completed({ ...fields, input: late, previous_response_id: second.id });
        demand(inputTokens(third) > inputTokens(second) + 150, "A late output of 200 words did not reach the model.", {
          expected: `more than ${inputTokens(second) + 150} input tokens`,
          got: inputTokens(third),
        });
        const again = [outputOf(callId, "Cloudy."), user(SAY_OK)];
        await socket.completed({ ...fields, input: again, previous_response_id: third.id });
      },
    },
    {
      id: "outputs.async-place",
      level: "should",
      title: "async is refused where it means nothing: on a namespace, and on a tool that the server runs.",
      rule: "I6",
      from: "OpenAI recordings: unknown_parameter, tools[0].async",
      mend: "Take 'async' on functions and custom tools only, and answer 400 with the path of the field elsewhere.",
      run: async (trial) => {
        const socket = await trial.connect();
        const namespace = { type: "namespace", name: "weather", description: "Weather.", tools: [WEATHER_TOOL] };
        for (const tool of [namespace, { type: "web_search" }]) {
          const fields = { input: SAY_OK, store: false, tool_choice: "none", tools: [{ ...tool, async: true }] };
          const error = errorOf(await socket.refused(fields), "The error event");
          same(error["param"], "tools[0].async", "'param' of the error");
        }
      },
    },
    {
      id: "outputs.without-call",
      level: "should",
      title: "An output without a call_id, or with null, is taken and reaches the model.",
      rule: "I7",
      from: "openai 7.59 types; Codex keeps such outputs in its threads",
      mend: "Tell the model of such an output by the name of its tool.",
      run: async (trial) => {
        const socket = await trial.connect();
        const plain = await socket.completed({ input: SAY_OK, store: false });
        for (const call of [{}, { call_id: null }]) {
          const output = { type: "function_call_output", ...call, name: "get_weather", output: filler(200) };
          const told = await socket.completed({ input: [output, user(SAY_OK)], store: false });
          const grown = inputTokens(told) - inputTokens(plain);
          demand(grown > 150, "An output of 200 words did not reach the model.", {
            expected: "150 tokens more at least",
            got: grown,
          });
        }
      },
    },
    {
      id: "outputs.call-again",
      level: "should",
      title: "A call that is sent again with its output, without its id, is that call and not another one.",
      rule: "I5",
      from: REPEATED,
      mend: "Match a call of the input with the open call of the chain that has its call_id and name.",
      run: async (trial) => {
        const { socket, first, callId, call } = await called(trial, WEATHER_TOOL);
        const fields = { store: false, tools: [WEATHER_TOOL], tool_choice: "none", previous_response_id: first.id };
        const { id: _, status: __, ...again } = call;
        const output = outputOf(callId, "Sunny.");
        const doubled = await socket.completed({ ...fields, input: [again, output] });
        const other = await called(trial, WEATHER_TOOL);
        const usual = await other.socket.completed({
          ...fields,
          previous_response_id: other.first.id,
          input: [outputOf(other.callId, "Sunny.")],
        });
        const more = inputTokens(doubled) - inputTokens(usual);
        demand(more < 15, "The call is in the context twice.", {
          expected: `about ${inputTokens(usual)} input tokens`,
          got: inputTokens(doubled),
        });
      },
    },
    {
      id: "outputs.output-again",
      level: "should",
      title: "An output that was given already is taken again, when it says the same, and is in the context once.",
      rule: "I5",
      from: "semantic-kernel sends it so",
      mend: "Compare an output without an open call with those that the chain has for its call_id.",
      run: async (trial) => {
        const { socket, first, callId } = await called(trial, WEATHER_TOOL);
        const fields = { store: false, tools: [WEATHER_TOOL], tool_choice: "none" };
        const output = outputOf(callId, filler(200));
        const second = await socket.completed({ ...fields, input: [output], previous_response_id: first.id });
        const input = [output, user(SAY_OK)];
        const third = await socket.completed({ ...fields, input, previous_response_id: second.id });
        demand(inputTokens(third) < inputTokens(second) + 150, "The output is in the context twice.", {
          expected: `fewer than ${inputTokens(second) + 150} input tokens`,
          got: inputTokens(third),
        });
      },
    },
  ],
};

function outputOf(callId: unknown, output: string): Json {
  return { type: "function_call_output", call_id: callId, output };
}

/** A response that ends with a call of the tool. */
async function called(
  trial: Trial,
  tool: Json,
): Promise<{ socket: Socket; first: WireResponse; call: Json; callId: unknown }> {
  // Whether the model calls functions at all is found out once.
  await trial.recording(CALL_TURN);
  const socket = await trial.connect();
  const fields = { input: ASK_WEATHER, store: false, tools: [tool], tool_choice: NAMED };
  const { last, response: first } = await socket.turn(fields);
  if (tool["async"] === true && last.type === "error") skip("the server refuses async tools");
  demand(first !== null, "A turn that should succeed did not.", { expected: "response.completed", got: last });
  const [call] = callsOf(first);
  if (call === undefined) skip("the model called no function although it had to");
  if (tool["async"] === true && call["async"] !== true) skip("the server does not know async tools");
  return { socket, first, call, callId: call["call_id"] };
}
