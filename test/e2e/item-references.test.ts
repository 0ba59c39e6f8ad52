import OpenAI, { NotFoundError } from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RunningServer } from "../../src/server.ts";
import { answer, ChatUpstream, delta, text } from "../support/chat-upstream.ts";
import { WsClient } from "../support/ws-client.ts";
import { startInFrontOf } from "../support/in-front.ts";

/** Clients such as the AI SDK send back what the model said by its id alone. */

let upstream: ChatUpstream;
let server: RunningServer;
let client: OpenAI;

beforeAll(async () => {
  upstream = await ChatUpstream.start();
  server = await startInFrontOf(upstream);
  client = new OpenAI({ apiKey: "any", baseURL: `${server.url}/v1`, maxRetries: 0 });
});

afterAll(async () => {
  await server.close();
  await upstream.close();
});

const TASK = { role: "user", content: "Where?" } as const;
const TOOLS = [{ type: "function", name: "find", parameters: {}, strict: false }] as const;

/** The bytes of the messages of the last request. */
const messages = (): string => /"messages":(.*)$/s.exec(upstream.calls.at(-1)?.raw ?? "")?.[1] ?? "";

test("the model gets the same bytes as from a client that sends the items, over HTTP, SSE and WebSocket", async () => {
  upstream.script(
    answer(
      delta({ reasoning_content: "Let me see." }),
      delta({ content: "I look it up." }),
      delta({ tool_calls: [{ index: 0, id: "c1", function: { name: "find", arguments: '{"a":1}' } }] }),
      delta({}, "tool_calls"),
    ),
  );
  upstream.otherwise(text("There."));
  const { output } = await client.responses.create({ model: "m", input: [TASK], tools: [...TOOLS] });
  expect(output.map((item) => item.type)).toEqual(["reasoning", "message", "function_call"]);
  const result = { type: "function_call_output", call_id: "c1", output: "Here." } as const;
  const references = output.map((item) => ({ type: "item_reference", id: item.id ?? "" }) as const);

  await client.responses.create({ model: "m", input: [TASK, ...(output as []), result] });
  const inline = messages();
  expect(inline).toContain("I look it up.");

  const byId = { model: "m", input: [TASK, ...references, result] };
  await client.responses.create(byId);
  expect(messages()).toBe(inline);
  for await (const _ of await client.responses.create({ ...byId, stream: true }));
  expect(messages()).toBe(inline);
  const socket = await WsClient.open(`${server.url.replace("http", "ws")}/v1/responses`, undefined);
  await socket.turn(byId);
  expect(messages()).toBe(inline);
  await socket.leave();
});

test("an item that is not there is a NotFoundError", async () => {
  const input = [{ type: "item_reference", id: "msg_unknown" }] as const;
  const error = await client.responses.create({ model: "m", input: [...input] }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(NotFoundError);
  expect(error).toMatchObject({ status: 404, code: null, param: "input" });
});
