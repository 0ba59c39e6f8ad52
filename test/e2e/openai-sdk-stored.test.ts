import OpenAI from "openai";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type RunningServer, startServer } from "../../src/server.ts";

/** OpenAI's SDK as it is, for all that can be done with a response that is stored or runs in the background. */

let server: RunningServer;
let client: OpenAI;

beforeEach(async () => {
  server = await startServer({ port: 0, store: "memory:", logLevel: "silent", simRounds: 0, maxLoopDelayMs: 0 });
  client = new OpenAI({ apiKey: "any", baseURL: `${server.url}/v1`, maxRetries: 0 });
});
afterEach(() => server.close());

const ask = { model: "sim", input: "Hello" } as const;

async function eventsOf<T>(stream: AsyncIterable<T>): Promise<readonly T[]> {
  const events: T[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

describe("a stored response", () => {
  test("is retrieved, listed and deleted", async () => {
    const made = await client.responses.create({ ...ask, metadata: { a: "1" } });
    const { _request_id, ...found } = await client.responses.retrieve(made.id, {
      include: ["reasoning.encrypted_content"],
    });
    expect(_request_id).toMatch(/^req_/);
    expect(found).toEqual({ ...made, _request_id: undefined });
    await client.responses.delete(made.id);
    await expect(client.responses.retrieve(made.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(client.responses.delete(made.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(client.responses.inputItems.list(made.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  test("has its input items read page by page, without the caller knowing", async () => {
    const input = Array.from({ length: 7 }, (_, index) => ({ role: "user" as const, content: `${index}` }));
    const { id } = await client.responses.create({ model: "sim", input });
    const read = async (order: "asc" | "desc") => {
      const items = await eventsOf(client.responses.inputItems.list(id, { order, limit: 3 }));
      return items.map((item) =>
        item.type === "message" && "content" in item ? JSON.stringify(item.content[0]) : item.type,
      );
    };
    const texts = input.map(({ content }) => JSON.stringify({ type: "input_text", text: content }));
    expect(await read("asc")).toEqual(texts);
    expect(await read("desc")).toEqual(texts.toReversed());
  });

  test("streams its events again, from any of them on", async () => {
    const events = await eventsOf(await client.responses.create({ ...ask, stream: true }));
    const [first] = events;
    const id = first?.type === "response.created" ? first.response.id : "";
    expect(await eventsOf(await client.responses.retrieve(id, { stream: true }))).toEqual(events);
    expect(await eventsOf(await client.responses.retrieve(id, { stream: true, starting_after: 3 }))).toEqual(
      events.slice(4),
    );
    const helper = client.responses.stream({ response_id: id });
    expect((await helper.finalResponse()).output_text).toContain("1 item");
  });
});

describe("a background response", () => {
  test("is polled until it is done", async () => {
    let response = await client.responses.create({ ...ask, background: true });
    expect(response).toMatchObject({ status: "queued", background: true });
    while (response.status === "queued" || response.status === "in_progress") {
      response = await client.responses.retrieve(response.id);
    }
    expect(response.status).toBe("completed");
    expect((await client.responses.cancel(response.id)).status).toBe("completed");
  });

  test("is taken up again by whoever lost its stream, as the SDK's helper reads it", async () => {
    const stream = await client.responses.create({ ...ask, background: true, stream: true });
    let id = "";
    let last = -1;
    for await (const event of stream) {
      if (event.type === "response.created") ({ id } = event.response);
      last = event.sequence_number;
      if (last === 4) break;
    }
    const rest = await eventsOf(await client.responses.retrieve(id, { stream: true, starting_after: last }));
    expect(rest.map((event) => event.sequence_number)).toEqual(rest.map((_, index) => last + 1 + index));
    expect(rest.at(-1)?.type).toBe("response.completed");
    expect((await client.responses.stream({ response_id: id }).finalResponse()).status).toBe("completed");
  });

  test("and nothing else is cancelled", async () => {
    const { id } = await client.responses.create(ask);
    await expect(client.responses.cancel(id)).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(client.responses.cancel("resp_unknown")).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });
});

test("a request with an idempotency key makes one response, and another request with it is refused", async () => {
  const options = { headers: { "Idempotency-Key": "k" } };
  const first = await client.responses.create(ask, options);
  expect((await client.responses.create(ask, options)).id).toBe(first.id);
  await expect(client.responses.create({ ...ask, input: "Else" }, options)).rejects.toBeInstanceOf(
    OpenAI.UnprocessableEntityError,
  );
});
