import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI, { type APIError, BadRequestError, NotFoundError } from "openai";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { RunningServer } from "../../src/server.ts";
import type { Config } from "../../src/settings.ts";
import { Child } from "../cli/child.ts";
import { ChatUpstream, text } from "../support/chat-upstream.ts";
import { TestPostgres } from "../support/postgres.ts";
import { WsClient } from "../support/ws-client.ts";
import { startInFrontOf } from "../support/in-front.ts";

/** Conversations as OpenAI's own SDK uses them. */

let upstream: ChatUpstream;

beforeEach(async () => {
  upstream = await ChatUpstream.start();
  upstream.otherwise(text("Yes."));
});

afterEach(() => upstream.close());

async function start(
  settings: Partial<Config> = {},
): Promise<{ readonly server: RunningServer; readonly client: OpenAI }> {
  const server = await startInFrontOf(upstream, settings);
  onTestFinished(() => server.close());
  return { server, client: new OpenAI({ apiKey: "any", baseURL: `${server.url}/v1`, maxRetries: 0 }) };
}

const user = (content: string) => ({ type: "message", role: "user", content }) as const;
const named = (content: string, id: string) => ({ ...user(content), id }) as ReturnType<typeof user>;
const caught = (promise: PromiseLike<unknown>) => Promise.resolve(promise).catch((error: unknown) => error);
/** What the model was last asked, message by message. */
const asked = () => upstream.calls.at(-1)?.body.messages.map(({ content }) => content);

/** What the model was asked since the last time, as bytes. */
const bodies = () => upstream.calls.splice(0).map(({ raw }) => raw);
const call = (call_id: string) => ({ type: "function_call", call_id, name: "f", arguments: "{}" }) as const;
const result = (call_id: string) => ({ type: "function_call_output", call_id, output: "done" }) as const;

async function all<T>(pages: AsyncIterable<T>): Promise<readonly T[]> {
  const found: T[] = [];
  for await (const each of pages) found.push(each);
  return found;
}

/** The texts of all items of a conversation, oldest first. */
async function texts(client: OpenAI, id: string): Promise<readonly unknown[]> {
  const items = await all(client.conversations.items.list(id, { order: "asc" }));
  return items.map((item) => (item.type === "message" ? (item.content[0] as { text: string }).text : item.type));
}

describe("the SDK", () => {
  test("makes, reads, changes and deletes a conversation", async () => {
    const { client } = await start();
    const made = await client.conversations.create({ metadata: { topic: "tea" } });
    expect(made).toEqual({
      id: expect.stringMatching(/^conv_/),
      object: "conversation",
      created_at: expect.any(Number),
      metadata: { topic: "tea" },
    });
    expect(await client.conversations.retrieve(made.id)).toEqual(made);
    const changed = await client.conversations.update(made.id, { metadata: { topic: "coffee" } });
    expect(changed).toEqual({ ...made, metadata: { topic: "coffee" } });
    expect(await client.conversations.delete(made.id)).toEqual({
      id: made.id,
      object: "conversation.deleted",
      deleted: true,
    });
    for (const gone of [
      () => client.conversations.retrieve(made.id),
      () => client.conversations.update(made.id, { metadata: {} }),
      () => client.conversations.delete(made.id),
      () => client.conversations.items.list(made.id),
      () => client.conversations.items.create(made.id, { items: [] }),
      () => client.responses.create({ model: "m", input: "Hi", conversation: made.id }),
      () => client.responses.inputTokens.count({ model: "m", input: "Hi", conversation: made.id }),
    ]) {
      expect(await caught(gone())).toBeInstanceOf(NotFoundError);
    }
  });

  test("adds, lists, reads and deletes items", async () => {
    const { client } = await start();
    const { id, metadata } = await client.conversations.create({ items: [user("one")] });
    expect(metadata).toEqual({});
    const added = await client.conversations.items.create(id, { items: [user("two"), named("three", "msg_mine")] });
    expect(added).toMatchObject({ object: "list", has_more: false, last_id: "msg_mine" });
    expect(added.data[0]).toEqual({
      id: added.first_id,
      type: "message",
      role: "user",
      status: "completed",
      content: [{ type: "input_text", text: "two" }],
    });
    expect(await client.conversations.items.retrieve("msg_mine", { conversation_id: id })).toEqual(added.data[1]);
    const conversation = await client.conversations.items.delete(added.first_id, { conversation_id: id });
    expect(conversation).toEqual(await client.conversations.retrieve(id));
    expect(await texts(client, id)).toEqual(["one", "three"]);
    expect((await client.conversations.items.list(id)).data[0]?.id).toBe("msg_mine");
    for (const gone of [added.first_id, "msg_unknown"]) {
      const reads = client.conversations.items.retrieve(gone, { conversation_id: id });
      expect(await caught(reads)).toBeInstanceOf(NotFoundError);
      expect(await caught(client.conversations.items.delete(gone, { conversation_id: id }))).toBeInstanceOf(
        NotFoundError,
      );
    }
  });

  test("reads a long list page by page, in either order", async () => {
    const { client } = await start();
    const { id } = await client.conversations.create();
    for (const batch of [0, 1, 2]) {
      const items = Array.from({ length: 15 }, (_, index) => user(`${batch * 15 + index}`));
      await client.conversations.items.create(id, { items });
    }
    const numbers = Array.from({ length: 45 }, (_, index) => String(index));
    expect(await texts(client, id)).toEqual(numbers);
    const newest = await all(client.conversations.items.list(id, { limit: 7 }));
    expect(newest.map((item) => item.type === "message" && (item.content[0] as { text: string }).text)).toEqual(
      numbers.toReversed(),
    );
  });

  test("hears what is wrong with what it sends", async () => {
    const { client } = await start();
    const { id } = await client.conversations.create();
    const many = Array.from({ length: 21 }, () => user("x"));
    for (const [wrong, param] of [
      [() => client.conversations.create({ items: many }), "items"],
      [() => client.conversations.items.create(id, { items: many }), "items"],
      [() => client.conversations.items.create(id, { items: [{ type: "message" } as never] }), "items[0].role"],
      [() => client.conversations.create({ metadata: { long: "x".repeat(513) } }), "metadata.long"],
      [() => client.conversations.update(id, {} as never), "metadata"],
      [() => client.conversations.items.list(id, { limit: 101 }), "limit"],
    ] as const) {
      const error = await caught(wrong());
      expect(error).toBeInstanceOf(BadRequestError);
      expect(error).toMatchObject({ param });
    }
  });
});

