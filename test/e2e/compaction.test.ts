import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI, { type APIError } from "openai";
import { ResponsesWS } from "openai/resources/responses/ws";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type RunningServer, startServer } from "../../src/server.ts";
import { ChatUpstream, text } from "../support/chat-upstream.ts";

/** OpenAI's SDK as it is, over sockets, in front of the simulator and of a chat server. */

type Settings = Parameters<typeof startServer>[0];
type Input = OpenAI.Responses.ResponseInputItem;

let upstream: ChatUpstream;
let folder: string;
const servers: RunningServer[] = [];

beforeEach(async () => {
  upstream = await ChatUpstream.start();
  folder = mkdtempSync(join(tmpdir(), "turnwire-compaction-"));
});

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
  await upstream.close();
  rmSync(folder, { recursive: true });
});

async function start(settings: Settings = {}): Promise<OpenAI> {
  const base = { port: 0, store: "memory:", logLevel: "silent", maxLoopDelayMs: 0, backendRetries: 0 } as const;
  const server = await startServer({ ...base, ...settings });
  servers.push(server);
  return new OpenAI({ apiKey: "any", baseURL: `${server.url}/v1`, maxRetries: 0 });
}

async function stop(): Promise<void> {
  for (const server of servers.splice(0)) await server.close();
}

const user = (content: string): Input => ({ type: "message", role: "user", content });
const messagesOf = (index: number) =>
  upstream.calls[index]?.body.messages.map(({ role, content }) => `${role}: ${String(content)}`);

describe("OpenAI's SDK", () => {
  test("counts input tokens", async () => {
    const client = await start();
    const asked = { model: "sim", input: "How many are these?" };
    const response = await client.responses.create(asked);
    const { input_tokens, object } = await client.responses.inputTokens.count(asked);
    expect([object, input_tokens]).toEqual(["response.input_tokens", response.usage?.input_tokens]);
  });

  test("compacts, and goes on from what it gets back as it is", async () => {
    const client = await start({ backend: upstream.url });
    upstream.script(text("The user likes teal."), text("Teal."));
    const compacted = await client.responses.compact({
      model: "m",
      instructions: "Be brief.",
      input: [user("My colour is teal."), { role: "assistant", content: "Noted." }],
    });
    expect(compacted).toMatchObject({ object: "response.compaction", usage: { total_tokens: 18 } });
    expect(compacted.output.map(({ type }) => type)).toEqual(["message", "compaction"]);
    expect(messagesOf(0)).toEqual([
      "system: Be brief.",
      "user: My colour is teal.",
      "assistant: Noted.",
      expect.stringContaining("summary"),
    ]);
    const next = await client.responses.create({
      model: "m",
      input: [...(compacted.output as Input[]), user("Which colour?")],
      store: false,
    });
    expect(next.output_text).toBe("Teal.");
    expect(messagesOf(1)).toEqual([
      "user: My colour is teal.",
      expect.stringContaining("<summary>\nThe user likes teal.\n</summary>"),
      "user: Which colour?",
    ]);
    const error = (await client.responses
      .compact({ model: "m", input: [] })
      .catch((thrown: unknown) => thrown)) as APIError;
    expect([error.status, error.code]).toEqual([400, "invalid_value"]);
  });

  test("streams a response that is compacted on the way, and chains on", async () => {
    const client = await start({ backend: upstream.url });
    const long = "word ".repeat(400);
    upstream.script(text(long), text("A long story."), text("Yes."), text("And yes."));
    const first = await client.responses.create({ model: "m", input: "Tell me a story." });
    const stream = client.responses.stream({
      model: "m",
      previous_response_id: first.id,
      input: "More?",
      // What the upstream has counted of the first turn is 18.
      context_management: [{ type: "compaction", compact_threshold: 15 }],
    });
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    expect(types).toContain("response.compaction.compacting");
    const second = await stream.finalResponse();
    expect(second.output.map(({ type }) => type)).toEqual(["compaction", "message"]);
    expect(second.output_text).toBe("Yes.");
    await client.responses.create({ model: "m", previous_response_id: second.id, input: "Sure?" });
    expect(messagesOf(3)).toEqual([
      expect.stringMatching(/^user: Tell/),
      expect.stringContaining("A long story."),
      "user: More?",
      "assistant: Yes.",
      "user: Sure?",
    ]);
  });

  test("over WebSocket triggers a compaction as Codex does, and sends what it stands for no more", async () => {
    const client = await start({ backend: upstream.url });
    upstream.script(text("a1"), text("What was said."), text("a2"));
    const socket = new ResponsesWS(client);
    const turn = (fields: object): Promise<OpenAI.Responses.Response> =>
      new Promise((resolve, reject) => {
        socket.on("error", reject);
        socket.on("event", (event) => {
          if (event.type === "response.completed") resolve(event.response);
        });
        socket.send({ type: "response.create", model: "m", store: false, ...fields });
      });
    const first = await turn({ input: [user("u1")] });
    const trigger = [{ type: "compaction_trigger" }];
    const { output } = await turn({ previous_response_id: first.id, input: trigger });
    expect(output).toEqual([
      { type: "compaction", id: expect.stringMatching(/^cmp_/), encrypted_content: expect.stringMatching(/^tw1:/) },
    ]);
    await turn({ input: [user("u1"), ...output, user("u2")] });
    socket.close();
    expect(messagesOf(2)).toEqual(["user: u1", expect.stringContaining("What was said."), "user: u2"]);
  });
});

