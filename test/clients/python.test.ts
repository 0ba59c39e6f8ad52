import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { python } from "./support/installed.ts";
import { jsonLines, Program } from "./support/program.ts";
import { bareEnvironment, scratch } from "./support/scratch.ts";
import { expectLoopDone, LOOP, openWorld, PROMPT, TOOLS, type World } from "./support/task.ts";

/** OpenAI's SDK and its Agents SDK for Python, each in a process of its own. */

const { missing, command } = python();
const why = missing === null ? "" : ` (skipped: ${missing})`;

async function start({ folder }: World, script: string, ...args: readonly string[]): Promise<Program> {
  const env = { ...bareEnvironment(await scratch()), PYTHONDONTWRITEBYTECODE: "1", PYTHONUTF8: "1" };
  return new Program(command, [join(import.meta.dirname, "python", script), ...args], { cwd: folder, env });
}

async function answerOf(program: Program): Promise<string> {
  const { code, stdout, stderr } = await program.ended;
  expect(code, stderr).toBe(0);
  return (jsonLines(stdout).at(-1) as { readonly answer: string }).answer;
}

const tools = JSON.stringify(TOOLS);

describe.skipIf(missing !== null)(`openai for Python${why}`, () => {
  test.each([
    ["create, chained", "create"],
    ["create, the whole history", "history"],
    ["stream(), its strictest reader", "stream"],
    ["connect() with store: false, and the accumulator", "socket"],
    ["connect() with store: true, and the accumulator", "socket-stored"],
  ])("runs a loop of tools by %s", async (_name, way) => {
    const world = await openWorld();
    const answer = await answerOf(await start(world, "openai_loop.py", way, world.baseUrl, PROMPT, tools));
    await expectLoopDone(world, answer);
    expect(world.model.calls).toHaveLength(5);
  });

  test("runs seven lanes of one socket at once", async () => {
    const names = Array.from({ length: 7 }, (_, index) => `lane-${index}`);
    const plan = (name: string) => [
      { calls: ["a", "b"].map((line) => ({ name: "append", input: { file: `${name}.txt`, line } })) },
      { calls: [{ name: "read", input: { file: `${name}.txt` } }] },
      { text: name },
    ];
    const world = await openWorld([], Object.fromEntries(names.map((name) => [name, plan(name)])));
    const answer = await answerOf(await start(world, "openai_loop.py", "lanes", world.baseUrl, PROMPT, tools));
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
    const program = await start(world, "openai_loop.py", way, world.baseUrl, PROMPT, tools);
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
  test.each(
    ["websocket", "http"].flatMap((transport) => WAYS.map((way) => [transport, way] as const)),
  )("runs a loop of tools over %s, %s", async (transport, way) => {
    const world = await openWorld([], { hello: [{ text: "Hello." }], loop: LOOP });
    const program = await start(world, "agents_loop.py", transport, way, world.baseUrl, PROMPT, tools);
    await expectLoopDone(world, await answerOf(program));
    await world.server.stop();
    const turns = await world.server.turns();
    const expected = transport === "websocket" ? "websocket" : way === "stream" ? "sse" : "json";
    expect(new Set(turns.map((turn) => turn.transport))).toEqual(new Set([expected]));
    if (way === "chained") expect(turns.map(({ itemsIn }) => itemsIn)).toEqual([1, 1, 1, 2, 1, 1]);
  });
});
