import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { CLIENT_EVENT, IGNORED_CLIENT_EVENTS } from "../src/protocol/table.ts";
import { type RunningServer, startServer } from "../src/server.ts";
import { HttpClient } from "./support/http-client.ts";
import { routesOf } from "./support/routes.ts";
import { type Frame, WsClient } from "./support/ws-client.ts";

/**
 * What belongs to one tenant does not exist for another, over the whole surface: each row asks for something of the owner's
 * as a stranger and for the same of nobody's, and must not be able to tell the answers apart. As the owner it must get
 * another answer, or the row would prove nothing. A route or a client event without a row fails the last tests.
 */

const KEYS = { owner: "the-key-of-the-owner", stranger: "the-key-of-the-stranger" } as const;
const BASES = ["/v1/responses", "/responses", "/v1/codex/responses"] as const;

let server: RunningServer;
let routes: readonly string[];

beforeAll(async () => {
  routes = await routesOf(async () => {
    server = await startServer({
      port: 0,
      store: "memory:",
      logLevel: "silent",
      simDelayMs: 20,
      apiKeys: Object.entries(KEYS).map(([tenant, key]) => ({ tenant, key })),
    });
  });
});
afterAll(() => server.close());

/** Things of one tenant, or of nobody, by their ids. */
type Things = {
  readonly response: string;
  readonly item: string;
  /** The encrypted content of a compaction. */
  readonly compaction: string;
  readonly conversation: string;
  readonly conversationItem: string;
};

const http = (key: string): HttpClient => new HttpClient(server.url, key);

async function post(key: string, path: string, fields: object) {
  const body = JSON.stringify({ model: "sim", ...fields });
  return http(key).call(path, { method: "POST", headers: { "content-type": "application/json" }, body });
}

type Made = {
  readonly id: string;
  readonly data?: readonly { readonly id: string }[];
  readonly output: readonly { readonly type: string; readonly id: string; readonly encrypted_content?: string }[];
};

async function makeThings(key: string): Promise<Things> {
  const make = async (path: string, fields: object): Promise<Made> => {
    const { status, text } = await post(key, path, fields);
    expect([path, status]).toEqual([path, 200]);
    return JSON.parse(text) as Made;
  };
  const kept = await make("/v1/responses", { input: "mine", background: true });
  const spoken = await make("/v1/responses", { input: "mine" });
  const compacted = await make("/v1/responses/compact", { input: "mine" });
  const compaction = compacted.output.find(({ type }) => type === "compaction")?.encrypted_content ?? "";
  const things = { response: kept.id, item: spoken.output.at(-1)?.id ?? "", compaction };
  expect(Object.values(things)).not.toContain("");
  await ended(key, things.response);
  const { id: conversation } = await make("/v1/conversations", { model: undefined });
  const items = [{ type: "message", role: "user", content: "mine" }];
  const added = await make(`/v1/conversations/${conversation}/items`, { model: undefined, items });
  return { ...things, conversation, conversationItem: added.data?.[0]?.id ?? "" };
}

/** Resolves when a response runs no more. */
async function ended(key: string, id: string): Promise<void> {
  for (;;) {
    const { json } = await http(key).call(`/v1/responses/${id}`);
    if (["completed", "failed", "cancelled"].includes(json.status)) return;
  }
}

function other(id: string): string {
  return id.replace(/^([a-z]+_)(.{6})/, (_id, prefix: string) => `${prefix}000000`);
}

/** Ids as the server makes them, of things that are not there. */
function nobodys(things: Things): Things {
  const middle = Math.floor(things.compaction.length / 2);
  const flipped = things.compaction[middle] === "A" ? "B" : "A";
  return {
    response: other(things.response),
    item: other(things.item),
    compaction: things.compaction.slice(0, middle) + flipped + things.compaction.slice(middle + 1),
    conversation: other(things.conversation),
    conversationItem: other(things.conversationItem),
  };
}

/** An answer, its status first. */
type Answer = { readonly status: number | undefined; readonly text: string };

type Row = {
  readonly name: string;
  /** The routes, and the client events, that it is about. */
  readonly covers: readonly string[];
  readonly status: 400 | 404;
  readonly ask: (key: string, things: Things) => Promise<Answer>;
};

