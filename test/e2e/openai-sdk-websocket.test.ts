import { connect, createServer, type AddressInfo, type Server } from "node:net";
import OpenAI from "openai";
import { ResponsesWebSocketSession } from "openai/lib/responses/responses-websocket-session";
import type { Response } from "openai/resources/responses/responses";
import { ResponsesWS } from "openai/resources/responses/ws";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type RunningServer, startServer } from "../../src/server.ts";
import { answer, block, ChatUpstream, delta, refuse, text, type UpstreamStep } from "../support/chat-upstream.ts";
import { agentAnswers, LIMITS, opened, SdkSocket, textOf } from "../support/openai-agent.ts";

/** What OpenAI's SDK does with a WebSocket beyond one turn after another. */

let upstream: ChatUpstream;
let server: RunningServer;
let client: OpenAI;

beforeEach(async () => {
  upstream = await ChatUpstream.start();
  server = await startServer(serverSettings());
  client = clientOf(server.url);
});

afterEach(async () => {
  await server.close();
  await upstream.close();
});

function serverSettings() {
  // The clients run in the process of the server, which must not take them for load.
  return {
    port: 0,
    store: "memory:",
    logLevel: "silent",
    maxLoopDelayMs: 0,
    backend: upstream.url,
    backendRetries: 0,
  } as const;
}

function clientOf(url: string): OpenAI {
  return new OpenAI({ apiKey: "any", baseURL: `${url}/v1`, maxRetries: 0 });
}

function open(options?: ConstructorParameters<typeof SdkSocket>[1]): SdkSocket {
  const socket = new SdkSocket(client, options);
  onTestFinished(() => socket.close());
  return socket;
}

async function openSession(): Promise<{ session: ResponsesWebSocketSession; socket: ResponsesWS }> {
  const socket = new ResponsesWS(client);
  onTestFinished(() => socket.close());
  const session = new ResponsesWebSocketSession(socket, LIMITS);
  await opened(socket);
  return { session, socket };
}

/** What the model server was shown last. */
const lastMessages = () => upstream.calls.at(-1)?.body.messages;
const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });

/** Says what the last message said, so that answers tell lanes apart. */
const echo: UpstreamStep = (response, call) => {
  const said = call.body.messages.at(-1)?.["content"] as string;
  return text(`re: ${said}`)(response, call);
};

