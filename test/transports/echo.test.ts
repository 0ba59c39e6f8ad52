import { describe, expect, test } from "vitest";
import { MemoryStore } from "../../src/stores/memory.ts";
import { answer, finish } from "../../src/testing/index.ts";
import { DEFAULT_TENANT } from "../../src/keys/key-ring.ts";
import { ECHOES } from "../../src/protocol/echo.ts";
import { echoFor } from "../../src/transports/echo.ts";
import { startServer } from "../support/server.ts";
import type { Frame } from "../support/ws-client.ts";

const CODEX = { originator: "codex_exec", "user-agent": "codex_exec/0.169.0 (Debian 12.0.0; x86_64)" };
const SDK = { "user-agent": "OpenAI/JS 7.57.0" };
const tools = [{ type: "function", name: "read", description: null, parameters: null, strict: null }];
const request = { input: "Hi", instructions: "Be brief.", tools };

const snapshots = (frames: readonly Frame[]) =>
  frames.flatMap(({ type, response }) => (response ? [[type, response.instructions, response.tools] as const] : []));
const lifecycle = ["response.created", "response.in_progress", "response.completed"];
const whole = lifecycle.map((type) => [type, "Be brief.", tools]);
const bare = lifecycle.map((type) => [type, null, []]);

describe("the echo", () => {
  test.each([
    ["Codex", CODEX],
    ["its SDK", { originator: "codex_sdk_ts" }],
    ["opencode", { originator: "opencode" }],
    ["pi", { originator: "pi" }],
    ["the Agents SDK", { "user-agent": "Agents/JavaScript 0.20.0" }],
    ["the AI SDK", { "user-agent": "ai/7.0.173 ai-sdk/openai/4.0.118 runtime/node.js/26" }],
    ["whoever speaks their dialect", { "openai-beta": "responses_websockets=2026-02-06" }],
  ])("is minimal for %s, unless the operator says otherwise", (_name, headers) => {
    expect(echoFor({ echo: "auto" }, headers)).toBe("minimal");
    expect(echoFor({ echo: "full" }, headers)).toBe("full");
  });

  test.each([
    ["a program that says nothing of itself", {}],
    ["another beta", { "openai-beta": "responses_multi_agent=v1" }],
    ["pipelines", { "user-agent": "pipeline/1.0" }],
  ])("is full for %s, unless the operator says otherwise", (_name, headers) => {
    expect(echoFor({ echo: "auto" }, headers)).toBe("full");
    expect(echoFor({ echo: "minimal" }, headers)).toBe("minimal");
  });

  test.each(["OpenAI/JS 7.59.0", "AsyncOpenAI/Python 3.57.0", "OpenAI/Go 4.1.0", "AsyncAzureOpenAI/Python 3.57.0"])(
    "is in the last event for %s, which keeps the response of that event",
    (agent) => {
      expect(echoFor({ echo: "auto" }, { "user-agent": agent })).toBe("terminal");
      expect(echoFor({ echo: "full" }, { "user-agent": agent })).toBe("full");
    },
  );

  test("is what the client's header says, whatever else is known of it", () => {
    for (const echo of ECHOES) expect(echoFor({ echo: "minimal" }, { ...CODEX, "turnwire-echo": echo })).toBe(echo);
    expect(() => echoFor({ echo: "auto" }, { "turnwire-echo": "some" })).toThrow(/full, terminal, minimal/);
  });
});

describe("a client that chooses its echo", () => {
  const last = [...bare.slice(0, 2), ...whole.slice(2)];

  test("by a header of the handshake, or of the request, gets that one", async () => {
    const server = await startServer({ steps: [answer("a"), answer("b")] });
    const client = await server.connect({ headers: { ...CODEX, "turnwire-echo": "terminal" } });
    expect(snapshots((await client.turn(request)).frames)).toEqual(last);
    const headers = { "turnwire-echo": "minimal" };
    expect(snapshots((await server.http().stream(request, { headers })).frames)).toEqual(bare);
  });

  test("by a field of the request gets it for that turn", async () => {
    const server = await startServer({ steps: [answer("a"), answer("b"), answer("c")] });
    const client = await server.connect({ headers: CODEX });
    const asked = { ...request, stream_options: { echo: "full" } };
    expect(snapshots((await client.turn(asked)).frames)).toEqual(whole);
    expect(snapshots((await client.turn(request)).frames)).toEqual(bare);
    expect(snapshots((await server.http().stream(asked, { headers: CODEX })).frames)).toEqual(whole);
  });

  test("by a header with another value is refused, before its connection is taken", async () => {
    const server = await startServer({ steps: [] });
    const headers = { "turnwire-echo": "loud" };
    await expect(server.connect({ headers })).rejects.toThrow(/400/);
    expect((await server.http().create(request, { headers })).status).toBe(400);
  });
});

