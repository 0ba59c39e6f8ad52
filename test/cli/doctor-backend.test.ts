import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { BackendExamination } from "../../src/cli/doctor-backend.ts";
import { endAll, run } from "./child.ts";

/** Model servers that lack one thing each, as `turnwire doctor --backend` sees them. */

type Body = {
  readonly messages: readonly { readonly role: string; readonly content?: unknown }[];
  readonly tools?: readonly object[];
  readonly response_format?: { readonly type: string };
};
type Chunk = { readonly delta: object; readonly finish?: string };
type Model = {
  readonly key?: string;
  readonly usage?: null;
  readonly refuse?: (body: Body) => string | null;
  readonly answer?: (body: Body) => readonly Chunk[] | null;
};

const servers: Server[] = [];

afterEach(async () => {
  await endAll();
  await Promise.all(
    servers.splice(0).map(
      (server) =>
        new Promise((resolve) => {
          server.close(resolve);
          server.closeAllConnections();
        }),
    ),
  );
});

const say = (content: string): readonly Chunk[] => [{ delta: { content } }, { delta: {}, finish: "stop" }];

const call = (index: number) => ({
  index,
  id: `call_${index}`,
  type: "function",
  function: { name: "get_weather", arguments: '{"city":"Rome"}' },
});

function calls(count: number): readonly Chunk[] {
  const tool_calls = Array.from({ length: count }, (_, index) => call(index));
  return [{ delta: { tool_calls } }, { delta: {}, finish: "tool_calls" }];
}

function wellAnswered({ messages, tools, response_format: format }: Body): readonly Chunk[] {
  const last = messages.at(-1);
  if (tools !== undefined && last?.role === "user") return calls(JSON.stringify(last).includes("Rome") ? 2 : 1);
  return say(format === undefined ? "hello" : '{"sum":5}');
}

/** Starts a model server. @returns its address, without `/v1` */
async function start({ key, usage, refuse, answer }: Model = {}): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const fail = (status: number, message: string): void => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify({ error: { message } }));
      };
      if (key !== undefined && request.headers.authorization !== `Bearer ${key}`) return fail(401, "Incorrect API key");
      if (request.url === "/v1/models") {
        response.end(JSON.stringify({ data: [{ id: "small" }] }));
        return;
      }
      if (request.url !== "/v1/chat/completions") return fail(404, "Not Found");
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Body;
      const refusal = refuse?.(body) ?? null;
      if (refusal !== null) return fail(400, refusal);
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const { delta, finish = null } of answer?.(body) ?? wellAnswered(body)) {
        const counted = finish === null || usage === null ? {} : { usage: { prompt_tokens: 5, completion_tokens: 2 } };
        response.write(
          `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }], ...counted })}\n\n`,
        );
      }
      response.end("data: [DONE]\n\n");
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function examined(model: Model, ...flags: readonly string[]) {
  const url = await start(model);
  const { code, stdout } = await run(["doctor", "--backend", `${url}/v1`, "--json", ...flags]);
  const examination = JSON.parse(stdout) as BackendExamination;
  const of = (check: string) => examination.findings.find((finding) => finding.check === check);
  return { code, examination, of };
}

const isLate = ({ messages }: Body): boolean => messages.slice(1).some(({ role }) => role === "system");

describe("doctor --backend", () => {
  test("prints what a model server without flaws takes", async () => {
    const url = await start();
    const { code, stdout } = await run(["doctor", "--backend", `${url}/v1`]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/ok +models +the model server \S+ answers, 1 model: small/);
    for (const check of ["answer", "usage", "tools", "parallel", "late", "developer", "reasoning", "schema"]) {
      expect(stdout).toMatch(new RegExp(`ok +${check} `));
    }
    expect(stdout).toContain("Nothing had to be learned");
  }, 60_000);

  test("tells what had to be learned, as a dialect", async () => {
    const { code, examination, of } = await examined({
      refuse: (body) => (isLate(body) ? "System message must be at the beginning." : null),
    });
    expect({ code, learned: examination.learned }).toEqual({ code: 0, learned: { system: "first" } });
    expect(of("late")).toMatchObject({ level: "ok", text: expect.stringContaining('learned: {"system":"first"}') });
  }, 60_000);

  test.each<[string, Model, string, string]>([
    ["usage", { usage: null }, "usage", "does not report usage"],
    ["tools", { answer: (body) => (body.tools ? say("no") : null) }, "tools", "called no tool"],
    [
      "parallel calls",
      { answer: ({ tools, messages }) => (tools && messages.at(-1)?.role === "user" ? calls(1) : null) },
      "parallel",
      "1 calls in one answer",
    ],
    ["schemas", { answer: (body) => (body.response_format ? say("five") : null) }, "schema", "does not keep to it"],
  ])(
    "warns of a server without %s",
    async (_, model, check, words) => {
      const { code, of } = await examined(model);
      expect(code).toBe(0);
      expect(of(check)).toMatchObject({ level: "warning", text: expect.stringContaining(words) });
    },
    60_000,
  );

  test("says that outputs of tools are refused, and fails", async () => {
    const { code, of } = await examined({
      refuse: ({ messages }) => (messages.some(({ role }) => role === "tool") ? "Something odd." : null),
    });
    expect(code).toBe(1);
    expect(of("tools")).toMatchObject({ level: "problem", text: expect.stringContaining("Something odd.") });
  }, 60_000);

  test("sends a very long context only with --overflow", async () => {
    let longest = 0;
    const refuse = (body: Body) => {
      longest = Math.max(longest, JSON.stringify(body).length);
      return longest > 1e6 ? "This model's maximum context length is 4096 tokens." : null;
    };
    expect((await examined({ refuse })).of("overflow")).toMatchObject({ level: "skipped" });
    expect(longest).toBeLessThan(100_000);
    const { of } = await examined({ refuse }, "--overflow");
    expect(of("overflow")).toMatchObject({ level: "ok", text: "a context that is too long is refused as one" });
  }, 60_000);

  test("says in one line that the key is wrong, and shows no key", async () => {
    const url = await start({ key: "right-and-secret" });
    const args = ["doctor", "--backend", `${url}/v1`, "--backend-key"];
    const wrong = await run([...args, "wrong-and-secret"]);
    expect(wrong.code).toBe(1);
    expect(wrong.stdout).toMatch(/problem +models .*key \(401\)/);
    expect(wrong.stdout).not.toContain("wrong-and-secret");
    expect((await run([...args, "right-and-secret"])).code).toBe(0);
  }, 60_000);

  test("finds the /v1 that is missing", async () => {
    const url = await start();
    const { code, stdout } = await run(["doctor", "--backend", url]);
    expect(code).toBe(1);
    expect(stdout).toContain(`there is one at ${url}/v1`);
  }, 60_000);

  test("says that nothing listens", async () => {
    const { code, stdout } = await run(["doctor", "--backend", "http://127.0.0.1:9/v1"]);
    expect(code).toBe(1);
    expect(stdout).toContain("nothing listens there");
  }, 60_000);
});
