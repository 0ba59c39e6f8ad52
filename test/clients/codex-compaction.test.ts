import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { text } from "../support/chat-upstream.ts";
import { Codex } from "./support/codex.ts";
import { CodexApp } from "./support/codex-app.ts";
import { codex } from "./support/installed.ts";
import { linesOf } from "./support/scratch.ts";
import { contentOf } from "./support/scripted-model.ts";
import { openWorld } from "./support/task.ts";

/** What Codex does for `/compact`, and what the model then sees of the work before it. */

const { missing } = codex();
const why = missing === null ? "" : ` (skipped: ${missing})`;

const shell = (cmd: string) => ({ name: "exec_command", input: { cmd } });
const PLANS = {
  first: [{ calls: [shell("echo one >> log.txt")] }, { text: "First." }],
  second: [{ calls: [shell("echo two >> log.txt")] }, { text: "Second." }],
};

describe.skipIf(missing !== null)(`codex compacts${why}`, () => {
  test.each([
    ["over a WebSocket", []],
    ["over HTTP", ["--websocket", "off"]],
  ])("by a trigger, and goes on from the summary, %s", async (_name, flags) => {
    const world = await openWorld(flags, PLANS);
    const { model } = world;
    const client = await Codex.create({ baseUrl: world.baseUrl, provider: "built-in" });
    const app = await CodexApp.open(client);
    await app.turn("[task:first] Begin.");
    model.fault(2, text("## State\nOne line is in log.txt."));
    expect(await app.compact()).toMatchObject({ status: "completed", error: null });
    expect(await app.turn("[task:second] Go on.")).toMatchObject({ status: "completed", error: null });
    expect(await linesOf(join(client.work, "log.txt"))).toEqual(["one", "two"]);

    const asked = model.messages(2).map(contentOf);
    expect(asked.at(-1)).toContain("answer with the summary alone");
    const next = model.messages(3);
    const seen = next.map(contentOf);
    expect(seen.filter((content) => content.includes("One line is in log.txt."))).toHaveLength(1);
    // The user's words stay, and what the model said and did does not.
    expect(seen.some((content) => content.includes("[task:first] Begin."))).toBe(true);
    expect(seen.at(-1)).toContain("[task:second] Go on.");
    expect(next.some(({ role }) => role === "tool" || role === "assistant")).toBe(false);
  });
});
