import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ChatCompletionsBackend } from "../../src/backends/chat-completions.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import { ChatUpstream, refuse, text } from "../support/chat-upstream.ts";
import { compactions } from "../support/compactions.ts";

/**
 * Real chat templates, through the real backend: a model server that renders each request with one and refuses it in the
 * template's own words, with 500 as llama.cpp does. `CHAT_TEMPLATES` names a folder of `*.jinja` files, such as
 * `vendor/llama.cpp/models/templates` in the source distribution of `llama-cpp-python`; Python needs `jinja2`.
 */

const FOLDER = process.env["CHAT_TEMPLATES"];
const PYTHON = process.env["PYTHON"] ?? "python3";
const hasJinja = FOLDER !== undefined && spawnSync(PYTHON, ["-c", "import jinja2"]).status === 0;
const TEMPLATES =
  FOLDER === undefined
    ? ["(CHAT_TEMPLATES names no folder)"]
    : readdirSync(FOLDER).filter((name) => name.endsWith(".jinja"));

const user = (content: unknown) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });
const developer = (content: string) => ({ role: "developer", content });
const thought = { type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: "MARKhmm" }] };
const call = (id: string) => ({ type: "function_call", call_id: id, name: "now", arguments: '{"zone":"utc"}' });
const output = (id: string, content: unknown = "noon") => ({
  type: "function_call_output",
  call_id: id,
  output: content,
});
const custom = [
  { type: "custom_tool_call", call_id: "call_x", name: "patch", input: "***" },
  { type: "custom_tool_call_output", call_id: "call_x", output: "done" },
];
const TOOLS = [
  {
    type: "function",
    name: "now",
    description: "Tells it",
    parameters: { type: "object", properties: { zone: { type: "string", description: "Where" } } },
  },
];
const instructions = "Be brief.";
const image = { type: "input_image", image_url: "data:image/png;base64,AA==" };

/** What a Responses client makes of a conversation. */
const SHAPES: { readonly [name: string]: object } = {
  "one message": { input: "hi" },
  instructions: { instructions, input: "hi" },
  "developer and instructions": { instructions, input: [developer("d"), user("hi")] },
  "two messages of the user": { instructions, input: [user("<environment/>"), user("hi")] },
  "three turns": { instructions, input: [user("a"), assistant("b"), user("c"), assistant("d"), user("e")] },
  "a late developer message": { instructions, input: [user("a"), assistant("b"), developer("late"), user("c")] },
  "a late developer message at the end": { instructions, input: [user("a"), developer("late")] },
  "a late system message without instructions": { input: [user("a"), { role: "system", content: "late" }, user("b")] },
  "begins with the assistant": { instructions, input: [assistant("b"), user("c")] },
  "begins with a call": { instructions, tools: TOOLS, input: [call("call_1"), output("call_1"), user("c")] },
  "a summary and a message": { instructions, input: [user("<summary/>"), user("go on")] },
  "tools, no call": { instructions, tools: TOOLS, input: "hi" },
  "a call and its output": { instructions, tools: TOOLS, input: [user("a"), call("call_1"), output("call_1")] },
  "a call with text": {
    instructions,
    tools: TOOLS,
    input: [user("a"), assistant("let me see"), call("call_1"), output("call_1")],
  },
  "a call with reasoning": {
    instructions,
    tools: TOOLS,
    input: [user("a"), thought, call("call_1"), output("call_1")],
  },
  "an answer behind an output": {
    instructions,
    tools: TOOLS,
    input: [user("a"), call("call_1"), output("call_1"), assistant("b"), user("c")],
  },
  "a steer behind an output": {
    instructions,
    tools: TOOLS,
    input: [user("a"), call("call_1"), output("call_1"), user("hurry")],
  },
  "parallel calls": {
    instructions,
    tools: TOOLS,
    input: [user("a"), call("call_1"), call("call_2"), output("call_2", "2"), output("call_1", "1")],
  },
  "rounds of calls": {
    instructions,
    tools: TOOLS,
    input: [
      user("a"),
      call("call_1"),
      output("call_1"),
      call("call_2"),
      output("call_2"),
      call("call_3"),
      output("call_3"),
    ],
  },
  "parallel calls and a steer": {
    instructions,
    tools: TOOLS,
    input: [user("x"), user("a"), call("call_1"), call("call_2"), output("call_1"), output("call_2"), user("hurry")],
  },
  "an image in an output": {
    instructions,
    tools: TOOLS,
    input: [user("a"), call("call_1"), output("call_1", [{ type: "input_text", text: "see" }, image])],
  },
  "a custom tool": {
    instructions,
    tools: [...TOOLS, { type: "custom", name: "patch", description: "Patches" }],
    input: [user("a"), ...custom, user("b")],
  },
  "reasoning and an answer": { instructions, input: [user("a"), thought, assistant("b"), user("c")] },
  "reasoning alone": { instructions, input: [user("a"), thought, user("c")] },
  "a whole session of an agent": {
    instructions,
    tools: TOOLS,
    input: [
      developer("d"),
      user("<environment/>"),
      user("a"),
      thought,
      call("call_1"),
      call("call_2"),
      output("call_1"),
      output("call_2"),
      assistant("b"),
      developer("late"),
      user("c"),
      call("call_3"),
      output("call_3"),
      user("hurry"),
      user("up"),
    ],
  },
};