describe("a turn in a conversation", () => {
  test("has all of its items before its own, and adds input and output to it", async () => {
    const { client } = await start();
    const { id } = await client.conversations.create({ items: [user("A cat is here.")] });
    const first = await client.responses.create({ model: "m", input: "Is it black?", conversation: id });
    expect(first.conversation).toEqual({ id });
    expect(first.previous_response_id).toBeNull();
    await client.conversations.items.create(id, { items: [user("A dog comes.")] });
    const stream = await client.responses.create({ model: "m", input: "And now?", conversation: { id }, stream: true });
    for await (const _ of stream);
    expect(asked()).toEqual(["A cat is here.", "Is it black?", "Yes.", "A dog comes.", "And now?"]);
    expect(await texts(client, id)).toEqual([...(asked() ?? []), "Yes."]);
  });

  test("gives the model the same bytes as a client that chains responses, or sends everything", async () => {
    const { server, client } = await start();
    const { id } = await client.conversations.create();
    const socket = await WsClient.open(`${server.url.replace("http", "ws")}/v1/responses`, undefined);
    for (const input of ["one", "two"]) await client.responses.create({ model: "m", input, conversation: id });
    await socket.turn({ model: "m", input: "three", conversation: id });
    await socket.leave();
    const inConversation = bodies();
    let previous: string | null = null;
    const history: OpenAI.Responses.ResponseInputItem[] = [];
    const chained: string[] = [];
    const whole: string[] = [];
    for (const input of ["one", "two", "three"]) {
      const response: OpenAI.Responses.Response = await client.responses.create({
        model: "m",
        input,
        previous_response_id: previous,
      });
      previous = response.id;
      chained.push(...bodies());
      history.push(user(input));
      await client.responses.create({ model: "m", input: history, store: false });
      whole.push(...bodies());
      history.push(...(response.output as OpenAI.Responses.ResponseInputItem[]));
    }
    expect(inConversation).toEqual(chained);
    expect(whole).toEqual(chained);
  });

  test("that is not stored reads it and adds nothing", async () => {
    const { client } = await start();
    const { id } = await client.conversations.create({ items: [user("A cat is here.")] });
    const read = await client.responses.create({ model: "m", input: "Is it?", conversation: id, store: false });
    expect(read.conversation).toEqual({ id });
    expect(asked()).toEqual(["A cat is here.", "Is it?"]);
    expect(await texts(client, id)).toEqual(["A cat is here."]);
  });

  test("in the background holds it until it is over, and leaves nothing in it when it is cancelled", async () => {
    const { client } = await start();
    const { id } = await client.conversations.create();
    const reached = Promise.withResolvers<void>();
    upstream.script(() => reached.resolve());
    const running = await client.responses.create({ model: "m", input: "one", conversation: id, background: true });
    await reached.promise;
    const other = await caught(client.responses.create({ model: "m", input: "two", conversation: id }));
    expect(other).toMatchObject({ code: "conversation_locked" });
    expect((await client.responses.cancel(running.id)).status).toBe("cancelled");
    await client.responses.create({ model: "m", input: "three", conversation: id });
    expect(await texts(client, id)).toEqual(["three", "Yes."]);
  });

  test("belongs to it also when its response is deleted", async () => {
    const { client } = await start();
    const { id } = await client.conversations.create();
    const first = await client.responses.create({ model: "m", input: "one", conversation: id });
    await client.responses.delete(first.id);
    await client.responses.create({ model: "m", input: "two", conversation: id });
    expect(asked()).toEqual(["one", "Yes.", "two"]);
  });

  test("can be continued and forked by its response's id, which leaves the conversation alone", async () => {
    const { client } = await start();
    const { id } = await client.conversations.create();
    const first = await client.responses.create({ model: "m", input: "one", conversation: id });
    await client.responses.create({ model: "m", input: "fork", previous_response_id: first.id });
    expect(asked()).toEqual(["one", "Yes.", "fork"]);
    expect(await texts(client, id)).toEqual(["one", "Yes."]);
  });

  test("loses what was taken out of it, and nothing else", async () => {
    const { client } = await start();
    const { id } = await client.conversations.create();
    const first = await client.responses.create({ model: "m", input: "one", conversation: id });
    await client.responses.create({ model: "m", input: "two", conversation: id });
    const before = await all(client.conversations.items.list(id, { order: "asc" }));
    const answer = first.output[0]?.id ?? "";
    await client.conversations.items.delete(answer, { conversation_id: id });
    const after = await all(client.conversations.items.list(id, { order: "asc" }));
    expect(after).toEqual(before.filter((item) => item.id !== answer));
    await client.responses.create({ model: "m", input: "three", conversation: id });
    expect(asked()).toEqual(["one", "two", "Yes.", "three"]);
  });

  test("has its items once: they are refused when they are sent again, by their ids or whole", async () => {
    const { client } = await start();
    const { id } = await client.conversations.create({ items: [named("A cat.", "msg_cat"), user("A dog.")] });
    const [, dog] = await all(client.conversations.items.list(id, { order: "asc" }));
    for (const again of [
      { type: "item_reference", id: "msg_cat" } as const,
      { type: "item_reference", id: dog?.id ?? "" } as const,
      named("A cat.", "msg_cat"),
    ]) {
      const error = await caught(client.responses.create({ model: "m", input: [again], conversation: id }));
      expect(error).toMatchObject({ status: 400, code: "duplicate_item", param: "input" });
    }
  });

  test("answers calls that were added by hand, in one piece or in several", async () => {
    const { client } = await start();
    const { id } = await client.conversations.create({ items: [user("Go."), call("a"), call("b")] });
    await client.conversations.items.create(id, { items: [result("a")] });
    const open = await caught(client.responses.create({ model: "m", input: "Hm?", conversation: id }));
    expect(open).toMatchObject({ code: null, message: expect.stringMatching(/No tool output found/) });
    await client.responses.create({ model: "m", input: [result("b")], conversation: id });
    expect(asked()).toEqual(["Go.", "", "done", "done"]);
  });
});

