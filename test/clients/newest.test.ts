import OpenAI from "openai-newest";
import { ResponsesWS } from "openai-newest/resources/responses/ws";
import type { Response, ResponseInputItem } from "openai-newest/resources/responses/responses";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { Codex } from "./support/codex.ts";
import { codex, python } from "./support/installed.ts";
import { jsonLines, Program } from "./support/program.ts";
import { bareEnvironment, linesOf, scratch } from "./support/scratch.ts";
import { type Arguments, expectLoopDone, openWorld, PROMPT, TOOLS } from "./support/task.ts";

/** The newest versions, beside the pinned ones that all other tests are about: each does its task in every way that it has. */

const { missing } = codex("newest");
const why = missing === null ? "" : ` (skipped: ${missing})`;

const shell = (cmd: string) => ({ name: "exec_command", input: { cmd } });
const PLANS = {
  loop: [
    { text: "I begin.", calls: [shell("echo one >> log.txt; cat log.txt")] },
    { calls: [shell("echo two >> log.txt; cat log.txt"), shell("echo side >> side.txt; echo side")] },
    { text: "All done." },
  ],
  again: [{ calls: [shell("echo three >> log.txt; wc -l < log.txt")] }, { text: "And again." }],
};

describe.skipIf(missing !== null)(`the newest Codex${why}`, () => {
  test.each([
    ["built-in", "a WebSocket", []],
    ["custom", "a WebSocket", []],
    ["built-in", "HTTP", ["--websocket", "off"]],
  ] as const)(
    "with the %s provider does a task over %s, and goes on with it in another process",
    async (provider, _, flags) => {
      const { baseUrl, model } = await openWorld(flags, PLANS);
      const client = await Codex.create({ baseUrl, provider, version: "newest" });
      const { answer, code, events } = await client.exec("[task:loop] Write a log.");
      expect({ answer, code }).toEqual({ answer: "All done.", code: 0 });
      const again = await client.exec(
        "[task:again] Go on.",
        events.find(({ thread_id: id }) => id !== undefined)?.thread_id,
      );
      expect(again.answer).toBe("And again.");
      expect(model.wrong).toEqual([]);
      expect(await linesOf(join(client.work, "log.txt"))).toEqual(["one", "two", "three"]);
      expect(await linesOf(join(client.work, "side.txt"))).toEqual(["side"]);
    },
  );
});

describe("the newest openai for Node", () => {
  const settings = {
    model: "local-model",
    tools: TOOLS.map((tool) => ({ type: "function" as const, strict: false, ...tool })),
  };
  type Request = typeof settings & { input: ResponseInputItem[]; previous_response_id: string | null };

  const WAYS: Readonly<Record<string, (client: OpenAI) => (request: Request) => Promise<Response>>> = {
    "create()": (client) => (request) => client.responses.create(request),
    "stream()": (client) => (request) => client.responses.stream(request).finalResponse(),
    ResponsesWS: (client) => {
      const socket = new ResponsesWS(client);
      onTestFinished(() => socket.close());
      return (request) =>
        new Promise((resolve, reject) => {
          socket.on("error", reject);
          socket.on("response.completed", ({ response }) => resolve(response));
          socket.send({ type: "response.create", ...request });
        });
    },
  };

  test.each(Object.keys(WAYS))("runs a loop of tools by %s", async (way) => {
    const world = await openWorld();
    const take = WAYS[way]?.(new OpenAI({ apiKey: "any", baseURL: world.baseUrl, maxRetries: 0 }));
    if (take === undefined) throw new Error(`there is no way '${way}'`);
    let input: ResponseInputItem[] = [{ role: "user", content: PROMPT }];
    const answers: Response[] = [];
    while (input.length > 0) {
      const response = await take({ ...settings, input, previous_response_id: answers.at(-1)?.id ?? null });
      answers.push(response);
      input = [];
      for (const item of response.output) {
        if (item.type !== "function_call") continue;
        const output = await world.runTool(item.name, JSON.parse(item.arguments) as Arguments);
        input.push({ type: "function_call_output", call_id: item.call_id, output });
      }
    }
    const last = answers.at(-1)?.output.at(-1);
    const [part] = last?.type === "message" ? last.content : [];
    await expectLoopDone(world, part?.type === "output_text" ? part.text : "");
  });
});

const newestPython = python("newest");
const whyNoPython = newestPython.missing === null ? "" : ` (skipped: ${newestPython.missing})`;

async function start(script: string, folder: string, ...args: readonly string[]): Promise<Program> {
  const env = { ...bareEnvironment(await scratch()), PYTHONDONTWRITEBYTECODE: "1", PYTHONUTF8: "1" };
  return new Program(newestPython.command, [join(import.meta.dirname, "python", script), ...args], {
    cwd: folder,
    env,
  });
}

async function answerOf(program: Program): Promise<string> {
  const { code, stdout, stderr } = await program.ended;
  expect({ code, errors: code === 0 ? "" : stderr }).toEqual({ code: 0, errors: "" });
  return (jsonLines(stdout).at(-1) as { readonly answer: string }).answer;
}

describe.skipIf(newestPython.missing !== null)(`the newest openai for Python${whyNoPython}`, () => {
  const tools = JSON.stringify(TOOLS);

  test.each(["create", "history", "stream", "socket"])("runs a loop of tools by %s", async (way) => {
    const world = await openWorld();
    const program = await start("openai_loop.py", world.folder, way, world.baseUrl, PROMPT, tools);
    await expectLoopDone(world, await answerOf(program));
  });

  test.each(["websocket", "http"])("runs a loop of openai-agents over %s", async (transport) => {
    const { folder, ...world } = await openWorld();
    const program = await start("agents_loop.py", folder, tools);
    program.write(`${JSON.stringify({ transport, way: "stream", base_url: world.baseUrl, prompt: PROMPT, folder })}\n`);
    program.closeInput();
    await expectLoopDone({ ...world, folder }, await answerOf(program));
  });
});
