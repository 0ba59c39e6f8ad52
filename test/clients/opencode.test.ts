import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { opencode } from "./support/installed.ts";
import { Opencode } from "./support/opencode.ts";
import { linesOf } from "./support/scratch.ts";
import type { Step } from "./support/scripted-model.ts";
import { openWorld } from "./support/task.ts";

/** opencode, by its own program, over HTTP and with the switch that gives it a WebSocket. */

const { missing } = opencode();
const why = missing === null ? "" : ` (skipped: ${missing})`;

const shell = (command: string) => ({ name: "bash", input: { command, description: "Writes a log" } });

const LOOP: readonly Step[] = [
  { reasoning: "I begin.", text: "I begin.", calls: [shell("echo one >> log.txt && cat log.txt")] },
  { calls: [shell("echo two >> log.txt && cat log.txt"), shell("echo side >> side.txt; echo side")] },
  { text: "One more.", calls: [shell("echo three >> log.txt; wc -l < log.txt")] },
  { text: "All done." },
];
const AGAIN: readonly Step[] = [{ calls: [shell("echo four >> log.txt; wc -l < log.txt")] }, { text: "And again." }];

describe.skipIf(missing !== null)(`opencode${why}`, () => {
  // One name that opencode knows, and one that it does not.
  test.each([
    ["a WebSocket", true, "gpt-5.5"],
    ["HTTP", false, "local-model"],
  ] as const)("runs two prompts with tools over %s (%s) with the model %s", async (_name, webSocket, model) => {
    const world = await openWorld([], { loop: LOOP, again: AGAIN });
    const client = await Opencode.create({ baseUrl: world.baseUrl, webSocket, model });
    const first = await client.run("[task:loop] Write a log.");
    expect(first).toMatchObject({ code: 0, answer: "All done." });
    expect((await client.run("[task:again] One more line.", first.session)).answer).toBe("And again.");
    expect(world.model.wrong).toEqual([]);
    expect(await linesOf(join(client.work, "log.txt"))).toEqual(["one", "two", "three", "four"]);
    expect(await linesOf(join(client.work, "side.txt"))).toEqual(["side"]);
    expect(world.model.outputs()).toEqual(["one\n", "one\ntwo\n", "side\n", "3\n", "4\n"]);
    await world.server.stop();
    const transport = webSocket ? "websocket" : "sse";
    expect((await world.server.turns()).map((turn) => turn.transport)).toEqual(Array(6).fill(transport));
  });
});
