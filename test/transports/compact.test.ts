import { describe, expect, test } from "vitest";
import { answer, callFunctions, Gate, finish } from "../../src/testing/index.ts";
import { MODEL, startServer, until } from "../support/server.ts";

const PATH = "/v1/responses/compact";
const KEYS = [
  { tenant: "a", key: "key-a" },
  { tenant: "b", key: "key-b" },
];
const user = (text: string) => ({ type: "message", role: "user", content: [{ type: "input_text", text }] });

type Compacted = {
  readonly id: string;
  readonly output: readonly { readonly type: string; readonly [field: string]: unknown }[];
};

describe("POST /v1/responses/compact", () => {
  test("answers with the user's words and one compaction item, which begin the next chain", async () => {
    const server = await startServer({ steps: [answer("All of it."), answer("ok")] });
    const input = [user("one"), { role: "assistant", content: "two" }, user("three")];
    const { status, json } = await server.http().post(PATH, { model: MODEL, input });
    const { id, output, ...rest } = json as unknown as Compacted;
    expect(status).toBe(200);
    expect(rest).toEqual({
      object: "response.compaction",
      created_at: 1_800_000_000,
      usage: expect.objectContaining({ input_tokens: 3, output_tokens: 2, total_tokens: 5 }),
    });
    expect(output).toEqual([
      { ...user("one"), id: expect.stringMatching(/^msg_/), status: "completed" },
      { ...user("three"), id: expect.stringMatching(/^msg_/), status: "completed" },
      { type: "compaction", id: expect.stringMatching(/^cmp_/), encrypted_content: expect.any(String) },
    ]);

    const socket = await server.connect();
    await socket.turn({ input: [...output, user("four")], store: false });
    const [, next] = server.backend.calls;
    expect(next?.context.map(({ role }) => role)).toEqual(["user", "user", "user", "user"]);
    expect(JSON.stringify(next?.context[2])).toContain("All of it.");
    // It is not a response.
    expect((await server.http().create({ previous_response_id: id, input: "x" })).json.error?.code).toBe(
      "previous_response_not_found",
    );
  });

  test("of a stored chain, with what is new", async () => {
    const server = await startServer({ steps: [answer("a1"), answer("s")] });
    const { id } = (await server.http().create({ input: "one" })).json;
    const asked = { model: MODEL, previous_response_id: id, input: "two", instructions: "Be brief." };
    const { json } = await server.http().post(PATH, asked);
    const { output } = json as unknown as Compacted;
    expect(output.map(({ type }) => type)).toEqual(["message", "message", "compaction"]);
    expect(server.backend.calls[1]?.context).toHaveLength(4);
    expect(server.backend.calls[1]?.settings.instructions).toBe("Be brief.");
  });

  test.each([
    [{ input: "a" }, 400, "missing_required_parameter"],
    [{ model: MODEL }, 400, "missing_required_parameter"],
    [{ model: MODEL, input: [] }, 400, "invalid_value"],
    [{ model: MODEL, conversation: "conv_nobody" }, 404, "not_found"],
    [{ model: "nobody's", input: "a" }, 400, "model_not_found"],
    [{ model: MODEL, previous_response_id: "resp_nobody" }, 400, "previous_response_not_found"],
    [{ model: MODEL, input: [{ type: "compaction", encrypted_content: "forged" }] }, 400, "invalid_value"],
    [{ model: MODEL, input: [{ type: "compaction" }] }, 400, "missing_required_parameter"],
  ])("of %j is %i", async (body, status, code) => {
    const server = await startServer();
    const answered = await server.http().post(PATH, body);
    expect([answered.status, answered.json.error?.code]).toEqual([status, code]);
  });

  test("of a conversation reads it, and adds nothing to it", async () => {
    const server = await startServer({ steps: [answer("a1"), answer("All of it.")] });
    const { id } = (await server.http().post("/v1/conversations", {})).json;
    await server.http().create({ conversation: id, input: "one" });
    const { json } = await server.http().post(PATH, { model: MODEL, conversation: id });
    const { output } = json as unknown as Compacted;
    expect(output.map(({ type }) => type)).toEqual(["message", "compaction"]);
    const listed = await server.http().call(`/v1/conversations/${id}/items`);
    expect((JSON.parse(listed.text) as { readonly data: readonly unknown[] }).data).toHaveLength(2);
  });

  test("that the model fails is an error, and of one that calls tools instead, also when it is asked without any, as well", async () => {
    const call = callFunctions({ callId: "c", name: "f" });
    const server = await startServer({ steps: [[new Error("no")], call, call] });
    for (let index = 0; index < 2; index += 1) {
      const { status, json } = await server.http().post(PATH, { model: MODEL, input: "a" });
      expect([status, json.error?.code]).toEqual([500, "server_error"]);
    }
  });

  test("of a client that leaves aborts the model, and leaves nothing behind", async () => {
    const gate = new Gate();
    const server = await startServer({ steps: [[gate, finish()]] });
    const leaving = new AbortController();
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ model: MODEL, input: "a" });
    const call = server.http().call(PATH, { method: "POST", headers, body, signal: leaving.signal });
    await gate.reached;
    leaving.abort();
    await expect(call).rejects.toMatchObject({ name: "AbortError" });
    expect(await server.backend.calls[0]?.ended).toBe("aborted");
    await until(() => server.engine.openSessions === 0);
  });

  test("gives one tenant what no other can use, on any transport, and shows no word of it", async () => {
    const server = await startServer({ keys: KEYS, steps: [answer("The secret summary."), answer("ok")] });
    const { json, text } = await server.http("key-a").post(PATH, { model: MODEL, input: "a" });
    // The seal of the tests hides nothing; that of the server is tried elsewhere.
    expect(text).toContain("encrypted_content");
    const { output } = json as unknown as Compacted;
    const input = [...output, user("b")];
    const refusal = { code: "invalid_value", param: "input[1].encrypted_content" };
    for (const path of ["", "/input_tokens", "/compact"]) {
      const answered = await server.http("key-b").post(`/v1/responses${path}`, { model: MODEL, input });
      expect([path, answered.status, answered.json.error]).toEqual([path, 400, expect.objectContaining(refusal)]);
    }
    const socket = await server.connect({ key: "key-b" });
    expect((await socket.turn({ input })).last.error).toMatchObject(refusal);
    expect((await server.http("key-a").create({ input })).status).toBe(200);
  });
});

describe("input tokens", () => {
  test("of a compaction item are those of what it stands for", async () => {
    const server = await startServer({ steps: [answer("s")] });
    const { json } = await server.http().post(PATH, { model: MODEL, input: "a" });
    const { output } = json as unknown as Compacted;
    const counted = await server.http().post("/v1/responses/input_tokens", { model: MODEL, input: output });
    expect(counted.json).toMatchObject({ input_tokens: 2 });
  });
});