/** The ways to name something in a request for a turn, and what the refusal is. */
const NAMINGS: readonly {
  readonly name: string;
  readonly status: 400 | 404;
  readonly fields: (things: Things) => object;
}[] = [
  {
    name: "previous_response_id",
    status: 400,
    fields: ({ response }) => ({ previous_response_id: response, input: "x" }),
  },
  {
    name: "an item_reference",
    status: 404,
    fields: ({ item }) => ({
      input: [
        { type: "item_reference", id: item },
        { role: "user", content: "x" },
      ],
    }),
  },
  {
    name: "a compaction item",
    status: 400,
    fields: ({ compaction }) => ({
      input: [
        { type: "compaction", encrypted_content: compaction },
        { role: "user", content: "x" },
      ],
    }),
  },
  {
    name: "conversation",
    status: 404,
    fields: ({ conversation }) => ({ conversation, input: "x" }),
  },
];

const turns: readonly Row[] = NAMINGS.flatMap(({ name, status, fields }) => [
  ...BASES.flatMap((base): Row[] => [
    {
      name: `${name}, as JSON, at ${base}`,
      covers: [`POST ${base}`],
      status,
      ask: (key, things) => post(key, base, fields(things)),
    },
    {
      name: `${name}, as SSE, at ${base}`,
      covers: [],
      status,
      ask: (key, things) => post(key, base, { ...fields(things), stream: true }),
    },
    {
      name: `${name}, in the background, at ${base}`,
      covers: [],
      status,
      ask: (key, things) => post(key, base, { ...fields(things), background: true }),
    },
    {
      name: `${name}, counted, at ${base}`,
      covers: [`POST ${base}/input_tokens`],
      status,
      ask: (key, things) => post(key, `${base}/input_tokens`, fields(things)),
    },
    // A conversation is compacted by its own turns: it cannot be named there at all.
    ...(name === "conversation"
      ? []
      : [
          {
            name: `${name}, compacted, at ${base}`,
            covers: [`POST ${base}/compact`],
            status,
            ask: (key: string, things: Things) => post(key, `${base}/compact`, fields(things)),
          },
        ]),
  ]),
  {
    name: `${name}, over WebSocket`,
    covers: [CLIENT_EVENT.create],
    status,
    ask: async (key, things) => frameOf(await (await connect(key)).turn({ model: "sim", ...fields(things) })),
  },
  {
    name: `${name}, as a fork on a lane`,
    covers: [],
    status,
    ask: async (key, things) => {
      const client = await connect(key);
      await client.turn({ model: "sim", input: "x", store: false, stream_id: "one" });
      return frameOf(await client.turn({ model: "sim", ...fields(things), stream_id: "two" }));
    },
  },
  {
    name: `${name}, warmed up over WebSocket`,
    covers: [],
    status,
    ask: async (key, things) =>
      frameOf(await (await connect(key)).turn({ model: "sim", ...fields(things), generate: false })),
  },
]);

async function connect(key: string): Promise<WsClient> {
  const client = await WsClient.open(`${server.url.replace("http", "ws")}/v1/responses`, { key });
  onTestFinished(() => client.socket.terminate());
  return client;
}

function frameOf({ last }: { readonly last: Frame }): Answer {
  return { status: last.status, text: JSON.stringify(last) };
}

type Method = "GET" | "POST" | "DELETE";

/** A thing that is named by its path; `:response` and the like stand for ids. */
function path(method: Method, template: string, { query = "", fields }: { query?: string; fields?: object } = {}): Row {
  const route = template.replace(/:(response|conversation)\b/, ":id").replace(":conversationItem", ":item");
  return {
    name: `${method} ${template}${query}`,
    covers: [`${method} ${route}`],
    status: 404,
    ask: (key, things) => {
      const url = template.replace(/:(\w+)/g, (_match, name: keyof Things) => things[name]) + query;
      if (fields === undefined) return http(key).call(url, { method });
      return post(key, url, { ...fields, model: undefined });
    },
  };
}

const items = [{ type: "message", role: "user", content: "x" }];
const stored: readonly Row[] = [
  ...BASES.flatMap((base) => [
    path("GET", `${base}/:response`),
    path("GET", `${base}/:response`, { query: "?stream=true" }),
    path("GET", `${base}/:response`, { query: "?stream=true&starting_after=1" }),
    path("GET", `${base}/:response/input_items`),
    path("POST", `${base}/:response/cancel`, { fields: {} }),
    path("DELETE", `${base}/:response`),
  ]),
  path("GET", "/v1/conversations/:conversation"),
  path("POST", "/v1/conversations/:conversation", { fields: { metadata: { a: "b" } } }),
  path("GET", "/v1/conversations/:conversation/items"),
  path("POST", "/v1/conversations/:conversation/items", { fields: { items } }),
  path("GET", "/v1/conversations/:conversation/items/:conversationItem"),
  path("DELETE", "/v1/conversations/:conversation/items/:conversationItem"),
  path("DELETE", "/v1/conversations/:conversation"),
];

