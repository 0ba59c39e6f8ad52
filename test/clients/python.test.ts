import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { python } from "./support/installed.ts";
import { jsonLines, Program } from "./support/program.ts";
import { bareEnvironment, scratch } from "./support/scratch.ts";
import { expectLoopDone, LOOP, openWorld, PROMPT, TOOLS, type World } from "./support/task.ts";

/** OpenAI's SDK and its Agents SDK for Python, each in a process of its own. */

const { missing, command } = python();
const why = missing === null ? "" : ` (skipped: ${missing})`;

const scriptPath = (script: string) => join(import.meta.dirname, "python", script);
const environment = (home: string) => ({ ...bareEnvironment(home), PYTHONDONTWRITEBYTECODE: "1", PYTHONUTF8: "1" });

async function start({ folder }: World, ...args: readonly string[]): Promise<Program> {
  return startScript("openai_loop.py", folder, args);
}

async function startScript(script: string, folder: string, args: readonly string[]): Promise<Program> {
  return new Program(command, [scriptPath(script), ...args], {
    cwd: folder,
    env: environment(await scratch()),
  });
}

async function answerOf(program: Program): Promise<string> {
  const { code, stdout, stderr } = await program.ended;
  expect({ code, errors: code === 0 ? "" : stderr }).toEqual({ code: 0, errors: "" });
  return (jsonLines(stdout).at(-1) as { readonly answer: string }).answer;
}

const tools = JSON.stringify(TOOLS);

const lanePlan = (name: string) => [
  { calls: ["a", "b"].map((line) => ({ name: "append", input: { file: `${name}.txt`, line } })) },
  { calls: [{ name: "read", input: { file: `${name}.txt` } }] },
  { text: name },
];

describe.skipIf(missing !== null)(`openai for Python${why}`, () => {
  test.each([
    ["create, chained", "create"],
    ["create, the whole history", "history"],
    ["stream(), its strictest reader", "stream"],
    ["connect() with store: false, and the accumulator", "socket"],
    ["connect() with store: true, and the accumulator", "socket-stored"],
  ])("runs a loop of tools by %s", async (_name, way) => {
    const world = await openWorld();
    const answer = await answerOf(await start(world, way, world.baseUrl, PROMPT, tools));
    await expectLoopDone(world, answer);
    expect(world.model.calls).toHaveLength(5);
  });

  test("has every call that has to do with responses", async () => {
    const { baseUrl, folder, model } = await openWorld([], {
      hello: [{ text: "Hello there." }],
      more: [{ text: "More." }],
      object: [{ text: '{"city":"Oslo","degrees":4}' }],
    });
    expect(await answerOf(await startScript("openai_calls.py", folder, [baseUrl]))).toBe("all is well");
    expect(model.messages().map(({ role }) => role)).toEqual(["user", "assistant", "user"]);
  });

  test("runs seven lanes of one socket at once", async () => {
    const names = Array.from({ length: 7 }, (_, index) => `lane-${index}`);
    const world = await openWorld([], Object.fromEntries(names.map((name) => [name, lanePlan(name)])));
    const answer = await answerOf(await start(world, "lanes", world.baseUrl, PROMPT, tools));
    expect(answer).toBe(names.join(" "));
    // Contexts of several lanes come in any order, so only each by itself can be held against what was said.
    expect(world.model.wrong.filter((line) => !line.endsWith(" before"))).toEqual([]);
    for (const name of names) expect(await world.runTool("read", { file: `${name}.txt` })).toBe("a\nb\n");
  });

  test.each([
    ["true", "restart-stored"],
    ["false", "restart"],
  ])("reconnects and goes on after the server was restarted, with store: %s", async (_store, way) => {
    const world = await openWorld();
    const program = await start(world, way, world.baseUrl, PROMPT, tools);
    await program.line((line) => line === "waiting");
    await world.server.crash();
    await world.server.again();
    program.write("go\n");
    await expectLoopDone(world, await answerOf(program));
    expect(world.model.calls).toHaveLength(5);
  });
});

describe.skipIf(missing !== null)(`openai-agents for Python${why}`, () => {
  const WAYS = ["history", "stream", "chained"];
  let program: Program;
  let lines = 0;

  beforeAll(async () => {
    const home = await mkdtemp(join(tmpdir(), "turnwire-clients-"));
    const options = { cwd: home, env: environment(home), until: afterAll };
    program = new Program(command, [scriptPath("agents_loop.py"), tools], options);
    afterAll(() => rm(home, { recursive: true, force: true }));
  });

  test.each(["websocket", "http"].flatMap((transport) => WAYS.map((way) => [transport, way] as const)))(
    "runs a loop of tools over %s, %s",
    async (transport, way) => {
      const { folder, ...world } = await openWorld([], { hello: [{ text: "Hello." }], loop: LOOP });
      const order = { transport, way, base_url: world.baseUrl, prompt: PROMPT, folder };
      program.write(`${JSON.stringify(order)}\n`);
      const { text, number } = await program.line((line) => line.startsWith("{"), lines);
      lines = number + 1;
      const { answer } = JSON.parse(text) as { readonly answer: string };
      await expectLoopDone({ ...world, folder }, answer);
      await world.server.stop();
      const turns = await world.server.turns();
      const expected = transport === "websocket" ? "websocket" : way === "stream" ? "sse" : "http";
      expect(new Set(turns.map((turn) => turn.transport))).toEqual(new Set([expected]));
      expect(turns.map(({ itemsIn }) => itemsIn)).toEqual(way === "chained" ? [1, 1, 1, 2, 1, 1] : [1, 5, 9, 12, 14]);
    },
  );
});
