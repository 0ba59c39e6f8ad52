import type { Group } from "../case.ts";
import { clean } from "../findings.ts";
import { examine } from "../grammar.ts";
import { SAY_OK, WEATHER_TOOL } from "../prompts.ts";
import { REASONING_TURN } from "../recordings.ts";
import { wrongItem } from "../snapshot.ts";
import type { Trial } from "../trial.ts";
import type { Json, WireResponse } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { errorOf, inputTokens, isObject, textOf } from "../wire.ts";

const PERSON: Json = {
  type: "json_schema",
  name: "person",
  strict: true,
  schema: {
    type: "object",
    properties: { name: { type: "string" }, age: { type: "integer" }, married: { type: "boolean" } },
    required: ["name", "age", "married"],
    additionalProperties: false,
  },
};

/** Output that is not plain text: structured, reasoned, or of custom tools. */
export const FORMATS: Group = {
  name: "formats",
  title: "structured output, reasoning, custom tools",
  cases: [
    {
      id: "formats.json-schema",
      level: "should",
      title: "text.format 'json_schema' has the answer be JSON of that schema.",
      rule: "M9",
      from: "OpenAI; Open Responses",
      mend: "Pass the schema on to the model server (response_format), with its name and strict.",
      run: async (trial) => {
        const value = parse(textOf(await formatted(trial, PERSON)));
        const kinds = Object.fromEntries(Object.entries(value).map(([key, field]) => [key, typeof field]));
        same(kinds, { name: "string", age: "number", married: "boolean" }, "The types of the fields of the answer");
      },
    },
    {
      id: "formats.json-object",
      level: "should",
      title: "text.format 'json_object' has the answer be a JSON object.",
      rule: "M9",
      from: "OpenAI",
      mend: "Pass the format on to the model server (response_format).",
      run: async (trial) => {
        parse(textOf(await formatted(trial, { type: "json_object" })));
      },
    },
    {
      id: "formats.shown",
      level: "must",
      title: "The response shows the format that was asked for, and text when none was.",
      rule: "C3",
      from: "OpenAI; Open Responses",
      mend: "Echo text.format; its default is { type: 'text' }.",
      run: async (trial) => {
        const socket = await trial.connect();
        const plain = await socket.completed({ input: SAY_OK, store: false });
        const shown =
          isObject(plain["text"]) && isObject(plain["text"]["format"]) ? plain["text"]["format"]["type"] : null;
        same(shown, "text", "The type of the default format");
        const { text } = await formatted(trial, PERSON);
        const format = isObject(text) && isObject(text["format"]) ? text["format"] : {};
        same(
          { type: format["type"], name: format["name"] },
          { type: "json_schema", name: "person" },
          "The format that is shown",
        );
      },
    },
    {
      id: "formats.invalid",
      level: "should",
      title: "A format that does not exist is refused with status 400 and its place.",
      rule: "C2",
      from: "OpenAI",
      mend: "Check text.format.type, and name the field in 'param'.",
      run: async (trial) => {
        const socket = await trial.connect();
        const frame = await socket.refused({ input: SAY_OK, store: false, text: { format: { type: "conformance" } } });
        same(frame["status"], 400, "'status' of the error event");
        const { param } = errorOf(frame, "The error event");
        demand(String(param).startsWith("text"), "'param' does not name the field.", {
          expected: "text.format.type",
          got: param,
        });
      },
    },
    {
      id: "formats.reasoning-grammar",
      level: "must",
      title: "A reasoning item obeys the grammar of items and parts, and comes before the answer.",
      rule: "E3",
      from: "OpenAI; Open Responses §4",
      mend: "Open the reasoning item first, close it before the message begins, and fill its parts by deltas.",
      run: async (trial) => {
        const { frames, response } = await trial.recording(REASONING_TURN);
        clean(examine(frames));
        same(response.output[0]?.type, "reasoning", "The type of the first item");
      },
    },
    {
      id: "formats.reasoning-item",
      level: "must",
      title: "A reasoning item has an id and a summary list, and no encrypted_content that is null.",
      rule: "E3",
      from: "Open Responses, ReasoningBody",
      mend: "Always send 'summary', empty if there is none; leave encrypted_content out when it was not asked for.",
      run: async (trial) => {
        const { response } = await trial.recording(REASONING_TURN);
        const items = response.output.filter(({ type }) => type === "reasoning");
        same(items.flatMap(wrongItem), [], "What is wrong with the reasoning items");
      },
    },
    {
      id: "formats.reasoning-usage",
      level: "should",
      title: "usage counts the tokens of the reasoning.",
      rule: "E13",
      from: "OpenAI",
      mend: "Fill output_tokens_details.reasoning_tokens from the model server's completion_tokens_details.",
      run: async (trial) => {
        const { usage } = (await trial.recording(REASONING_TURN)).response;
        if (!isObject(usage) || !isObject(usage["output_tokens_details"])) skip("the server reports no usage");
        const count = Number(usage["output_tokens_details"]["reasoning_tokens"]);
        demand(count > 0, "There is a reasoning item and no reasoning token.", { got: usage });
        demand(count <= Number(usage["output_tokens"]), "There are more reasoning tokens than tokens.", { got: usage });
      },
    },
    {
      id: "formats.reasoning-replayed",
      level: "must",
      title: "A reasoning item is taken back as input, and its turn can be continued.",
      rule: "I2",
      from: "OpenAI; stateless clients replay it",
      mend: "Take reasoning items as input with id, summary and content, and drop what the model cannot use.",
      run: async (trial) => {
        const { request, response } = await trial.recording(REASONING_TURN);
        const socket = await trial.connect();
        const input = [...(request["input"] as readonly Json[]), ...response.output, { role: "user", content: SAY_OK }];
        const replayed = await socket.completed({ input, store: false });
        await socket.completed({ input: SAY_OK, store: false, previous_response_id: replayed.id });
      },
    },
    {
      id: "formats.reasoning-shown",
      level: "must",
      title: "The response shows the reasoning settings with both effort and summary.",
      rule: "C3",
      from: "Open Responses, Reasoning",
      mend: "Fill in the one of the two that the client left out with null.",
      run: async (trial) => {
        const socket = await trial.connect();
        const { response } = await socket.turn({ input: SAY_OK, store: false, reasoning: { effort: "low" } });
        if (response === null || response.status === "failed") skip("the model takes no reasoning settings");
        const { reasoning } = response;
        demand(isObject(reasoning) && "summary" in reasoning, "'reasoning' lacks a key.", {
          expected: { effort: "low", summary: null },
          got: reasoning,
        });
        same(reasoning["effort"], "low", "'reasoning.effort'");
      },
    },
    {
      id: "formats.custom-tool",
      level: "extension",
      title: "A custom tool is called with plain text: a custom_tool_call, filled by custom_tool_call_input events.",
      rule: "E4",
      from: "OpenAI; Codex uses it for patches",
      mend: "Map custom tools to what the model has, and answer with custom_tool_call items.",
      run: async (trial) => {
        const socket = await trial.connect();
        const request = {
          input: "Write a haiku about the sea into the notebook.",
          store: false,
          tools: [{ type: "custom", name: "notebook", description: "Takes any text." }, WEATHER_TOOL],
          tool_choice: { type: "custom", name: "notebook" },
        };
        const { frames, response } = await socket.turn(request);
        const call = response?.output.find(({ type }) => type === "custom_tool_call");
        if (response === null || call === undefined) skip("the server does not offer custom tools");
        clean(examine(frames));
        same(call["name"], "notebook", "'name' of the call");
        const input = [{ type: "custom_tool_call_output", call_id: call["call_id"], output: "written" }];
        const second = await socket.completed({
          input,
          store: false,
          previous_response_id: response.id,
          tools: request.tools,
          tool_choice: "none",
        });
        demand(inputTokens(second) > inputTokens(response), "The output of the custom tool did not reach the model.");
      },
    },
  ],
};

async function formatted(trial: Trial, format: Json): Promise<WireResponse> {
  const socket = await trial.connect();
  const input = "Describe one invented person as JSON with name, age and married.";
  const { response } = await socket.turn({ input, store: false, text: { format } });
  if (response === null || response.status === "failed")
    skip(`the server does not offer the format ${String(format["type"])}`);
  if (response.status === "incomplete") skip("the answer of the model was cut off");
  return response;
}

function parse(text: string): Json {
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // Told below.
  }
  demand(isObject(value), "The answer is not a JSON object.", { got: text });
  return value;
}
