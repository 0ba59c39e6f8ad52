import { join } from "node:path";
import { Codex as CodexSdk } from "@openai/codex-sdk";
import { describe, expect, test } from "vitest";
import { Codex, type CodexOptions } from "./support/codex.ts";
import { codex } from "./support/installed.ts";
import { linesOf } from "./support/scratch.ts";
import type { Step } from "./support/scripted-model.ts";
import { openWorld, type World } from "./support/task.ts";

/** Codex CLI, by its own program: what its shell really did, and what the model saw. */

const { missing } = codex();
const why = missing === null ? "" : ` (skipped: ${missing})`;

const shell = (cmd: string) => ({ name: "exec_command", input: { cmd } });

const LOOP: readonly Step[] = [
  { reasoning: "I begin.", text: "I begin.", calls: [shell("echo one >> log.txt && cat log.txt")] },
  { calls: [shell("echo two >> log.txt && cat log.txt"), shell("echo side >> side.txt; echo side")] },
  { text: "One more.", calls: [shell("echo three >> log.txt; wc -l < log.txt")] },
  { text: "All done." },
];
const AGAIN: readonly Step[] = [{ calls: [shell("echo four >> log.txt; wc -l < log.txt")] }, { text: "And again." }];

const patch = (text: string) => ({
  name: "apply_patch",
  input: { input: `*** Begin Patch\n${text}*** End Patch\n` },
});
const script = (cmd: string) => ({
  name: "functions__exec",
  input: { input: `const r = await tools.exec_command({cmd: ${JSON.stringify(cmd)}});\ntext(r.output);` },
});

const PROVIDERS = ["built-in", "custom"] as const;

async function openCodex(flags: readonly string[], options: Omit<CodexOptions, "baseUrl">) {
  const world = await openWorld(flags, { loop: LOOP, again: AGAIN });
  return { ...world, codex: await Codex.create({ baseUrl: world.baseUrl, ...options }) };
}

/** What `shell` gave, of what Codex tells the model of it. */
const outputs = ({ model }: World) => model.outputs().map((output) => /Output:\n([^]*)/.exec(output)?.[1]?.trim());

async function expectDone(world: World & { readonly codex: Codex }): Promise<void> {
  expect(world.model.wrong).toEqual([]);
  expect(await linesOf(join(world.codex.work, "log.txt"))).toEqual(["one", "two", "three"]);
  expect(await linesOf(join(world.codex.work, "side.txt"))).toEqual(["side"]);
  expect(outputs(world)).toEqual(["one", "one\ntwo", "side", "3"]);
}