/** Routes under which nothing of a tenant's is named. */
const NAMELESS = [
  "GET /",
  "GET /healthz",
  "GET /health",
  "GET /readyz",
  "GET /v1/models",
  "GET /v1/models/*",
  "POST /v1/conversations",
  "POST /v1/chat/completions",
  "POST /v1/messages",
] as const;

/** An answer without the ids that were asked for. */
function anonymous({ status, text }: Answer, ids: Things): string {
  const rest = Object.values(ids).reduce((left, id) => left.replaceAll(id, "…"), text);
  return `${status} ${rest}`;
}

describe("for another tenant, as for nobody's", () => {
  test.each([...turns, ...stored])("$name", async ({ status, ask }) => {
    const things = await makeThings(KEYS.owner);
    const missing = nobodys(things);
    const theirs = await ask(KEYS.stranger, things);
    expect(theirs.status).toBe(status);
    expect(anonymous(theirs, things)).toBe(anonymous(await ask(KEYS.stranger, missing), missing));
    const own = await ask(KEYS.owner, things);
    expect(anonymous(own, things)).not.toBe(anonymous(theirs, things));
    expect(own.status ?? 200).toBe(200);
  });
});

describe("for another tenant, a response that runs", () => {
  /** The answer to each event is told from the one for a response of nobody's. */
  test.each([
    [CLIENT_EVENT.steer, (id: string) => ({ previous_response_id: id, input: "Turn left." })],
    [CLIENT_EVENT.interrupt, (id: string) => ({ response_id: id })],
    [CLIENT_EVENT.inject, (id: string) => ({ response_id: id, input: [] })],
    [CLIENT_EVENT.cancel, (id: string) => ({ response_id: id })],
  ] as const)("cannot be reached by %s", async (type, fieldsOf) => {
    const owner = await connect(KEYS.owner);
    owner.create({ model: "sim", input: "mine" });
    const { response } = await owner.frame();
    const stranger = await connect(KEYS.stranger);
    const said: string[] = [];
    for (const id of [response?.id ?? "", "resp_00000000000000000000000000000000"]) {
      stranger.send({ type, ...fieldsOf(id) });
      // What is answered at all is answered before a message that is wrong.
      stranger.send("{}");
      let frame = await stranger.frame();
      for (; frame.error?.code !== "missing_required_parameter"; frame = await stranger.frame()) {
        said.push(JSON.stringify(frame).replaceAll(id, "…"));
      }
    }
    expect(said).toEqual(said.length === 0 ? [] : [said[0], said[0]]);
    expect((await owner.rest()).last.type).toBe("response.completed");
  });
});

test("an idempotency key of another tenant is another key", async () => {
  const headers = { "content-type": "application/json", "idempotency-key": "same" };
  const ask = async (key: string): Promise<string> => {
    const body = JSON.stringify({ model: "sim", input: "mine" });
    const { status, json } = await http(key).call("/v1/responses", { method: "POST", headers, body });
    expect(status).toBe(200);
    return json.id;
  };
  const id = await ask(KEYS.owner);
  expect(await ask(KEYS.stranger)).not.toBe(id);
  expect(await ask(KEYS.owner)).toBe(id);
});

test("no route is without a row", () => {
  const covered = new Set([...turns, ...stored].flatMap(({ covers }) => covers));
  const named = routes.filter((route) => !(NAMELESS as readonly string[]).includes(route));
  expect(named.filter((route) => !covered.has(route))).toEqual([]);
  expect(named).toContain("POST /v1/responses");
});

test("no client event is without a row", () => {
  const covered = [
    CLIENT_EVENT.create,
    CLIENT_EVENT.steer,
    CLIENT_EVENT.inject,
    CLIENT_EVENT.interrupt,
    CLIENT_EVENT.cancel,
  ];
  expect([...covered, ...IGNORED_CLIENT_EVENTS].toSorted()).toEqual(Object.values(CLIENT_EVENT).toSorted());
});