describe("a client that does not look at the echo", () => {
  test("gets none of it over WebSocket, decided once for its connection", async () => {
    const server = await startServer({ steps: [answer("a"), answer("b"), answer("c")] });
    const client = await server.connect({ headers: CODEX });
    expect(snapshots((await client.turn(request)).frames)).toEqual(bare);
    expect(snapshots((await client.turn(request)).frames)).toEqual(bare);
    const other = await server.connect({ headers: SDK });
    expect(snapshots((await other.turn(request)).frames)).toEqual([...bare.slice(0, 2), ...whole.slice(2)]);
  });

  test("gets none of it over SSE, and all of it in an answer without events", async () => {
    const server = await startServer({ steps: [answer("a"), answer("b"), answer("c")] });
    const http = server.http();
    expect(snapshots((await http.stream(request, { headers: CODEX })).frames)).toEqual(bare);
    expect(snapshots((await http.stream(request)).frames)).toEqual(whole);
    const { json } = await http.create(request, { headers: CODEX });
    expect([json.instructions, json.tools]).toEqual(["Be brief.", tools]);
  });

  test("gets none of it when its turn fails or is incomplete", async () => {
    const server = await startServer({ steps: [[finish("max_output_tokens")], [new Error("broken")]] });
    const client = await server.connect({ headers: CODEX });
    const seen = [await client.turn(request), await client.turn(request)].map(({ response }) => response);
    expect(seen).toMatchObject([
      { status: "incomplete", instructions: null, tools: [] },
      { status: "failed", instructions: null, tools: [] },
    ]);
  });

  test("leaves what is stored whole, and the model its instructions and tools", async () => {
    const store = new MemoryStore({ budgetBytes: 1 << 20 });
    const server = await startServer({ steps: [answer("a")], store });
    const { response } = await (await server.connect({ headers: CODEX })).turn(request);
    const stored = await store.get(DEFAULT_TENANT, response.id);
    expect(stored?.response).toMatchObject({ instructions: "Be brief.", tools });
    expect(server.backend.calls[0]?.settings).toMatchObject({ instructions: "Be brief.", tools });
  });
});

const steps = () => [answer("Three"), answer("sixteen letters!"), answer("\u{1f600}")];
/** How many characters each delta was padded with. */
const paddings = (frames: readonly Frame[]) =>
  frames.flatMap((frame) => ("delta" in frame ? [String(frame["obfuscation"]).length] : []));

describe("padding of deltas", () => {
  const padded = { input: "Hi", stream_options: { include_obfuscation: true } };

  test("fills each up to a multiple of 16 characters, over WebSocket and SSE", async () => {
    for (const connect of ["websocket", "sse"] as const) {
      const server = await startServer({ steps: steps() });
      const client = connect === "websocket" ? await server.connect() : null;
      const turn = async () => (client === null ? server.http().stream(padded) : client.turn(padded));
      expect(paddings((await turn()).frames)).toEqual([11]);
      expect(paddings((await turn()).frames)).toEqual([0]);
      expect(paddings((await turn()).frames)).toEqual([15]);
    }
  });

  test("is left out where it is not requested", async () => {
    const server = await startServer({ steps: steps() });
    const { frames } = await server.http().stream({ input: "Hi" });
    expect(frames.some((frame) => "obfuscation" in frame)).toBe(false);
  });

  test("is added to a replay that requests it", async () => {
    const server = await startServer({ steps: steps() });
    const { frames } = await server.http().stream({ input: "Hi" });
    const id = frames[0]?.response?.id;
    const replay = await fetch(`${server.url}/v1/responses/${id}?stream=true&include_obfuscation=true`);
    expect(await replay.text()).toMatch(/"delta":"Three","logprobs":\[\],"obfuscation":"[\w-]{11}"/);
  });
});
