import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RunningServer } from "../../src/server.ts";
import { answer, ChatUpstream } from "../support/chat-upstream.ts";
import { startInFrontOf } from "../support/in-front.ts";

/** Reasoning that a client keeps for the server, with OpenAI's SDK in front of a chat server that reasons. */

const WANTED = ["reasoning.encrypted_content" as const];
const THOUGHT = [
  { choices: [{ delta: { reasoning_content: "Seven " } }] },
  { choices: [{ delta: { reasoning_content: "times six." } }] },
  { choices: [{ delta: { content: "42" } }] },
  { choices: [{ delta: {}, finish_reason: "stop" }] },
];

let upstream: ChatUpstream;
let server: RunningServer;
let client: OpenAI;
let stranger: OpenAI;

const keyOf = (tenant: string) => `${tenant}-key-of-sixteen`;

beforeAll(async () => {
  upstream = await ChatUpstream.start();
  const apiKeys = ["us", "them"].map((tenant) => ({ tenant, key: keyOf(tenant) }));
  server = await startInFrontOf(upstream, { apiKeys });
  const clientOf = (tenant: string) =>
    new OpenAI({ apiKey: keyOf(tenant), baseURL: `${server.url}/v1`, maxRetries: 0 });
  client = clientOf("us");
  stranger = clientOf("them");
});

afterAll(async () => {
  await server.close();
  await upstream.close();
});

/** A turn whose reasoning is asked for in its sealed form. */
async function think(store: boolean): Promise<OpenAI.Responses.Response> {
  upstream.script(answer(...THOUGHT));
  return client.responses.create({ model: "m", input: "What is it?", include: WANTED, store });
}

/** What a client keeps that shows nobody what the model thought. */
function sealedOnly(response: OpenAI.Responses.Response): OpenAI.Responses.ResponseInputItem[] {
  return response.output.map((item) => {
    if (item.type !== "reasoning") return item as OpenAI.Responses.ResponseInputItem;
    return { type: "reasoning", id: item.id, summary: [], encrypted_content: item.encrypted_content ?? null };
  });
}

async function contextOf(from: OpenAI, items: OpenAI.Responses.ResponseInputItem[]): Promise<string> {
  upstream.script(answer(...THOUGHT));
  const input = [
    { role: "user" as const, content: "What is it?" },
    ...items,
    { role: "user" as const, content: "Sure?" },
  ];
  await from.responses.create({ model: "m", input, store: false });
  return JSON.stringify(upstream.calls.at(-1)?.body);
}

test("goes back to the model from a client that kept nothing but the sealed form; and is the same in a replay", async () => {
  const response = await think(true);
  const [reasoning] = response.output;
  expect(reasoning).toMatchObject({ type: "reasoning", encrypted_content: expect.stringMatching(/.{20}/) });
  expect(JSON.stringify(sealedOnly(response))).not.toContain("Seven");

  const context = await contextOf(client, sealedOnly(response));
  expect(context).toContain("Seven times six.");
  expect(context).toBe(await contextOf(client, response.output as OpenAI.Responses.ResponseInputItem[]));

  const replayed: OpenAI.Responses.ResponseStreamEvent[] = [];
  for await (const event of await client.responses.retrieve(response.id, { stream: true })) replayed.push(event);
  const done = replayed.find((event) => event.type === "response.output_item.done");
  expect(done).toMatchObject({ item: reasoning });
});

test("of another tenant, or made up, is left out of what the model sees, and is no error", async () => {
  const items = sealedOnly(await think(false));
  expect(await contextOf(stranger, items)).not.toContain("Seven");
  const forged = items.map((item) => (item.type === "reasoning" ? { ...item, encrypted_content: "made up" } : item));
  expect(await contextOf(client, forged)).not.toContain("Seven");
});

test("is in no response that did not ask for it", async () => {
  upstream.script(answer(...THOUGHT));
  const response = await client.responses.create({ model: "m", input: "What is it?" });
  expect(response.output[0]).toMatchObject({ type: "reasoning" });
  expect(response.output[0]).not.toHaveProperty("encrypted_content");
});
