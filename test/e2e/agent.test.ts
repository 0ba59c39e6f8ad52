import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { INSTRUCTIONS, runAgent } from "../../examples/agent.ts";
import { ByteCounter } from "../../examples/byte-counter.ts";
import { ApiError, type Conversation, StatelessHttp, WebSocketSession } from "../../examples/conversation.ts";
import { fileTools, type Tool } from "../../examples/file-tools.ts";
import { type RunningServer, startServer } from "../../src/index.ts";

let folder: string;
let tools: readonly Tool[];
let server: RunningServer;

beforeAll(async () => {
  const outside = await mkdtemp(join(tmpdir(), "agent-"));
  folder = join(outside, "inside");
  await mkdir(join(folder, "deep"), { recursive: true });
  await writeFile(join(outside, "secret.txt"), "secret");
  await writeFile(join(folder, "a.ts"), "import b\nconst a = 1;\n");
  await writeFile(join(folder, "deep/b.ts"), "export b\n");
  await symlink(join(outside, "secret.txt"), join(folder, "link.txt"));
  tools = await fileTools(folder);
});
afterAll(async () => {
  await rm(join(folder, ".."), { recursive: true });
});

beforeEach(async () => {
  server = await startServer({ port: 0, store: "memory:", logLevel: "silent", simRounds: 4 });
});
afterEach(async () => {
  await server.close();
});

const settings = (url = server.url) => ({
  url,
  model: "sim",
  instructions: INSTRUCTIONS,
  tools: tools.map(({ declaration }) => declaration),
});

async function run(conversation: Conversation) {
  const outputs: string[] = [];
  let text = "";
  const result = await runAgent({
    conversation,
    tools,
    task: "Look around.",
    onText: (delta) => (text += delta),
    onCall: (_name, _args, output) => outputs.push(output),
  });
  conversation.close();
  expect(text).toBe(result.answer);
  return { ...result, outputs };
}

test("the agent comes to the same end both ways, with tools that found what is there", async () => {
  const overHttp = await run(new StatelessHttp(settings()));
  const overWebSocket = await run(await WebSocketSession.open(settings()));
  expect(overWebSocket).toEqual(overHttp);
  expect(overHttp).toMatchObject({ turns: 5, toolCalls: 6 });
  expect(overHttp.answer).toContain("13 items, 6 of them tool outputs");
  expect(overHttp.outputs.some((output) => output.includes("const a = 1;"))).toBe(true);
  expect(overHttp.outputs.filter((output) => output.startsWith("Error"))).toEqual([]);
});

test("a conversation that the server has let go of is told once more, whole", async () => {
  const small = await startServer({ port: 0, store: "memory:", logLevel: "silent", simRounds: 4, sessionBytes: 4096 });
  const { answer } = await run(await WebSocketSession.open(settings(small.url)));
  expect(answer).toContain("13 items, 6 of them tool outputs");
  await small.close();
});

test("what the server refuses is an error with its code", async () => {
  const bad = { ...settings(), tools: [{ type: "function" }] };
  for (const conversation of [new StatelessHttp(bad), await WebSocketSession.open(bad)]) {
    const refusal = await conversation.send([{ type: "message", role: "user", content: "x" }]).catch((error) => error);
    expect(refusal).toBeInstanceOf(ApiError);
    expect(refusal).toMatchObject({ code: "missing_required_parameter" });
    conversation.close();
  }
});

test("the counter counts every byte, in both directions", async () => {
  const counter = await ByteCounter.open(server.url);
  const reply = await fetch(`${counter.url}/v1/models`);
  const body = await reply.text();
  expect(counter.down).toBeGreaterThan(body.length);
  expect(counter.up).toBeGreaterThan("GET /v1/models HTTP/1.1".length);
  counter.close();
});

function call(name: string, argument: Record<string, string>): Promise<string> | undefined {
  return tools.find(({ declaration }) => declaration.name === name)?.run(argument);
}

describe("the tools", () => {
  test("list, read and search", async () => {
    expect((await call("list_files", { path: "." }))?.split("\n").toSorted()).toEqual(["a.ts", "deep/", "link.txt"]);
    expect(await call("read_file", { path: "deep/b.ts" })).toBe("export b\n");
    expect(await call("search_files", { text: "import" })).toBe("a.ts:1: import b");
    expect(await call("search_files", { text: "nowhere" })).toBe("no line contains it");
  });

  test("see nothing outside of their folder", async () => {
    for (const path of ["../secret.txt", "link.txt", "/etc/passwd", "deep/../../secret.txt"]) {
      await expect(call("read_file", { path })).rejects.toThrow(/outside/);
    }
    await expect(call("list_files", { path: ".." })).rejects.toThrow(/outside/);
    expect(await call("search_files", { text: "secret" })).toBe("no line contains it");
  });

  test("cut what would be too long", async () => {
    await writeFile(join(folder, "long.txt"), "x".repeat(10_000));
    expect((await call("read_file", { path: "long.txt" }))?.length).toBeLessThan(6_100);
    await writeFile(join(folder, "huge.txt"), "x".repeat(300_000));
    await expect(call("read_file", { path: "huge.txt" })).rejects.toThrow(/too large/);
  });
});
