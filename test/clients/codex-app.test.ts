import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { block, delta } from "../support/chat-upstream.ts";
import { Codex, type CodexOptions } from "./support/codex.ts";
import { CodexApp } from "./support/codex-app.ts";
import { codex } from "./support/installed.ts";
import { linesOf } from "./support/scratch.ts";
import { openWorld } from "./support/task.ts";

/** Codex in one process for several turns, as editors run it: going on, interrupting, compacting. */

const { missing } = codex();
const why = missing === null ? "" : ` (skipped: ${missing})`;

const shell = (cmd: string) => ({ name: "exec_command", input: { cmd } });
const PLANS = {
  first: [{ text: "I begin.", calls: [shell("echo one >> log.txt")] }, { text: "First." }],
  second: [{ calls: [shell("echo two >> log.txt")] }, { calls: [shell("wc -l < log.txt")] }, { text: "Second." }],
  third: [{ calls: [shell("echo three >> log.txt")] }, { text: "Third." }],
};

const PROVIDERS = ["built-in", "custom"] as const;

async function open(flags: readonly string[], options: Omit<CodexOptions, "baseUrl">) {
  const world = await openWorld(flags, PLANS);
  const client = await Codex.create({ baseUrl: world.baseUrl, ...options });
  const log = () => linesOf(join(client.work, "log.txt"));
  return { ...world, log, app: await CodexApp.open(client) };
}

describe.skipIf(missing !== null)(`codex app-server${why}`, () => {
  test.each(PROVIDERS)("runs three turns of a user on one connection, with the %s provider", async (provider) => {
    const { app, model, server, log } = await open([], { provider });
    for (const name of ["first", "second", "third"]) {
      expect(await app.turn(`[task:${name}] Go on.`)).toMatchObject({ status: "completed", error: null });
    }
    expect(app.said).toEqual(["I begin.", "First.", "Second.", "Third."]);
    expect(model.wrong).toEqual([]);
    expect(await log()).toEqual(["one", "two", "three"]);
    expect(model.calls).toHaveLength(7);
    await server.stop();
    const turns = await server.turns();
    expect(new Set(turns.map(({ session }) => session)).size).toBe(1);
    expect(turns.filter(({ previousResponseId }) => previousResponseId === null)).toHaveLength(1);
  });

  test.each([
    ["over a WebSocket", []],
    ["over HTTP", ["--websocket", "off"]],
  ])("an interrupt in the middle of an answer ends the model's work, %s", async (_name, flags) => {
    const { app, model, log } = await open(flags, { provider: "built-in" });
    await app.turn("[task:first] Begin.");
    const left = Promise.withResolvers<void>();
    model.fault(2, (response) => {
      response.on("close", () => left.resolve());
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const content of ["I think, ", "and think"]) response.write(block(delta({ content })));
    });
    const turn = await app.start("[task:second] Never mind.");
    await app.notice("item/agentMessage/delta");
    await app.interrupt(turn);
    await left.promise;
    expect(await app.ended()).toMatchObject({ status: "interrupted" });
    expect(await app.turn("[task:third] Now this.")).toMatchObject({ status: "completed" });
    expect(await log()).toEqual(["one", "three"]);
    expect(model.wrong).toEqual([]);
  });

  test("an interrupt while a tool runs leaves the conversation whole", async () => {
    const { app, model, log } = await open([], { provider: "built-in" });
    model.plan("endless", [{ calls: [shell("sleep 600")] }, { text: "Never." }]);
    await app.turn("[task:first] Begin.");
    const turn = await app.start("[task:endless] Wait.");
    await app.itemStarted("commandExecution");
    await app.interrupt(turn);
    expect(await app.ended()).toMatchObject({ status: "interrupted" });
    expect(await app.turn("[task:third] Now this.")).toMatchObject({ status: "completed" });
    expect(await log()).toEqual(["one", "three"]);
    expect(model.wrong).toEqual([]);
  });
});
