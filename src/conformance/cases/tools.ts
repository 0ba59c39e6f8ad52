import { demandOneByOne } from "../call-order.ts";
import type { Case, Group } from "../case.ts";
import { type Aspect, clean } from "../findings.ts";
import { examine } from "../grammar.ts";
import { ASK_WEATHER, filler, SAY_OK, TIME_TOOL, WEATHER_TOOL } from "../prompts.ts";
import { CALL_TURN, PARALLEL_TURN } from "../recordings.ts";
import { wrongItem } from "../snapshot.ts";
import type { WireResponse } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { callsOf, inputTokens, isObject } from "../wire.ts";

function ofCall(
  id: string,
  aspects: readonly Aspect[],
  about: Pick<Case, "level" | "title" | "from" | "mend" | "rule">,
): Case {
  return {
    id,
    ...about,
    run: async (trial) => clean(examine((await trial.recording(CALL_TURN)).frames), ...aspects),
  };
}

const NAMED = { type: "function", name: "get_weather" };

/** Function calls: forced by tool_choice, so that no case depends on what a model likes. */
export const TOOLS: Group = {
  name: "tools",
  title: "function calls, their outputs, tool_choice, parallel calls",
  cases: [
    ofCall("tools.grammar", ["lifecycle", "numbers", "fields", "items", "parts", "output", "snapshots"], {
      level: "must",
      title: "A call is added with empty arguments, filled by deltas, and done; it has no content parts.",
      rule: "E4",
      from: "OpenAI; Open Responses §3",
      mend: 'Emit output_item.added with arguments "", then function_call_arguments.delta and .done, then output_item.done.',
    }),
    ofCall("tools.folding", ["folding"], {
      level: "must",
      title: "The argument deltas add up to the arguments of the done events and of the item.",
      rule: "E4",
      from: "OpenAI; Open Responses; langchain reads only deltas",
      mend: "Pass arguments on as the model wrote them; do not parse and print them again between delta and done.",
    }),
    ofCall("tools.ids", ["ids"], {
      level: "must",
      title: "Id, call_id and name of a call are the same in every event.",
      rule: "E4",
      from: "OpenAI; openai-node throws otherwise",
      mend: "Make both ids once, when the call begins.",
    }),
    {
      id: "tools.has-deltas",
      level: "should",
      title: "Arguments are sent in deltas, not only in the done event.",
      rule: "E4",
      from: "langchain shows nothing otherwise",
      mend: "Emit function_call_arguments.delta even when the model gave the arguments in one piece.",
      run: async (trial) => {
        const { frames } = await trial.recording(CALL_TURN);
        const types = frames.map(({ type }) => type);
        demand(types.includes("response.function_call_arguments.delta"), "There is no delta of the arguments.", {
          got: types,
        });
      },
    },
    {
      id: "tools.item",
      level: "must",
      title: "A finished call has id, call_id, name, arguments that are a JSON object, and the status completed.",
      rule: "E4",
      from: "Open Responses, FunctionCall",
      mend: "Fill in 'status' and 'call_id'; the item's id and the call_id are two different things.",
      run: async (trial) => {
        const { response } = await trial.recording(CALL_TURN);
        for (const call of callsOf(response)) {
          same(wrongItem(call), [], "What is wrong with the call");
          same(call["status"], "completed", "'status' of the call");
          demand(isJsonObject(call["arguments"]), "'arguments' is not a JSON object.", { got: call["arguments"] });
        }
      },
    },
    {
      id: "tools.shown",
      level: "must",
      title: "The tools that a response shows have name, description, parameters and strict.",
      rule: "C3",
      from: "Open Responses, FunctionTool",
      mend: "Fill in what the client left out with null when you show a tool.",
      run: async (trial) => {
        const socket = await trial.connect();
        const tools = [{ type: "function", name: "ping", parameters: { type: "object", properties: {} } }];
        const response = await socket.completed({ input: SAY_OK, store: false, tools, tool_choice: "none" });
        const shown = Array.isArray(response["tools"]) ? response["tools"] : [];
        for (const tool of shown) {
          const missing = ["type", "name", "description", "parameters", "strict"].filter(
            (key) => !isObject(tool) || !(key in tool),
          );
          same(missing, [], "The keys that a shown tool lacks");
        }
      },
    },
    {
      id: "tools.named",
      level: "must",
      title: "A tool_choice that names a function has that one called and no other.",
      rule: "M10",
      from: "OpenAI; Open Responses §7",
      mend: "Pass the named choice on to the model server; do not turn it into 'auto' or 'required'.",
      run: async (trial) => {
        await trial.recording(CALL_TURN);
        const socket = await trial.connect();
        const fields = { input: ASK_WEATHER, store: false, tools: [WEATHER_TOOL, TIME_TOOL] };
        for (const name of ["get_time", "get_weather"]) {
          const response = await socket.completed({ ...fields, tool_choice: { type: "function", name } });
          const names = new Set(callsOf(response).map((call) => call["name"]));
          same([...names], [name], "The functions that were called");
        }
      },
    },
    {
      id: "tools.required",
      level: "must",
      title: "tool_choice 'required' has at least one tool called.",
      rule: "M10",
      from: "OpenAI; Open Responses §7",
      mend: "Pass 'required' on to the model server.",
      run: async (trial) => {
        await trial.recording(CALL_TURN);
        const socket = await trial.connect();
        const tools = [WEATHER_TOOL, TIME_TOOL];
        const response = await socket.completed({ input: ASK_WEATHER, store: false, tools, tool_choice: "required" });
        demand(callsOf(response).length > 0, "No tool was called.", { got: response.output });
      },
    },
    {
      id: "tools.none",
      level: "must",
      title: "tool_choice 'none' has no tool called.",
      rule: "M10",
      from: "OpenAI; Open Responses §7",
      mend: "Pass 'none' on, or leave the tools out of the model's prompt.",
      run: async (trial) => {
        const socket = await trial.connect();
        const response = await socket.completed({
          input: ASK_WEATHER,
          store: false,
          tools: [WEATHER_TOOL],
          tool_choice: "none",
        });
        same(callsOf(response), [], "The calls in spite of 'none'");
      },
    },
    {
      id: "tools.allowed",
      level: "must",
      title: "tool_choice 'allowed_tools' has only these called.",
      rule: "M6",
      from: "OpenAI; Open Responses §7: a hard constraint",
      mend: "Offer the model only the allowed tools.",
      run: async (trial) => {
        await trial.recording(CALL_TURN);
        const socket = await trial.connect();
        const choice = { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "get_time" }] };
        const fields = { input: ASK_WEATHER, store: false, tools: [WEATHER_TOOL, TIME_TOOL], tool_choice: choice };
        const response = await socket.completed(fields);
        if (callsOf(response).length === 0) skip("the model called no function although it had to");
        for (const call of callsOf(response)) same(call["name"], "get_time", "The function that was called");
      },
    },
    {
      id: "tools.unknown-choice",
      level: "should",
      title: "A tool_choice that names a function which is not in 'tools' is refused.",
      rule: "M10",
      from: "OpenAI",
      mend: "Check the named tool against the list, and answer 400 with param 'tool_choice'.",
      run: async (trial) => {
        const socket = await trial.connect();
        const fields = { input: ASK_WEATHER, store: false, tools: [TIME_TOOL], tool_choice: NAMED };
        await socket.failed(fields);
      },
    },
    {
      id: "tools.output",
      level: "must",
      title: "A call and its output stay in the context: the next turn has read both.",
      rule: "P1",
      from: "OpenAI WebSocket guide; some servers drop them",
      mend: "Keep function_call items of the output and function_call_output items of the input in the chain.",
      run: async (trial) => {
        const { first, second, socket } = await withOutput(trial, filler(300));
        const grown = inputTokens(second) - inputTokens(first);
        demand(grown > 150, "An output of 300 words did not reach the model.", {
          expected: "150 tokens more at least",
          got: grown,
        });
        const third = await socket.completed({ input: SAY_OK, store: false, previous_response_id: second.id });
        demand(inputTokens(third) > inputTokens(first) + 100, "The turn after that has not seen the output.", {
          expected: `more than ${inputTokens(first) + 100} input tokens`,
          got: inputTokens(third),
        });
      },
    },
    {
      id: "tools.output-parts",
      level: "should",
      title: "An output may be a list of parts.",
      rule: "I2",
      from: "OpenAI; Codex sends lists",
      mend: "Take 'output' as a string and as a list of input_text, input_image and input_file parts.",
      run: async (trial) => {
        const { second } = await withOutput(trial, [{ type: "input_text", text: "Sunny, 21 degrees." }]);
        same(second.status, "completed", "'status' of the response");
      },
    },
    {
      id: "tools.output-replayed",
      level: "must",
      title: "A call and its output, replayed as input without previous_response_id, are taken as they were.",
      rule: "I2",
      from: "stateless clients; AI SDK",
      mend: "Take output items back as input, with their id and status.",
      run: async (trial) => {
        const { request, response } = await trial.recording(CALL_TURN);
        const socket = await trial.connect();
        const outputs = callsOf(response).map(({ call_id }) => ({
          type: "function_call_output",
          call_id,
          output: "Sunny.",
        }));
        const input = [{ role: "user", content: request["input"] }, ...response.output, ...outputs];
        await socket.completed({ input, store: false, tools: [WEATHER_TOOL], tool_choice: "none" });
      },
    },
    {
      id: "tools.orphan-output",
      level: "must",
      title: "An output for a call that is not in the context makes the turn fail, with the call in the message.",
      rule: "I4",
      from: "OpenAI; Open Responses compliance 10",
      mend: "Look for the call_id in the chain and in the input before the model is asked.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({ input: SAY_OK, store: false });
        const input = [{ type: "function_call_output", call_id: "call_conformance_missing", output: "x" }];
        const { message } = await socket.failed({ input, store: false, previous_response_id: first.id });
        demand(String(message).includes("call_conformance_missing"), "The message does not name the call.", {
          got: message,
        });
      },
    },
    {
      id: "tools.missing-output",
      level: "should",
      title: "Continuing while a call has no output fails.",
      rule: "I4",
      from: "OpenAI ('No tool output found for function call …')",
      mend: "Check that every call of the chain has an output; model servers choke on open calls.",
      run: async (trial) => {
        await trial.recording(CALL_TURN);
        const socket = await trial.connect();
        const first = await socket.completed({
          input: ASK_WEATHER,
          store: false,
          tools: [WEATHER_TOOL],
          tool_choice: NAMED,
        });
        if (callsOf(first).length === 0) skip("the model called no function although it had to");
        await socket.failed({ input: SAY_OK, store: false, previous_response_id: first.id });
      },
    },
    {
      id: "tools.parallel",
      level: "must",
      title: "Two calls in one response are two items, with output indexes, ids and call_ids of their own.",
      rule: "E6",
      from: "OpenAI; Open Responses",
      mend: "Keep the deltas of parallel calls apart by their index; do not merge them or reuse ids.",
      run: async (trial) => {
        const { frames, response } = await trial.recording(PARALLEL_TURN);
        clean(examine(frames));
        const calls = callsOf(response);
        same(new Set(calls.map((call) => call["call_id"])).size, calls.length, "The number of different call_ids");
        for (const call of calls)
          demand(isJsonObject(call["arguments"]), "'arguments' is not a JSON object.", { got: call });
      },
    },
    {
      id: "tools.one-by-one",
      level: "should",
      title: "A call is done before the next item begins.",
      rule: "E4",
      from: "OpenAI; clients start the first tool while the second is still being written",
      mend: "Emit output_item.done of a call when the model begins the next item, unless its arguments are still coming.",
      run: async (trial) => demandOneByOne((await trial.recording(PARALLEL_TURN)).frames),
    },
    {
      id: "tools.not-parallel",
      level: "must",
      title: "parallel_tool_calls false has at most one tool called in a response.",
      rule: "M10",
      from: "OpenAI; Open Responses",
      mend: "Pass the setting on, and hold back any call after the first.",
      run: async (trial) => {
        await trial.recording(CALL_TURN);
        const socket = await trial.connect();
        const input = "Call get_weather and get_time for Paris, both at once.";
        const settings = {
          store: false,
          tools: [WEATHER_TOOL, TIME_TOOL],
          tool_choice: "required",
          parallel_tool_calls: false,
        };
        const first = await socket.completed({ ...settings, input });
        const calls = callsOf(first);
        demand(calls.length <= 1, "More than one tool was called.", { got: calls });
        const outputs = calls.map(({ call_id }) => ({
          type: "function_call_output",
          call_id,
          output: "now the other one",
        }));
        const second = await socket.completed({ ...settings, input: outputs, previous_response_id: first.id });
        demand(callsOf(second).length <= 1, "More than one tool was called.", { got: callsOf(second) });
      },
    },
  ],
};

async function withOutput(trial: Parameters<Case["run"]>[0], output: unknown) {
  // Whether the model calls functions at all is found out once.
  await trial.recording(CALL_TURN);
  const socket = await trial.connect();
  const fields = { store: false, tools: [WEATHER_TOOL] };
  const first: WireResponse = await socket.completed({ ...fields, input: ASK_WEATHER, tool_choice: NAMED });
  const calls = callsOf(first);
  if (calls.length === 0) skip("the model called no function although it had to");
  const input = calls.map(({ call_id }) => ({ type: "function_call_output", call_id, output }));
  const second = await socket.completed({ ...fields, input, tool_choice: "none", previous_response_id: first.id });
  return { first, second, socket };
}

function isJsonObject(text: unknown): boolean {
  try {
    return isObject(JSON.parse(String(text)));
  } catch {
    return false;
  }
}
