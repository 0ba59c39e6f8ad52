import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type RunningServer, startServer } from "../../src/server.ts";
import { answer, block, ChatUpstream, delta, refuse, text, type UpstreamStep } from "../support/chat-upstream.ts";
import { HttpClient } from "../support/http-client.ts";
import { WsClient } from "../support/ws-client.ts";

/** What clients hear when the model server fails: the codes, the words and the headers that their own recovery looks for. */

let upstream: ChatUpstream;
let server: RunningServer;

beforeEach(async () => {
  upstream = await ChatUpstream.start();
});

afterEach(async () => {
  await server.close();
  await upstream.close();
});

async function start(patience: object = {}): Promise<void> {
  const settings = { backendRetries: 0, store: "memory:", logLevel: "silent", maxLoopDelayMs: 0, ...patience } as const;
  server = await startServer({ port: 0, backend: upstream.url, ...settings });
}

const begin: UpstreamStep = (response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write(block(delta({ content: "half" })));
};

const FAILURES: readonly [
  string,
  UpstreamStep,
  { code: string; status: number; words: RegExp; retryAfter?: string; patience?: object; isRefusal?: true },
][] = [
  [
    "asks for patience",
    refuse(429, { error: { message: "slow down" } }, { "retry-after": "7" }),
    // The words that Codex reads the time from.
    { code: "rate_limit_exceeded", status: 429, words: /try again in 7s/, retryAfter: "7", isRefusal: true },
  ],
  [
    "is at its limit and does not say for how long",
    refuse(429, {}),
    { code: "rate_limit_exceeded", status: 429, words: /try again later/, isRefusal: true },
  ],
  [
    "has an error",
    refuse(500, {}),
    { code: "server_error", status: 500, words: /had an error \(500\)/, isRefusal: true },
  ],
  [
    "is overloaded",
    refuse(503, {}),
    { code: "server_error", status: 500, words: /had an error \(503\)/, isRefusal: true },
  ],
  [
    "does not begin to answer",
    () => undefined,
    {
      code: "server_error",
      status: 500,
      words: /begin to answer in time/,
      patience: { firstByteTimeout: 0.3 },
      isRefusal: true,
    },
  ],
  [
    "falls silent in the middle",
    begin,
    { code: "server_error", status: 500, words: /nothing for too long/, patience: { silenceTimeout: 0.3 } },
  ],
  [
    "breaks off in the middle",
    (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(block(delta({ content: "half" })), () => response.destroy());
    },
    { code: "server_error", status: 500, words: /broke off its answer/ },
  ],
  [
    "reports its limit in the middle",
    answer(delta({ content: "half" }), { error: { code: 429, message: "Please try again in 3s." } }),
    { code: "rate_limit_exceeded", status: 429, words: /try again in 3s/, retryAfter: "3" },
  ],
  [
    "cannot hold the context",
    refuse(400, { error: { code: "context_length_exceeded", message: "too long" } }),
    { code: "context_length_exceeded", status: 400, words: /exceeds the context window/ },
  ],
];

describe.each(FAILURES.filter(([, , { isRefusal }]) => isRefusal))(
  "a model server that %s",
  (_name, step, { code, status, words, retryAfter, patience }) => {
    test("is an error frame over WebSocket, and the connection goes on", async () => {
      await start(patience);
      upstream.script(step, text("well"));
      const client = await WsClient.open(`${server.url.replace("http", "ws")}/v1/responses`);
      const again = { input: "go on", store: false };
      const refused = await client.turn(again);
      expect(refused.frames).toHaveLength(1);
      expect(refused.last).toMatchObject({
        type: "error",
        status,
        error: { code, message: expect.stringMatching(words) },
      });
      expect((await client.turn(again)).response.status).toBe("completed");
    });

    test("is an HTTP status for a stream, with the time to come back", async () => {
      await start(patience);
      upstream.script(step);
      const asked = { method: "POST", headers: { "content-type": "application/json" } } as const;
      const body = JSON.stringify({ model: "m", input: "go", stream: true });
      const {
        status: answered,
        headers,
        json,
      } = await new HttpClient(server.url).call("/v1/responses", { ...asked, body });
      expect([answered, headers["retry-after"]]).toEqual([status, retryAfter ?? "1"]);
      expect(json.error).toMatchObject({ code, message: expect.stringMatching(words) });
    });
  },
);

test("a refusal that comes after the wait is a response.failed", async () => {
  await start({ acceptTimeout: 0.01 });
  const told = Promise.withResolvers<void>();
  upstream.script((response, call) => void told.promise.then(() => refuse(429, {})(response, call)));
  const client = await WsClient.open(`${server.url.replace("http", "ws")}/v1/responses`);
  client.send({ type: "response.create", model: "m", input: "go" });
  expect((await client.frame()).type).toBe("response.created");
  told.resolve();
  const { last } = await client.rest();
  expect(last).toMatchObject({ type: "response.failed", response: { error: { code: "rate_limit_exceeded" } } });
});

describe.each(FAILURES.filter(([, , { isRefusal }]) => !isRefusal))(
  "a model server that %s",
  (_name, step, { code, words, patience }) => {
    test("is a response.failed over WebSocket, and the connection goes on", async () => {
      await start(patience);
      upstream.script(step, text("well"));
      const client = await WsClient.open(`${server.url.replace("http", "ws")}/v1/responses`);
      const failed = await client.turn({ input: "go", store: false });
      expect(failed.last.type).toBe("response.failed");
      expect(failed.response).toMatchObject({
        status: "failed",
        error: { code, message: expect.stringMatching(words) },
      });
      expect(failed.frames.map(({ type }) => type)).not.toContain("response.output_item.done");
      expect((await client.turn({ input: "go", store: false })).response.status).toBe("completed");
    });

    test("is a response.failed over SSE, announced by an error event", async () => {
      await start(patience);
      upstream.script(step);
      const { status: answered, frames } = await new HttpClient(server.url).stream({ input: "go" });
      expect(answered).toBe(200);
      const [error, failed] = frames.slice(-2);
      expect(error).toMatchObject({ type: "error", code, message: expect.stringMatching(words), error: { code } });
      expect(failed).toMatchObject({ type: "response.failed", response: { error: { code } } });
      expect(frames.map(({ sequence_number }) => sequence_number)).toEqual([...frames.keys()]);
    });
  },
);

describe.each(FAILURES)(
  "a model server that %s",
  (_name, step, { code, status, words, retryAfter, patience, isRefusal }) => {
    test("is an HTTP error otherwise, with the time to come back", async () => {
      await start(patience);
      upstream.script(step);
      const { status: answered, headers, json } = await new HttpClient(server.url).create({ input: "go" });
      expect([answered, headers["retry-after"]]).toEqual([status, retryAfter ?? (isRefusal ? "1" : undefined)]);
      expect(json.error).toMatchObject({ code, message: expect.stringMatching(words) });
    });
  },
);