describe.skipIf(missing !== null)(`codex exec${why}`, () => {
  test.each(PROVIDERS)("runs a loop of tools over one WebSocket with the %s provider", async (provider) => {
    const world = await openCodex([], { provider });
    const { answer, code } = await world.codex.exec("[task:loop] Write a log.");
    expect({ answer, code }).toEqual({ answer: "All done.", code: 0 });
    await expectDone(world);
    expect(world.model.calls).toHaveLength(4);
    await world.server.stop();
    const turns = await world.server.turns();
    // One for the warm-up; all that follow are continuations.
    expect(turns.map(({ transport }) => transport)).toEqual(Array(5).fill("websocket"));
    expect(turns.filter(({ previousResponseId }) => previousResponseId === null)).toHaveLength(1);
    expect(new Set(turns.map(({ session }) => session)).size).toBe(1);
  });

  test.each(PROVIDERS)("falls back to HTTP at once after a 426, with the %s provider", async (provider) => {
    const world = await openCodex(["--websocket", "off"], { provider });
    const { answer, code, stdout } = await world.codex.exec("[task:loop] Write a log.");
    expect({ answer, code }).toEqual({ answer: "All done.", code: 0 });
    expect(stdout).not.toMatch(/Reconnecting|Falling back/);
    await expectDone(world);
    expect(world.model.calls).toHaveLength(4);
    await world.server.stop();
    expect((await world.server.turns()).map(({ transport }) => transport)).toEqual(Array(4).fill("sse"));
  });

  test.each(PROVIDERS)("resumes a conversation in a new process, with the %s provider", async (provider) => {
    const world = await openCodex([], { provider });
    const first = await world.codex.exec("[task:loop] Write a log.");
    const thread = first.events.find(({ type }) => type === "thread.started")?.thread_id;
    const second = await world.codex.exec("[task:again] One more line.", thread);
    expect(second.answer).toBe("And again.");
    expect(world.model.wrong).toEqual([]);
    expect(await linesOf(join(world.codex.work, "log.txt"))).toEqual(["one", "two", "three", "four"]);
    expect(outputs(world)).toEqual(["one", "one\ntwo", "side", "3", "4"]);
  });

  test("patches files by the custom tool of models like gpt-5.5", async () => {
    const world = await openCodex([], { provider: "built-in", model: "gpt-5.5" });
    world.model.plan("patch", [
      { reasoning: "A patch.", calls: [patch('*** Add File: poem.txt\n+Größe "ü"\n+\\n\n')] },
      { calls: [patch("*** Update File: poem.txt\n@@\n-\\n\n+end\n"), shell("cat poem.txt")] },
      { text: "Patched." },
    ]);
    const { answer } = await world.codex.exec("[task:patch] Write a poem.");
    expect(answer).toBe("Patched.");
    expect(world.model.wrong).toEqual([]);
    expect(await linesOf(join(world.codex.work, "poem.txt"))).toEqual(['Größe "ü"', "end"]);
    expect(
      world.model
        .outputs()
        .slice(0, 2)
        .every((output) => output.includes("Success")),
    ).toBe(true);
  });

  test.each([
    ["a WebSocket", []],
    ["HTTP", ["--websocket", "off"]],
  ])(
    "runs scripts and the tools of namespaces in code mode, as for models like gpt-6, over %s",
    async (_name, flags) => {
      const world = await openCodex(flags, { provider: "built-in", model: "gpt-6-sol" });
      world.model.plan("code", [
        { reasoning: "A script.", text: "I begin.", calls: [script("echo one >> log.txt; cat log.txt")] },
        { calls: [{ name: "collaboration__list_agents", input: {} }] },
        { calls: [script("echo two >> log.txt; wc -l < log.txt")] },
        { text: "Coded." },
      ]);
      const { answer } = await world.codex.exec("[task:code] Write a log.");
      expect(answer).toBe("Coded.");
      expect(world.model.wrong).toEqual([]);
      expect(await linesOf(join(world.codex.work, "log.txt"))).toEqual(["one", "two"]);
      const [one, agents, two] = world.model.outputs();
      expect(one).toMatch(/one/);
      expect(agents).toMatch(/"\/root"/);
      expect(two).toMatch(/2/);
      await world.server.stop();
      const turns = await world.server.turns();
      expect(new Set(turns.map(({ session }) => session)).size).toBe(flags.length === 0 ? 1 : 4);
    },
  );
});

describe.skipIf(missing !== null)(`the SDK of Codex, with the Codex that it brings${why}`, () => {
  test("runs two turns of a thread, each in a process of its own", async () => {
    const world = await openCodex([], { provider: "built-in" });
    const client = new CodexSdk({ baseUrl: world.baseUrl, apiKey: "any", env: world.codex.env });
    const thread = client.startThread({
      model: "local-model",
      workingDirectory: world.codex.work,
      skipGitRepoCheck: true,
      sandboxMode: "danger-full-access",
      approvalPolicy: "never",
    });
    expect((await thread.run("[task:loop] Write a log.")).finalResponse).toBe("All done.");
    await expectDone(world);
    const { events } = await thread.runStreamed("[task:again] One more line.");
    const types: string[] = [];
    for await (const { type } of events) types.push(type);
    expect(types.at(-1)).toBe("turn.completed");
    expect(world.model.wrong).toEqual([]);
    expect(await linesOf(join(world.codex.work, "log.txt"))).toEqual(["one", "two", "three", "four"]);
    await world.server.stop();
    expect(new Set((await world.server.turns()).map(({ transport }) => transport))).toEqual(new Set(["websocket"]));
  });
});
