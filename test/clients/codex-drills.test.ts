import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { block, delta, refuse, type UpstreamStep } from "../support/chat-upstream.ts";
import { Codex, result } from "./support/codex.ts";
import { CodexApp } from "./support/codex-app.ts";
import { FAULT_NAMES, FAULTS, NO_RETRIES } from "./support/faults.ts";
import { codex } from "./support/installed.ts";
import { linesOf } from "./support/scratch.ts";
import { openWorld, type World } from "./support/task.ts";

/** What Codex does when something breaks: its own recovery ends the task, with nothing lost and nothing done twice. */

const { missing } = codex();
const why = missing === null ? "" : ` (skipped: ${missing})`;

const shell = (cmd: string) => ({ name: "exec_command", input: { cmd } });
const PLANS = {
  loop: [
    { text: "I begin.", calls: [shell("echo one >> log.txt; cat log.txt")] },
    { calls: [shell("echo two >> log.txt; cat log.txt"), shell("echo side >> side.txt; echo side")] },
    { text: "One more.", calls: [shell("echo three >> log.txt; wc -l < log.txt")] },
    { text: "All done." },
  ],
  // What takes longer than a connection may last.
  slow: [
    { calls: [shell("echo one >> log.txt; sleep 1; cat log.txt")] },
    { calls: [shell("echo two >> log.txt; echo side >> side.txt; sleep 1; cat log.txt")] },
    { calls: [shell("echo three >> log.txt; wc -l < log.txt")] },
    { text: "All done." },
  ],
};
const PROMPT = "[task:loop] Write a log.";

/** HTTP is what it uses where there are no WebSockets. */
const TRANSPORTS = [
  ["a WebSocket", []],
  ["HTTP", ["--websocket", "off"]],
] as const;

async function open(flags: readonly string[]) {
  const world = await openWorld(flags, PLANS);
  return { ...world, client: await Codex.create({ baseUrl: world.baseUrl, provider: "built-in" }) };
}

async function expectDone({ model, client }: World & { readonly client: Codex }): Promise<void> {
  expect(model.wrong).toEqual([]);
  expect(await linesOf(join(client.work, "log.txt"))).toEqual(["one", "two", "three"]);
  expect(await linesOf(join(client.work, "side.txt"))).toEqual(["side"]);
}

/** Begins to answer and then says nothing more. */
function hang(): { readonly step: UpstreamStep; readonly begun: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const step: UpstreamStep = (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(block(delta({ content: "I am about " })), () => resolve());
  };
  return { step, begun: promise };
}

describe.skipIf(missing !== null).each(TRANSPORTS)(`Codex over %s${why}`, (_name, flags) => {
  test.each(FAULT_NAMES)("ends its task after %s", async (name) => {
    const world = await open([...NO_RETRIES, ...flags]);
    world.model.fault(2, FAULTS[name]);
    const { answer, code } = await world.client.exec(PROMPT);
    expect({ answer, code }).toEqual({ answer: "All done.", code: 0 });
    await expectDone(world);
  });

  test.each([401, 403])("ends at once when the model server's answer is %i, which no retry mends", async (status) => {
    const world = await open(flags);
    world.model.upstream.otherwise(refuse(status, { error: { message: "Incorrect API key provided." } }));
    const { code, events } = await world.client.exec(PROMPT);
    expect(code).toBe(1);
    expect(world.model.upstream.calls).toHaveLength(1);
    expect(events.at(-1)?.error?.message).toContain("Incorrect API key provided.");
  });

  test.each([
    ["a crash of", "crash"],
    ["a restart of", "stop"],
  ] as const)("ends its task after %s the server in the middle of an answer", async (_what, act) => {
    const world = await open(flags);
    const { step, begun } = hang();
    world.model.fault(2, step);
    const program = world.client.startExec(PROMPT);
    await begun;
    await world.server[act]();
    await world.server.again();
    const { answer } = result(await program.ended);
    expect(answer).toBe("All done.");
    await expectDone(world);
  });

  test.each([
    ["a crash of", "crash"],
    ["a restart of", "stop"],
  ] as const)("goes on after %s the server between two turns of the user", async (_what, act) => {
    const world = await open(flags);
    world.model.plan("again", [{ calls: [shell("echo four >> log.txt; wc -l < log.txt")] }, { text: "Again." }]);
    const app = await CodexApp.open(world.client);
    await app.turn(PROMPT);
    await expectDone(world);
    await world.server[act]();
    await world.server.again();
    expect(await app.turn("[task:again] One more line.")).toMatchObject({ status: "completed" });
    expect(world.model.wrong).toEqual([]);
    expect(app.said.at(-1)).toBe("Again.");
    expect(await linesOf(join(world.client.work, "log.txt"))).toEqual(["one", "two", "three", "four"]);
  });
});

describe.skipIf(missing !== null)(`Codex over a WebSocket that has its limits${why}`, () => {
  test("ends its task when the server has let go of what it continues", async () => {
    const world = await open(["--session-bytes", "16KiB"]);
    const { answer } = await world.client.exec(PROMPT);
    expect(answer).toBe("All done.");
    await expectDone(world);
    expect(world.model.calls).toHaveLength(4);
    await world.server.stop();
    const codes = (await world.server.turns()).map(({ errorCode }) => errorCode);
    expect(codes).toContain("previous_response_not_found");
  });

  test("ends its task when its connection has come to its age limit", async () => {
    const world = await open(["--connection-minutes", "0.01"]);
    const { answer } = await world.client.exec("[task:slow] Write a log.");
    expect(answer).toBe("All done.");
    await expectDone(world);
    expect(world.model.calls).toHaveLength(4);
    await world.server.stop();
    const sessions = new Set((await world.server.turns()).map(({ session }) => session));
    expect(sessions.size).toBeGreaterThan(1);
  });
});