/** Has something compacted, and gives the input that goes on from it. */
const tell = async (client: OpenAI) => {
  const { output } = await client.responses.compact({ model: "m", input: "canary-in-the-input" });
  return [...(output.slice(-1) as Input[]), user("Go on.")];
};

describe("a compaction item", () => {
  const KEY = `k1:${Buffer.alloc(32, 7).toString("base64")}`;

  test("works after a restart, by the key in the data directory, and its words are on no disk", async () => {
    const settings = { backend: upstream.url, store: "sqlite:", dataDir: folder } as const;
    upstream.script(text("canary-in-the-summary"), text("ok"));
    const input = await tell(await start(settings));
    await stop();
    const client = await start(settings);
    expect((await client.responses.create({ model: "m", input, store: false })).output_text).toBe("ok");
    expect(messagesOf(1)?.[0]).toContain("canary-in-the-summary");
    await stop();
    const files = readdirSync(folder);
    expect(files).toContain("compaction.key");
    for (const file of files) expect(readFileSync(join(folder, file), "latin1")).not.toContain("canary");
  });

  test("in a stored chain works after a restart as well, and says so when its key has gone", async () => {
    const settings = { backend: upstream.url, store: "sqlite:", dataDir: folder } as const;
    upstream.script(text("word ".repeat(400)), text("A long story."), text("Yes."), text("And yes."));
    const before = await start(settings);
    const first = await before.responses.create({ model: "m", input: "Tell me a story." });
    const context_management = [{ type: "compaction", compact_threshold: 15 }];
    const managed = { model: "m", previous_response_id: first.id, input: "More?", context_management };
    const { id } = await before.responses.create(managed);
    await stop();
    const after = await start(settings);
    const next = { model: "m", previous_response_id: id, input: "Sure?" };
    expect((await after.responses.create(next)).output_text).toBe("And yes.");
    expect(messagesOf(3)?.slice(1)).toEqual([
      expect.stringContaining("A long story."),
      "user: More?",
      "assistant: Yes.",
      "user: Sure?",
    ]);
    await stop();
    rmSync(join(folder, "compaction.key"));
    const error = { status: 400, code: "invalid_value", param: "previous_response_id" };
    await expect((await start(settings)).responses.create(next)).rejects.toMatchObject(error);
  });

  test("works on another server with the same keys, and with a new one in front of them", async () => {
    upstream.script(text("s"), text("ok"), text("ok"));
    const input = await tell(await start({ backend: upstream.url, compactionKeys: KEY }));
    const other = `k2:${Buffer.alloc(32, 8).toString("base64")}`;
    for (const compactionKeys of [KEY, `${other},${KEY}`]) {
      const client = await start({ backend: upstream.url, compactionKeys });
      expect((await client.responses.create({ model: "m", input })).output_text).toBe("ok");
    }
    // Keys for the store do for both.
    const client = await start({ backend: upstream.url, storeKeys: other });
    await expect(client.responses.create({ model: "m", input })).rejects.toMatchObject({
      status: 400,
      code: "invalid_value",
      param: "input[0].encrypted_content",
    });
  });

  test("of a server that keeps nothing ends with it, and leaves no key behind", async () => {
    upstream.script(text("s"));
    const settings = { backend: upstream.url, store: "memory:", dataDir: folder } as const;
    const input = await tell(await start(settings));
    const client = await start(settings);
    await expect(client.responses.create({ model: "m", input })).rejects.toMatchObject({ code: "invalid_value" });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("keys that are none stop the server from starting, and are not shown", async () => {
    const error = (await start({ compactionKeys: "k1:secret" }).catch((thrown: unknown) => thrown)) as Error;
    expect(error.message).toBe("compaction keys: 'k1' has 4 bytes where 32 are needed");
  });
});
