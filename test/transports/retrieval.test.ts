import { describe, expect, test } from "vitest";
import { answer, callFunctions, finish } from "../../src/testing/index.ts";
import { startServer, type TestServer } from "../support/server.ts";

const KEYS = [
  { tenant: "acme", key: "key-of-acme" },
  { tenant: "globex", key: "key-of-globex" },
];
const UNKNOWN = "resp_nobody_knows";

const get = (server: TestServer, id: string, rest = "", key?: string) =>
  server.http(key).call(`/v1/responses/${id}${rest}`);
const remove = (server: TestServer, id: string, key?: string) =>
  server.http(key).call(`/v1/responses/${id}`, { method: "DELETE" });
const cancel = (server: TestServer, id: string, key?: string) =>
  server.http(key).call(`/v1/responses/${id}/cancel`, { method: "POST" });

/** A list as the wire has it. */
type List = {
  readonly object: string;
  readonly data: readonly { readonly id: string; readonly type: string; readonly [field: string]: unknown }[];
  readonly first_id: string | null;
  readonly last_id: string | null;
  readonly has_more: boolean;
};

async function items(server: TestServer, id: string, query = ""): Promise<List> {
  const { status, json } = await get(server, id, `/input_items${query}`);
  expect(status).toBe(200);
  return json as unknown as List;
}

const texts = (list: List) => list.data.map(({ content }) => (content as { text: string }[])[0]?.text);

const settings = {
  instructions: "Be kind.",
  tools: [{ type: "function", name: "look" }],
  tool_choice: "auto",
  metadata: { a: "1" },
  temperature: 0.5,
  safety_identifier: "user-7",
  prompt_cache_key: "key",
  truncation: "disabled",
  reasoning: { effort: "low" },
};

describe("GET of a response", () => {
  test("shows it whole, as its terminal event did, however it was made", async () => {
    const server = await startServer({ steps: [answer("one"), answer("two"), answer("three")] });
    const json = (await server.http().create({ input: "a", ...settings })).json;
    const sse = (await server.http().stream({ input: "b", previous_response_id: json.id, ...settings })).frames.at(-1);
    const client = await server.connect();
    const { response } = await client.turn({ input: "c", previous_response_id: sse?.response?.id, ...settings });
    for (const made of [json, sse?.response, response]) {
      const found = await get(server, made?.id ?? "");
      expect(found.status).toBe(200);
      expect(found.json).toEqual(made);
      expect(found.json).toMatchObject({ ...settings, tools: [{ name: "look" }], usage: { total_tokens: 5 } });
    }
  });

  test("works below each path where responses are made, whatever it is asked to include", async () => {
    const server = await startServer({ steps: [answer("one")] });
    const { id } = (await server.http().create({ input: "a" })).json;
    for (const path of ["/v1/responses", "/responses", "/v1/codex/responses"]) {
      const found = await server.http().call(`${path}/${id}?include[]=reasoning.encrypted_content&include[]=x`);
      expect([path, found.status, found.json.id]).toEqual([path, 200, id]);
    }
  });

  test("is not found when it was not stored", async () => {
    const server = await startServer({ steps: [answer("one")] });
    const client = await server.connect();
    const { response } = await client.turn({ input: "a", store: false });
    const answers = [await get(server, response.id), await get(server, UNKNOWN)];
    for (const { status, headers, json } of answers) {
      expect(status).toBe(404);
      expect(headers["x-request-id"]).toMatch(/^req_/);
      expect(json.error).toMatchObject({ type: "invalid_request_error", code: "not_found", param: null });
    }
    expect(answers[1]?.json.error?.message).toBe(`Response with id '${UNKNOWN}' not found.`);
  });
});

