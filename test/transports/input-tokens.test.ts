import { describe, expect, test } from "vitest";
import { answer } from "../../src/testing/index.ts";
import { MODEL, startServer } from "../support/server.ts";

const PATH = "/v1/responses/input_tokens";

describe("input tokens", () => {
  test("are counted for the chain and the input, and nothing is generated", async () => {
    const server = await startServer({ steps: [answer("one")] });
    const http = server.http();
    const first = (await http.create({ input: "a" })).json;
    const count = async (fields: object) => http.post(PATH, { model: MODEL, ...fields });
    expect((await count({ input: "b" })).json).toEqual({ object: "response.input_tokens", input_tokens: 1 });
    // The user's words, the answer, and the new words.
    expect((await count({ previous_response_id: first.id, input: "b" })).json).toMatchObject({ input_tokens: 3 });
    expect((await count({})).json).toMatchObject({ input_tokens: 0 });
    expect(server.backend.calls).toHaveLength(1);
  });

  test("of an item that is only referred to are those of the item", async () => {
    const server = await startServer({ steps: [answer("one")] });
    const http = server.http();
    const { output } = (await http.create({ input: "a" })).json as { output: readonly { id: string }[] };
    const count = async (items: readonly object[]) =>
      (await http.post(PATH, { model: MODEL, input: [...items, { role: "user", content: "b" }] })).json;
    expect(await count(output.map(({ id }) => ({ type: "item_reference", id })))).toEqual(await count(output));
  });

  test.each([
    [{ model: MODEL, input: [{ type: "item_reference", id: "msg_nobody" }] }, 404, null],
    [{ model: MODEL, previous_response_id: "resp_nobody" }, 400, "previous_response_not_found"],
    [{ model: "nobody's" }, 400, "model_not_found"],
    [[], 400, "invalid_type"],
  ])("of what is not there are refused: %j", async (body, status, code) => {
    const server = await startServer();
    const answered = await server.http().post(PATH, body);
    expect([answered.status, answered.json.error?.code]).toEqual([status, code]);
  });

  test("of another tenant's response are as unknown as those of none", async () => {
    const keys = [
      { tenant: "a", key: "key-a" },
      { tenant: "b", key: "key-b" },
    ];
    const server = await startServer({ keys, steps: [answer("one")] });
    const made = await server.http("key-a").create({ input: "a" });
    const body = { model: MODEL, previous_response_id: made.json.id };
    expect((await server.http("key-b").post(PATH, body)).status).toBe(400);
    expect((await server.http("key-a").post(PATH, body)).status).toBe(200);
  });
});
