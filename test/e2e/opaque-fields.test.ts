import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RunningServer } from "../../src/server.ts";
import { answer, ChatUpstream, delta, text } from "../support/chat-upstream.ts";
import { HttpClient } from "../support/http-client.ts";
import { startInFrontOf } from "../support/in-front.ts";
import { WsClient } from "../support/ws-client.ts";

/** Fields that model servers want to see again: unchanged, with their item, and nobody else. */

let upstream: ChatUpstream;
let folder: string;
const open: { close(): Promise<void> }[] = [];

beforeEach(async () => {
  upstream = await ChatUpstream.start();
  folder = mkdtempSync(join(tmpdir(), "turnwire-opaque-"));
});

afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
  await upstream.close();
  rmSync(folder, { recursive: true });
});

async function start(model = upstream): Promise<RunningServer> {
  const server = await startInFrontOf(model, { store: `sqlite:${join(folder, "store.db")}`, dataDir: folder });
  open.push(server);
  return server;
}

const SIGNATURE = { google: { thought_signature: "SIGNATURE-OF-GEMINI" } };
const DETAILS = [
  { type: "reasoning.text", text: "hmm", index: 0, format: "f" },
  { type: "reasoning.text", text: null, signature: "SIGNATURE-OF-CLAUDE", index: 0 },
  { type: "reasoning.encrypted", data: "SECRET-DATA", id: "x", index: 1 },
];
const KEPT = [
  { type: "reasoning.text", text: "hmm", index: 0, format: "f", signature: "SIGNATURE-OF-CLAUDE" },
  { type: "reasoning.encrypted", data: "SECRET-DATA", id: "x", index: 1 },
];
const thinking = answer(
  ...DETAILS.map((detail) => delta({ reasoning_details: [detail] })),
  delta({ content: "Well." }),
  delta({ tool_calls: [{ index: 0, id: "a", function: { name: "f", arguments: "{}" }, extra_content: SIGNATURE }] }),
  delta({ tool_calls: [{ index: 1, id: "b", function: { name: "f", arguments: "{}" } }] }, "tool_calls"),
);
const outputs = ["a", "b"].map((call_id) => ({ type: "function_call_output", call_id, output: "1" }));
const request = { model: "m", tools: [{ type: "function", name: "f" }], input: "hi" };

/** The assistant's message that the model server got last. */
function passedBack(model = upstream): object | undefined {
  return model.calls.at(-1)?.body.messages.find(({ role }) => role === "assistant");
}

const WITH_FIELDS = {
  content: "Well.",
  reasoning_details: KEPT,
  tool_calls: [
    { id: "a", type: "function", function: { name: "f", arguments: "{}" }, extra_content: SIGNATURE },
    { id: "b", type: "function", function: { name: "f", arguments: "{}" } },
  ],
};

describe("opaque fields of a model server", () => {
  test("come back with their item in a chain that is stored, also after a restart", async () => {
    upstream.script(thinking, text("done"), text("done"));
    const first = await start();
    const { json, text: body } = await new HttpClient(first.url).create(request);
    expect(body).not.toMatch(/SIGNATURE|SECRET/);
    const next = { ...request, previous_response_id: json.id, input: outputs };
    expect((await new HttpClient(first.url).create(next)).status).toBe(200);
    expect(passedBack()).toMatchObject(WITH_FIELDS);
    await first.close();
    open.length = 0;
    expect((await new HttpClient((await start()).url).create(next)).status).toBe(200);
    expect(passedBack()).toMatchObject(WITH_FIELDS);
  });

  test("come back in a chain that is not stored, and no event shows them", async () => {
    upstream.script(thinking, text("done"));
    const server = await start();
    const client = await WsClient.open(`${server.url.replace("http", "ws")}/v1/responses`);
    const { frames, response } = await client.turn({ ...request, store: false });
    expect(JSON.stringify(frames)).not.toMatch(/SIGNATURE|SECRET/);
    await client.turn({ ...request, store: false, previous_response_id: response.id, input: outputs });
    expect(passedBack()).toMatchObject(WITH_FIELDS);
  });

  test("come back sealed with a history that the client keeps", async () => {
    upstream.script(thinking, text("done"));
    const client = new HttpClient((await start()).url);
    const own = { ...request, store: false, include: ["reasoning.encrypted_content"] };
    const { json, text: body } = await client.create(own);
    expect(body).not.toMatch(/SIGNATURE|SECRET/);
    const input = [{ role: "user", content: "hi" }, ...json.output, ...outputs];
    expect((await client.create({ ...own, input })).status).toBe(200);
    expect(passedBack()).toMatchObject(WITH_FIELDS);
  });

  test("never go to another model server", async () => {
    const other = await ChatUpstream.start();
    open.push(other);
    upstream.script(thinking);
    other.script(text("done"), text("done"));
    const own = { ...request, include: ["reasoning.encrypted_content"] };
    const { json } = await new HttpClient((await start()).url).create(own);
    const client = new HttpClient((await start(other)).url);
    expect((await client.create({ ...request, previous_response_id: json.id, input: outputs })).status).toBe(200);
    expect(passedBack(other)).toMatchObject({ content: "Well." });
    const input = [{ role: "user", content: "hi" }, ...json.output, ...outputs];
    expect((await client.create({ ...own, input })).status).toBe(200);
    expect(other.calls.map(({ raw }) => raw).join("")).not.toMatch(/SIGNATURE|SECRET/);
  });
});