describe("lanes", () => {
  test("nine of them have several turns each on one socket, and none sees another's context", async () => {
    upstream.otherwise(echo);
    const { session } = await openSession();
    const names = [undefined, ...Array.from({ length: 8 }, (_, index) => `lane-${index}`)];
    const texts = await Promise.all(
      names.map(async (name) => {
        const lane = session.lane(name);
        let previous: Response | null = null;
        for (let turn = 0; turn < 5; turn += 1) {
          const input = `${name} ${turn}`;
          lane.create({
            model: "m",
            store: false,
            input,
            previous_response_id: previous?.id ?? null,
          });
          previous = await lane.finalResponse();
        }
        return textOf(previous ?? undefined);
      }),
    );
    expect(texts).toEqual(names.map((name) => `re: ${name} 4`));
    const last = upstream.calls.filter(({ body }) => body.messages.length === 9).map(({ body }) => body.messages);
    const expected = names.map((name) => [
      ...Array.from({ length: 4 }, (_, turn) => [user(`${name} ${turn}`), assistant(`re: ${name} ${turn}`)]).flat(),
      user(`${name} 4`),
    ]);
    expect(last.toSorted(byText)).toEqual(expected.toSorted(byText));
  });

  test("a fork continues another lane's response while that lane goes on", async () => {
    upstream.otherwise(echo);
    const { session } = await openSession();
    const [left, right] = [session.lane("left"), session.lane("right")];
    left.create({ model: "m", store: false, input: "root" });
    const { id } = await left.finalResponse();
    left.create({ model: "m", store: false, input: "left", previous_response_id: id });
    right.create({ model: "m", store: false, input: "right", previous_response_id: id });
    const ends = await Promise.all([left.finalResponse(), right.finalResponse()]);
    expect(ends.map(textOf)).toEqual(["re: left", "re: right"]);
    const forks = upstream.calls.slice(1).map(({ body }) => body.messages);
    const root = [user("root"), assistant("re: root")];
    expect(forks.toSorted(byText)).toEqual([
      [...root, user("left")],
      [...root, user("right")],
    ]);
  });

  test("a steer ends the response at its item and starts a successor that has heard it", async () => {
    const gate = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    upstream.script(async (response) => {
      response.on("close", () => closed.resolve());
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(block(delta({ content: "Once upon " })));
      await gate.promise;
      response.write(block(delta({ content: "a time." })));
      const call = { index: 0, id: "call_0", type: "function", function: { name: "paint", arguments: "{" } };
      response.write(block(delta({ tool_calls: [call] })));
    }, text("In a word: no."));
    const { session, socket } = await openSession();
    const lane = session.lane("story");
    lane.create({ model: "m", store: false, input: "Tell me a story." });
    const created = await lane.receive();
    const id = (created as { response: Response }).response.id;
    while ((await lane.receive()).type !== "response.output_text.delta");
    socket.send({ type: "response.steer", previous_response_id: id, input: "Shorter!" });
    expect(await lane.receive()).toMatchObject({
      type: "response.steer.accepted",
      steer: { previous_response_id: id },
      stream_id: "story",
    });
    gate.resolve();
    const steered = await lane.finalResponse();
    await closed.promise;
    expect(steered).toMatchObject({ id, status: "incomplete", incomplete_details: { reason: "steered" } });
    const successor = await lane.finalResponse();
    expect(successor).toMatchObject({ status: "completed", previous_response_id: id });
    expect(textOf(successor)).toBe("In a word: no.");
    expect(lastMessages()).toEqual([user("Tell me a story."), assistant("Once upon a time."), user("Shorter!")]);
  });

  test("an error ends the turn of its own lane and of no other", async () => {
    upstream.otherwise(echo);
    const { session } = await openSession();
    const [good, bad] = [session.lane("good"), session.lane("bad")];
    bad.create({ model: "m", input: "x", previous_response_id: "resp_unknown" });
    good.create({ model: "m", input: "x" });
    const error: unknown = await bad.finalResponse().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ error: { status: 400, error: { code: "previous_response_not_found" } } });
    expect(await good.finalResponse()).toMatchObject({ status: "completed" });
    bad.create({ model: "m", input: "again" });
    expect(textOf(await bad.finalResponse())).toBe("re: again");
  });
});

describe("errors", () => {
  test("a key that is not known is refused before there is a socket", async () => {
    const closed = await startServer({
      port: 0,
      store: "memory:",
      logLevel: "silent",
      apiKeys: [{ tenant: "us", key: "the-right-key-of-us" }],
    });
    const socket = new ResponsesWS(clientOf(closed.url));
    const error = await new Promise<Error>((resolve) => {
      socket.on("error", resolve);
    });
    expect(error.message).toContain("401");
    await closed.close();
  });

  test("a turn that is refused leaves the socket to the next", async () => {
    upstream.otherwise(echo);
    const socket = open();
    const [refusal, ...others] = await socket.turn({ model: "m", input: "x", previous_response_id: "resp_unknown" });
    expect(others).toEqual([]);
    expect(refusal).toMatchObject({
      type: "error",
      status: 400,
      error: { code: "previous_response_not_found", param: "previous_response_id", type: "invalid_request_error" },
    });
    expect(textOf(await socket.take({ model: "m", input: "x" }))).toBe("re: x");
  });

  test.each([
    ["rate_limit_exceeded", answer(delta({ content: "half" }), { error: { code: 429, message: "slow down" } })],
    ["server_error", answer(delta({ content: "half" }), { error: { message: "out of memory" } })],
  ])("a failure in the middle of an answer is a failed response: %s", async (code, step) => {
    upstream.script(step, echo);
    const socket = open();
    const events = await socket.turn({ model: "m", input: "x" });
    expect(events.at(0)).toMatchObject({ type: "response.created" });
    expect(events.at(-1)).toMatchObject({ type: "response.failed", response: { status: "failed", error: { code } } });
    expect(textOf(await socket.take({ model: "m", input: "x" }))).toBe("re: x");
  });

  test.each([
    ["rate_limit_exceeded", 429, refuse(429, {}, { "retry-after": "70" })],
    ["server_error", 500, refuse(500, {})],
  ])("a refusal of the model server is an error event: %s", async (code, status, step) => {
    upstream.script(step, echo);
    const socket = open();
    const events = await socket.turn({ model: "m", input: "x" });
    expect(events).toMatchObject([{ type: "error", status, error: { code } }]);
    expect(textOf(await socket.take({ model: "m", input: "x" }))).toBe("re: x");
  });

  test("a socket that is closed in the middle of a turn ends the model server's call", async () => {
    const closed = Promise.withResolvers<void>();
    upstream.script((response) => {
      response.on("close", () => closed.resolve());
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(block(delta({ content: "Once " })));
    });
    const socket = open();
    socket.socket.send({ type: "response.create", model: "m", input: "x" });
    while ((await socket.event())?.type !== "response.output_text.delta");
    socket.close();
    await closed.promise;
  });
});