test("a conversation outlives the server", async () => {
  const folder = mkdtempSync(join(tmpdir(), "turnwire-conv-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const settings = { store: `sqlite:${join(folder, "turnwire.db")}` };
  const { server, client } = await start(settings);
  const { id } = await client.conversations.create({ items: [user("A cat.")], metadata: { topic: "pets" } });
  await client.responses.create({ model: "m", input: "Black?", conversation: id });
  await server.close();
  const again = await start(settings);
  expect(await again.client.conversations.retrieve(id)).toMatchObject({ metadata: { topic: "pets" } });
  await again.client.responses.create({ model: "m", input: "And now?", conversation: id });
  expect(asked()).toEqual(["A cat.", "Black?", "Yes.", "And now?"]);
});

test("a server that is killed in the middle of a turn leaves the conversation as it was, and held for a while", async () => {
  const folder = mkdtempSync(join(tmpdir(), "turnwire-conv-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const serve = async () => {
    const store = `sqlite:${join(folder, "turnwire.db")}`;
    const child = new Child(["serve", "--port", "0", "--store", store, "--backend", upstream.url]);
    onTestFinished(() => child.signal("SIGKILL"));
    return { child, client: new OpenAI({ apiKey: "any", baseURL: `${await child.url()}/v1`, maxRetries: 0 }) };
  };
  const { child, client } = await serve();
  const { id } = await client.conversations.create({ items: [user("one")] });
  await client.responses.create({ model: "m", input: "two", conversation: id });
  const before = await all(client.conversations.items.list(id));
  const reached = Promise.withResolvers<void>();
  upstream.script(() => reached.resolve());
  const cut = caught(client.responses.create({ model: "m", input: "three", conversation: id }));
  await reached.promise;
  child.signal("SIGKILL");
  await Promise.all([cut, child.ended]);

  const again = await serve();
  expect(await all(again.client.conversations.items.list(id))).toEqual(before);
  const held = again.client.responses.create({ model: "m", input: "four", conversation: id });
  expect(await caught(held)).toMatchObject({ code: "conversation_locked" });
  await again.client.responses.create({ model: "m", input: "four", conversation: id, store: false });
  expect(asked()).toEqual(["one", "two", "Yes.", "four"]);
}, 30_000);

const status = (error: unknown) => [(error as APIError).status, (error as APIError).code, (error as APIError).param];

describe("edges of a conversation", () => {
  test("refuses an id of another kind, and adds nothing", async () => {
    const { client } = await start();
    const { id } = await client.conversations.create();
    const call = { type: "function_call", name: "f", arguments: "{}", call_id: "c" } as const;
    for (const [item, prefix] of [
      [{ ...user("x"), id: "item_wrongprefix_5" }, "msg"],
      [{ ...call, id: "msg_wrongprefix_2" }, "fc"],
    ] as const) {
      const refused = await caught(client.conversations.items.create(id, { items: [item as never] }));
      expect(status(refused)).toEqual([400, "invalid_value", "items[0].id"]);
      expect(String(refused)).toContain(
        `Invalid 'items[0].id': '${item.id}'. Expected an ID that begins with '${prefix}'.`,
      );
    }
    expect(await all(client.conversations.items.list(id))).toEqual([]);
  });

  test("takes a known id for the item that is stored, also twice in one request", async () => {
    const { client } = await start();
    upstream.script(text("A cat."));
    const response = await client.responses.create({ model: "m", input: "What is it?" });
    const known = response.output[0]?.id ?? "";
    const { id } = await client.conversations.create();
    const sent = (content: string) => ({ ...user(content), id: known });
    const added = await client.conversations.items.create(id, {
      items: [sent("a dog"), sent("a cow")],
    });
    expect(added.data).toMatchObject([{ content: [{ text: "A cat." }] }, { content: [{ text: "A cat." }] }]);
    expect(await all(client.conversations.items.list(id))).toHaveLength(2);
  });

  test("does not add what it has", async () => {
    const { client } = await start();
    const { id } = await client.conversations.create({ items: [user("one")] });
    const [one] = await all(client.conversations.items.list(id));
    const again = { ...user("one"), id: (one as { id: string }).id };
    const refused = await caught(client.conversations.items.create(id, { items: [again] }));
    expect(status(refused)).toEqual([400, "item_already_in_conversation", "items"]);
    expect(await all(client.conversations.items.list(id))).toEqual([one]);
  });

  test("answers a cursor that it does not have with 404", async () => {
    const { client } = await start();
    const { id } = await client.conversations.create({ items: [user("one")] });
    const refused = await caught(client.conversations.items.list(id, { after: "msg_gone" }));
    expect(status(refused)).toEqual([404, null, "after"]);
    expect(String(refused)).toContain("No item found with id 'msg_gone'");
  });
});

describe.skipIf(TestPostgres.missing !== null)(`two servers on one PostgreSQL${TestPostgres.whySkipped}`, () => {
  test("keep each other out of a conversation while a turn runs in it", async () => {
    const postgres = await TestPostgres.start();
    onTestFinished(() => postgres.stop());
    const store = await postgres.emptyPlace();
    const [one, two] = [await start({ store }), await start({ store })];
    const { id } = await one.client.conversations.create();
    const [reached, opened] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    upstream.script(async (response, call) => {
      reached.resolve();
      await opened.promise;
      await text("Yes.")(response, call);
    });
    const running = one.client.responses.create({ model: "m", input: "one", conversation: id }).asResponse();
    await reached.promise;
    const refused = await caught(two.client.responses.create({ model: "m", input: "two", conversation: id }));
    expect(refused).toBeInstanceOf(BadRequestError);
    expect(refused).toMatchObject({ code: "conversation_locked", param: "conversation" });
    const adds = two.client.conversations.items.create(id, { items: [user("x")] });
    expect(await caught(adds)).toMatchObject({ code: "conversation_locked" });
    opened.resolve();
    await running;
    await two.client.responses.create({ model: "m", input: "two", conversation: id });
    expect(asked()).toEqual(["one", "Yes.", "two"]);
  });
});
