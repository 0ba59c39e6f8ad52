import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { openWorld } from "./support/task.ts";

/** Every call of OpenAI's SDK that has to do with responses, over HTTP. */

const PLANS = {
  hello: [{ text: "Hello there." }],
  more: [{ text: "More." }],
  object: [{ text: '{"city":"Oslo","degrees":4}' }],
};

async function open() {
  const world = await openWorld([], PLANS);
  return { ...world, client: new OpenAI({ apiKey: "any", baseURL: world.baseUrl, maxRetries: 0 }) };
}

const hello = { model: "local-model", input: "[task:hello] Hello?" } as const;

describe("a stored response", () => {
  test("is retrieved, and its input is listed", async () => {
    const { client } = await open();
    const made = await client.responses.create({ ...hello, metadata: { who: "me" } });
    const found = await client.responses.retrieve(made.id);
    expect(found).toMatchObject({ id: made.id, output_text: "Hello there.", metadata: { who: "me" } });
    expect(found.output).toEqual(made.output);
    const next = await client.responses.create({
      model: "local-model",
      input: "[task:more] More?",
      previous_response_id: made.id,
    });
    const texts: string[] = [];
    for await (const item of client.responses.inputItems.list(next.id, { order: "asc", limit: 1 })) {
      texts.push(JSON.stringify(item));
    }
    expect(texts.at(-1)).toContain("[task:more] More?");
    expect(new Set(texts).size).toBe(texts.length);
  });

  test("is streamed again, from where one has heard it", async () => {
    const { client } = await open();
    const stream = await client.responses.create({ ...hello, stream: true, background: true, store: true });
    const events = [];
    for await (const event of stream) events.push(event);
    const [first] = events;
    const id = first?.type === "response.created" ? first.response.id : "";
    const again = [];
    for await (const event of await client.responses.retrieve(id, { stream: true, starting_after: 2 }))
      again.push(event);
    expect(again).toEqual(events.slice(3));
  });

  test("is gone once it was deleted", async () => {
    const { client } = await open();
    const { id } = await client.responses.create(hello);
    await client.responses.delete(id);
    await expect(client.responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
  });

  test("in the background is cancelled", async () => {
    const { client, model } = await open();
    const left = Promise.withResolvers<void>();
    model.fault(0, (response) => {
      response.on("close", () => left.resolve());
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    });
    const { id } = await client.responses.create({ ...hello, background: true });
    await model.arrival(0);
    expect(await client.responses.cancel(id)).toMatchObject({ id, status: "cancelled" });
    await left.promise;
    expect(await client.responses.retrieve(id)).toMatchObject({ status: "cancelled" });
  });
});

test("parse() gives an object of a schema", async () => {
  const { client } = await open();
  const format = zodTextFormat(z.object({ city: z.string(), degrees: z.number() }), "weather");
  const response = await client.responses.parse({
    model: "local-model",
    input: "[task:object] Weather?",
    text: { format },
  });
  expect(response.output_parsed).toEqual({ city: "Oslo", degrees: 4 });
});

test("input tokens are counted", async () => {
  const { client } = await open();
  const short = await client.responses.inputTokens.count({ model: "local-model", input: "Hello" });
  const long = await client.responses.inputTokens.count({ model: "local-model", input: "Hello ".repeat(100) });
  expect(short.object).toBe("response.input_tokens");
  expect(long.input_tokens).toBeGreaterThan(short.input_tokens);
});

test("a context is compacted, and goes on from there", async () => {
  const { client, model } = await open();
  const made = await client.responses.create(hello);
  model.fault(1, (response) => {
    const choices = [{ index: 0, delta: { content: "They said hello." }, finish_reason: "stop" }];
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(`data: ${JSON.stringify({ choices })}\n\ndata: [DONE]\n\n`);
  });
  const compacted = await client.responses.compact({ model: "local-model", previous_response_id: made.id });
  expect(compacted.object).toBe("response.compaction");
  const input = [...compacted.output, { role: "user", content: "[task:more] More?" }];
  const next = await client.responses.create({
    model: "local-model",
    input: input as OpenAI.Responses.ResponseInput,
  });
  expect(next.output_text).toBe("More.");
  expect(JSON.stringify(model.messages())).toContain("They said hello.");
});

test("a conversation keeps the items of its turns", async () => {
  const { client, model } = await open();
  const conversation = await client.conversations.create({ metadata: { topic: "logs" } });
  const turn = (input: string) =>
    client.responses.create({ model: "local-model", input, conversation: conversation.id });
  await turn("[task:hello] Hello?");
  expect((await turn("[task:more] More?")).output_text).toBe("More.");
  expect(model.wrong).toEqual([]);
  expect(model.messages().map(({ role }) => role)).toEqual(["user", "assistant", "user"]);
  const items = [];
  for await (const item of client.conversations.items.list(conversation.id, { order: "asc" })) items.push(item);
  expect(items).toHaveLength(4);
  const last = items.at(-1) as { readonly id: string };
  expect(await client.conversations.items.retrieve(last.id, { conversation_id: conversation.id })).toEqual(last);
  await client.conversations.items.create(conversation.id, {
    items: [{ type: "message", role: "user", content: "One more." }],
  });
  await client.conversations.items.delete(last.id, { conversation_id: conversation.id });
  expect((await client.conversations.items.list(conversation.id)).data).toHaveLength(4);
  expect(await client.conversations.update(conversation.id, { metadata: { topic: "more" } })).toMatchObject({
    id: conversation.id,
    metadata: { topic: "more" },
  });
  await client.conversations.delete(conversation.id);
  await expect(client.conversations.retrieve(conversation.id)).rejects.toMatchObject({ status: 404 });
});

test("models are listed, and found by name", async () => {
  const { client } = await open();
  const names: string[] = [];
  for await (const { id } of client.models.list()) names.push(id);
  expect(names).toContain("upstream-model");
  expect(await client.models.retrieve("upstream-model")).toMatchObject({ id: "upstream-model", object: "model" });
});