describe("the events of a stored response", () => {
  const everything = [
    [{ type: "reasoning.delta", delta: "Hm" }],
    [
      { type: "text.delta", delta: "Hel" },
      { type: "text.delta", delta: "lo" },
    ],
    [
      { type: "call", key: 0, kind: "function", callId: null, name: "look" },
      { type: "call.delta", key: 0, delta: '{"a":1}' },
    ],
    finish("max_output_tokens"),
  ] as const;

  test("are streamed again, byte for byte, from any of them on", async () => {
    const server = await startServer({ steps: [everything] });
    const made = await server.http().stream({ input: "a", ...settings });
    const id = made.frames[0]?.response?.id ?? "";
    const again = await get(server, id, "?stream=true");
    expect(again.headers["content-type"]).toBe("text/event-stream");
    expect(again.text).toBe(made.text);
    const blocks = made.text.split(/(?<=\n\n)/);
    for (const after of [0, 5, made.frames.length - 2, made.frames.length - 1]) {
      const rest = await get(server, id, `?stream=true&starting_after=${after}`);
      expect([after, rest.text]).toEqual([after, blocks.slice(after + 1).join("")]);
    }
  });

  test("of a WebSocket are those that it carried", async () => {
    const server = await startServer({ steps: [everything] });
    const client = await server.connect();
    const { frames, response } = await client.turn({ input: "a", stream_id: "main" });
    const { text } = await get(server, response.id, "?stream=true");
    const events = text.split("\n\n").flatMap((block) => /^data: (\{.*)$/m.exec(block)?.[1] ?? []);
    expect(events.map((event) => ({ ...JSON.parse(event), stream_id: "main" }))).toEqual(frames);
  });

  test("repeat no more of the request than the client hears anyway", async () => {
    const server = await startServer({ steps: [answer("one")] });
    const { id } = (await server.http().create({ input: "a", ...settings })).json;
    const headers = { originator: "codex_exec" };
    const { text } = await server.http().call(`/v1/responses/${id}?stream=true`, { headers });
    expect(text).not.toContain("Be kind.");
    expect(await server.http().call(`/v1/responses/${id}`, { headers })).toMatchObject({
      json: { instructions: "Be kind." },
    });
  });

  test.each([
    ["stream=maybe", "stream"],
    ["stream=true&starting_after=x", "starting_after"],
    ["stream=true&starting_after=", "starting_after"],
    ["stream=true&starting_after=1.5", "starting_after"],
  ])("are not streamed for %s", async (query, param) => {
    const server = await startServer({ steps: [answer("done")] });
    const { id } = (await server.http().create({ input: "a" })).json;
    const { status, json } = await get(server, id, `?${query}`);
    expect([status, json.error?.code, json.error?.param]).toEqual([400, "invalid_value", param]);
  });

  test.each(["after", "before"])("are not found behind a cursor that is none of them: %s", async (param) => {
    const server = await startServer({ steps: [answer("done")] });
    const { id } = (await server.http().create({ input: "a" })).json;
    const { status, json } = await get(server, id, `/input_items?${param}=msg_unknown`);
    expect([status, json.error]).toMatchObject([
      404,
      { code: null, param, message: "No item found with id 'msg_unknown'" },
    ]);
  });

  test("are not found when it was not stored", async () => {
    const server = await startServer();
    const { status, json } = await get(server, UNKNOWN, "?stream=true");
    expect([status, json.error?.code]).toEqual([404, "not_found"]);
  });
});

describe("DELETE of a response", () => {
  test("makes it unknown, for good, and to the connections that are open", async () => {
    const server = await startServer({ steps: [answer("one")] });
    const client = await server.connect();
    const { response } = await client.turn({ input: "a" });
    const deleted = await remove(server, response.id);
    expect([deleted.status, deleted.text]).toEqual([
      200,
      JSON.stringify({ id: response.id, object: "response", deleted: true }),
    ]);
    expect((await get(server, response.id)).status).toBe(404);
    expect((await remove(server, response.id)).status).toBe(404);
    for (const frames of [
      await client.turn({ input: "b", previous_response_id: response.id }),
      await (await server.connect()).turn({ input: "b", previous_response_id: response.id }),
    ]) {
      expect(frames.last.error?.code).toBe("previous_response_not_found");
    }
  });

  test("leaves what continues it as it was", async () => {
    const server = await startServer({ steps: [answer("one"), answer("two"), answer("three")] });
    const client = await server.connect();
    const { response: first } = await client.turn({ input: "a" });
    const { response: second } = await client.turn({ input: "b", previous_response_id: first.id });
    expect((await remove(server, first.id)).status).toBe(200);
    expect((await get(server, second.id)).status).toBe(200);
    expect((await items(server, second.id)).data).toHaveLength(3);
    const third = await server.http().create({ input: "c", previous_response_id: second.id });
    expect(third.status).toBe(200);
    expect(server.backend.calls.at(-1)?.context).toHaveLength(5);
  });

  test("of what nobody knows is 404", async () => {
    const server = await startServer();
    expect((await remove(server, UNKNOWN)).status).toBe(404);
  });
});

describe("the input items of a response", () => {
  test("are the whole of what it was made from, newest first, each with an id and in parts", async () => {
    const server = await startServer({ steps: [callFunctions({ callId: "c1", name: "look" }), answer("done")] });
    const { id: first } = (await server.http().create({ input: "Hi", tools: settings.tools })).json;
    const input = [
      { type: "function_call_output", call_id: "c1", output: "sky" },
      { role: "assistant", content: "I see." },
      { id: "msg_own", role: "user", content: [{ type: "input_text", text: "And?" }], mine: 1 },
      { type: "strange_item", value: [1] },
    ];
    const { id } = (await server.http().create({ input, previous_response_id: first })).json;
    const list = await items(server, id);
    expect(list).toMatchObject({ object: "list", has_more: false });
    expect(list.data.toReversed()).toEqual([
      {
        type: "message",
        id: expect.stringMatching(/^msg_.+i0$/),
        status: "completed",
        role: "user",
        content: [{ type: "input_text", text: "Hi" }],
      },
      expect.objectContaining({ type: "function_call", id: expect.stringMatching(/^fc_.+o0$/), call_id: "c1" }),
      { type: "function_call_output", id: expect.stringMatching(/^fco_.+i0$/), status: "completed", ...input[0] },
      {
        type: "message",
        id: expect.stringMatching(/^msg_.+i1$/),
        status: "completed",
        role: "assistant",
        content: [{ type: "output_text", text: "I see.", annotations: [], logprobs: [] }],
      },
      { type: "message", status: "completed", ...input[2] },
      { id: expect.stringMatching(/^item_.+i3$/), ...input[3] },
    ]);
    expect(list.first_id).toBe(list.data[0]?.id);
    expect(list.last_id).toBe(list.data.at(-1)?.id);
    expect(await items(server, id)).toEqual(list);
  });

  test("come in pages, in either order, and each once", async () => {
    const server = await startServer({ steps: [answer("done")] });
    const input = Array.from({ length: 45 }, (_, index) => ({ role: "user", content: `${index}` }));
    const { id } = (await server.http().create({ input })).json;
    const numbers = Array.from({ length: 45 }, (_, index) => `${index}`);
    for (const [order, expected] of [
      ["asc", numbers],
      ["desc", numbers.toReversed()],
    ] as const) {
      const seen: (string | undefined)[] = [];
      let after = "";
      for (let pages = 1; ; pages++) {
        const list = await items(server, id, `?order=${order}&after=${after}`);
        seen.push(...texts(list));
        after = list.last_id ?? "";
        if (list.has_more) continue;
        expect(pages).toBe(3);
        break;
      }
      expect(seen).toEqual(expected);
    }
    const [first, second] = (await items(server, id, "?order=asc&limit=2")).data;
    expect((await items(server, id, `?order=asc&before=${second?.id}`)).data).toEqual([first]);
    expect(texts(await items(server, id, "?limit=1"))).toEqual(["44"]);
    expect((await items(server, id, "?limit=100")).data).toHaveLength(45);
  });

  test.each([
    ["limit=0", "limit"],
    ["limit=101", "limit"],
    ["limit=1.5", "limit"],
    ["limit=many", "limit"],
    ["order=up", "order"],
  ])("are not listed by a query that says %s", async (query, param) => {
    const server = await startServer({ steps: [answer("done")] });
    const { id } = (await server.http().create({ input: "a" })).json;
    const { status, json } = await get(server, id, `/input_items?${query}`);
    expect([status, json.error?.code, json.error?.param]).toEqual([400, "invalid_value", param]);
  });

  test("are its own where the responses before it are not all stored", async () => {
    const server = await startServer({ steps: [answer("one"), answer("two")] });
    const client = await server.connect();
    const { response: first } = await client.turn({ input: "secret", store: false });
    const { response: second } = await client.turn({ input: "open", previous_response_id: first.id });
    expect(JSON.stringify(await items(server, second.id))).not.toContain("secret");
    expect((await items(server, second.id)).data).toHaveLength(1);
  });
});

test("cancelling what was not made in the background is refused", async () => {
  const server = await startServer({ steps: [answer("one")] });
  const { id } = (await server.http().create({ input: "a" })).json;
  const { status, json } = await cancel(server, id);
  expect([status, json.error?.code]).toEqual([400, "invalid_value"]);
  expect(json.error?.message).toContain("background");
  expect((await cancel(server, UNKNOWN)).status).toBe(404);
});

test("whatever is asked about a response, another tenant's is as unknown as one that never was", async () => {
  const server = await startServer({ steps: [answer("one")], keys: KEYS });
  const { id } = (await server.http("key-of-acme").create({ input: "a" })).json;
  const ask = async (name: string) => {
    const answers = [
      await get(server, name, "", "key-of-globex"),
      await get(server, name, "?stream=true", "key-of-globex"),
      await get(server, name, "/input_items", "key-of-globex"),
      await cancel(server, name, "key-of-globex"),
      await remove(server, name, "key-of-globex"),
    ];
    return answers.map(({ status, text }) => [status, text.replaceAll(name, "…")]);
  };
  const theirs = await ask(id);
  expect(theirs).toEqual(await ask(UNKNOWN));
  expect(theirs.map(([status]) => status)).toEqual([404, 404, 404, 404, 404]);
  expect((await get(server, id, "", "key-of-acme")).status).toBe(200);
  expect((await get(server, id)).status).toBe(401);
});

test("the paths of a response have the methods that they have", async () => {
  const server = await startServer();
  for (const [method, path, allowed] of [
    ["PUT", "", "GET, HEAD, DELETE"],
    ["GET", "/cancel", "POST"],
    ["POST", "/input_items", "GET, HEAD"],
  ] as const) {
    const { status, headers } = await server.http().call(`/v1/responses/${UNKNOWN}${path}`, { method });
    expect([path, status, headers["allow"]]).toEqual([path, 405, allowed]);
  }
});