describe("a new connection", () => {
  const reconnect = { initialDelay: 1, maxDelay: 1, onReconnecting: () => undefined };

  test("to a server that has restarted knows nothing, and takes everything", async () => {
    const relay = await Relay.start(server.url);
    client = clientOf(relay.url);
    const [answerWithCalls, ...rest] = agentAnswers();
    upstream.script(answerWithCalls as UpstreamStep, ...rest);
    const settings = { model: "m", store: false, tools: [{ type: "custom" as const, name: "patch" }] };
    const socket = open({ reconnect });
    const task = { type: "message" as const, role: "user" as const, content: "Repair it." };
    const first = await socket.take({ ...settings, input: [task] });
    const outputs = first.output.flatMap((item) =>
      item.type === "function_call"
        ? [{ type: "function_call_output" as const, call_id: item.call_id, output: "found" }]
        : [],
    );

    const old = server;
    server = await startServer(serverSettings());
    relay.target = server.url;
    const reconnected = new Promise<void>((resolve) => {
      socket.socket.once("reconnected", resolve);
    });
    await old.close();
    await reconnected;

    const continued = await socket.turn({ ...settings, input: outputs, previous_response_id: first.id });
    expect(continued).toMatchObject([{ type: "error", error: { code: "previous_response_not_found" } }]);
    const history = first.output as OpenAI.Responses.ResponseInputItem[];
    await socket.take({ ...settings, input: [task, ...history, ...outputs] });
    const [shown, resent] = upstream.calls.map(({ body }) => body.messages);
    expect(shown).toEqual([user("Repair it.")]);
    expect(resent?.map(({ role }) => role)).toEqual(["user", "assistant", "tool", "tool"]);
    expect(upstream.calls).toHaveLength(2);
    socket.close();
    await relay.close();
  });

  test("continues what was stored by its id alone", async () => {
    upstream.otherwise(echo);
    const before = open();
    const stored = await before.take({ model: "m", store: true, input: "one" });
    before.close();
    const socket = open();
    const next = await socket.take({ model: "m", store: true, input: "two", previous_response_id: stored.id });
    expect(next.previous_response_id).toBe(stored.id);
    expect(lastMessages()).toEqual([user("one"), assistant("re: one"), user("two")]);
  });
});

function byText(left: unknown, right: unknown): number {
  return JSON.stringify(left) < JSON.stringify(right) ? -1 : 1;
}

/** An address that stays while the server behind it changes. */
class Relay {
  target: string;
  readonly #server: Server;

  private constructor(target: string) {
    this.target = target;
    this.#server = createServer((socket) => {
      const { hostname, port } = new URL(this.target);
      const onward = connect({ host: hostname, port: Number(port) });
      socket.on("error", () => onward.destroy()).pipe(onward);
      onward.on("error", () => socket.destroy()).pipe(socket);
    });
  }

  static async start(target: string): Promise<Relay> {
    const relay = new Relay(target);
    await new Promise<void>((resolve) => {
      relay.#server.listen(0, "127.0.0.1", resolve);
    });
    return relay;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }
}