let upstream: ChatUpstream;
let renderer: ChildProcess;
const waiting: ((answer: { readonly text?: string; readonly error?: string }) => void)[] = [];

function render(template: string, body: object): Promise<{ readonly text?: string; readonly error?: string }> {
  const { messages, tools = null } = body as { readonly messages: unknown; readonly tools?: unknown };
  renderer.stdin?.write(`${JSON.stringify({ template: join(FOLDER ?? "", template), messages, tools })}\n`);
  return new Promise((resolve) => {
    waiting.push(resolve);
  });
}

beforeAll(async () => {
  if (!hasJinja) return;
  upstream = await ChatUpstream.start();
  renderer = spawn(PYTHON, [new URL("python/render_templates.py", import.meta.url).pathname], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  if (renderer.stdout !== null)
    createInterface({ input: renderer.stdout }).on("line", (line) => waiting.shift()?.(JSON.parse(line) as object));
});

afterAll(async () => {
  if (!hasJinja) return;
  renderer.kill();
  await upstream.close();
});

describe.skipIf(!hasJinja)("chat templates", () => {
  test.each(TEMPLATES)("%s takes every shape after at most one refusal for each trait", async (template) => {
    const learned: object[] = [];
    const refusals: string[] = [];
    upstream.otherwise(async (response, sent) => {
      const { error } = await render(template, sent.body);
      if (error !== undefined) refusals.push(error);
      await (error === undefined
        ? text("well")
        : refuse(500, { error: { message: error, code: 500, type: "server_error" } }))(response, sent);
    });
    const backend = new ChatCompletionsBackend({
      url: upstream.url,
      key: null,
      connectTimeoutMs: 5000,
      firstByteTimeoutMs: 60_000,
      silenceTimeoutMs: 60_000,
      retries: 0,
      retryDelayMs: 1,
      thinkTags: "auto",
      strictTools: false,
      mcpTools: "refuse",
      extraBody: {},
      defaultBody: {},
      allowFields: [],
      prefill: false,
      tokenizer: "o200k_base",
      log: { warn: (fields) => learned.push(fields) },
    });
    const failures: string[] = [];
    for (const [name, fields] of Object.entries(SHAPES)) {
      const settings = parseCreateRequest({ model: "m", ...fields });
      const request = {
        model: "m",
        parent: null,
        input: settings.input,
        settings,
        session: {},
        open: compactions.open,
      };
      try {
        for await (const _ of backend.stream(request, new AbortController().signal));
      } catch (error) {
        failures.push(`${name}: ${(error as Error).message}`);
      }
    }
    await backend.close();
    expect(failures).toEqual([]);
    // At most one request for each trait: no more refusals than lessons.
    const traits = learned.flatMap((fields) => Object.keys((fields as { learned?: object }).learned ?? {}));
    expect(refusals.length).toBeLessThanOrEqual(new Set(traits).size);
  });
});
