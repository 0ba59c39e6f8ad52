import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { Writable } from "node:stream";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { createLog } from "../../src/observe.ts";
import { startServer } from "../../src/server.ts";
import { ChatUpstream, type UpstreamStep } from "../support/chat-upstream.ts";

/** Words of clients, in every place that takes words, against model servers that quote them in their errors. */

/** A word that stands nowhere else. */
function canary(place: string): string {
  const letters = [...randomBytes(14)].map((byte) => String.fromCharCode(97 + (byte % 26))).join("");
  return `${place}-${letters}`;
}

class Canaries {
  readonly words: string[] = [];

  at(place: string): string {
    const word = canary(place);
    this.words.push(word.slice(place.length + 1));
    return word;
  }
}

/** A request with a canary wherever a client may put text. */
function request(canaries: Canaries): { readonly [field: string]: unknown } {
  const at = (place: string): string => canaries.at(place);
  const callId = at("call_id");
  const name = at("tool").replaceAll("-", "_");
  return {
    model: "m",
    instructions: `Be ${at("instructions")}.`,
    input: [
      { role: "system", content: at("system") },
      { role: "user", content: [{ type: "input_text", text: `Say "${at("input")}"\n\t\\ ü日本 <b>&` }] },
      { role: "user", content: at("content"), [at("item-key")]: at("item-value") },
      { type: "reasoning", id: at("rs"), summary: [{ type: "summary_text", text: at("summary") }] },
      { type: "message", role: "assistant", id: at("msg"), content: [{ type: "output_text", text: at("assistant") }] },
      { type: "function_call", call_id: callId, name, arguments: JSON.stringify({ [at("argument")]: at("value") }) },
      { type: "function_call_output", call_id: callId, output: at("output") },
      { type: at("item-type"), text: at("unknown-item") },
    ],
    tools: [
      {
        type: "function",
        name,
        description: at("description"),
        parameters: { type: "object", properties: { [at("property")]: { type: "string", enum: [at("enum")] } } },
      },
      { type: at("tool-type"), [at("tool-key")]: at("tool-value") },
    ],
    text: { format: { type: "json_schema", name: "n", schema: { type: "object", title: at("schema") } } },
    metadata: { [at("metadata-key")]: at("metadata-value") },
    client_metadata: { [at("client-key")]: at("client-value") },
    user: at("user"),
    safety_identifier: at("safety"),
    prompt_cache_key: at("cache-key"),
    stop: [at("stop")],
    chat_template_kwargs: { [at("kwarg").replaceAll("-", "_")]: at("kwarg-value") },
    priority: at("priority"),
    [at("field")]: at("field-value"),
  };
}

type Quote = (text: string) => string;

const escapeUnicode: Quote = (text) =>
  text.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** How servers write what they quote. */
const QUOTES: readonly Quote[] = [
  (text) => text,
  (text) => JSON.stringify(text),
  (text) => escapeUnicode(JSON.stringify(text)),
  (text) => text.replaceAll('"', "'"),
  (text) => encodeURIComponent(text),
  (text) => text.slice(0, 300),
  (text) => text.slice(200, 900),
  (text) => `…${text.slice(-700)}`,
];

const SHAPES: readonly ((said: string) => object | string)[] = [
  (said) => ({ error: { message: `Invalid request: ${said}`, type: "BadRequestError", code: 400 } }),
  (said) => ({ error: { message: "no", type: said, code: said, param: said } }),
  (said) => ({ detail: [{ loc: ["body", said], msg: `bad ${said}`, input: said }] }),
  (said) => ({ error: said }),
  (said) => `<html><body><pre>Traceback: ${said}</pre></body></html>`,
  (said) => `{"error": "${said}`,
];

const STATUSES = [400, 401, 404, 422, 429, 500, 503];

function refusing(status: number, shape: (said: string) => object | string, quote: Quote): UpstreamStep {
  return (response, call) => {
    const said = shape(quote(call.raw));
    response.writeHead(status, { "content-type": "application/json" });
    response.end(typeof said === "string" ? said : JSON.stringify(said));
  };
}

/** Says a part of its answer, with a canary of the model's own, and then quotes what there is. */
function breaking(spoken: string, quote: Quote, kind: "error" | "junk" | "cut"): UpstreamStep {
  return (response, call) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const piece of spoken.match(/.{1,3}/g) ?? []) {
      response.write(`data: ${JSON.stringify({ choices: [{ delta: { content: piece } }] })}\n\n`);
    }
    if (kind === "cut") {
      response.destroy();
      return;
    }
    const said = `${quote(spoken)} of ${quote(call.raw)}`;
    response.end(
      kind === "junk" ? `data: {"x": ${said}\n\n` : `data: ${JSON.stringify({ error: { message: said } })}\n\n`,
    );
  };
}

async function start(pretty: boolean, backendRetries = 0) {
  let text = "";
  const destination = new Writable({
    decodeStrings: false,
    write: (line: string, _encoding, done) => {
      text += line;
      done();
    },
  });
  const log = createLog({ level: "trace", pretty, destination });
  const upstream = await ChatUpstream.start();
  onTestFinished(() => upstream.close());
  const server = await startServer(
    { port: 0, store: "memory:", backend: upstream.url, backendRetries, maxLoopDelayMs: 0 },
    { log },
  );
  onTestFinished(() => server.close());
  const post = async (body: string, path = "/v1/responses", headers: Record<string, string> = {}): Promise<string> => {
    const options = { method: "POST", headers: { "content-type": "application/json", ...headers }, body };
    return (await fetch(server.url + path, options)).text();
  };
  return { upstream, server, post, text: () => text };
}

/** No piece of a canary that is longer than a syllable. */
function expectNone({ words }: Canaries, text: string): void {
  expect(words.filter((word) => text.toLowerCase().includes(word.slice(2, 10)))).toEqual([]);
}

describe.each([false, true])("no words of clients or of the model are in the log (at a terminal: %s)", (pretty) => {
  test.each(STATUSES)(
    "when the model server answers %i and quotes the request",
    async (status) => {
      const { upstream, post, text } = await start(pretty);
      const canaries = new Canaries();
      for (const shape of SHAPES) {
        for (const quote of QUOTES) {
          upstream.otherwise(refusing(status, shape, quote));
          await post(JSON.stringify({ ...request(canaries), store: canaries.words.length % 2 === 0 }));
        }
      }
      expectNone(canaries, text());
      expect(text()).toContain(`the model server answered ${status}`);
      expect(text()).toContain("Invalid request: ");
    },
    60_000,
  );

  test("when it is asked again", async () => {
    const { upstream, post, text } = await start(pretty, 1);
    const canaries = new Canaries();
    upstream.otherwise(
      refusing(
        503,
        (said) => ({ error: { message: `Busy: ${said}` } }),
        (said) => said,
      ),
    );
    await post(JSON.stringify(request(canaries)));
    expectNone(canaries, text());
    expect(text()).toContain("trying the model server again");
  });

  test.each(["error", "junk", "cut"] as const)(
    "when it breaks off its answer: %s",
    async (kind) => {
      const { upstream, post, text } = await start(pretty);
      const canaries = new Canaries();
      for (const quote of QUOTES) {
        const spoken = `I say ${canaries.at("answer")} and more`;
        upstream.otherwise(breaking(spoken, quote, kind));
        await post(JSON.stringify({ ...request(canaries), stream: true }));
      }
      expectNone(canaries, text());
      expect(text()).toContain("server_error");
    },
    60_000,
  );

  test("when it answers with something else than a stream", async () => {
    const { upstream, post, text } = await start(pretty);
    const canaries = new Canaries();
    for (const type of ["application/json", `text/${canaries.at("media").replaceAll("-", "")}; x`]) {
      const spoken = canaries.at("answer");
      upstream.otherwise((response) => {
        response.writeHead(200, { "content-type": type.startsWith("text/") ? "text/html" : type });
        response.end(JSON.stringify({ choices: [{ message: { content: spoken } }] }));
      });
      await post(JSON.stringify(request(canaries)));
    }
    expectNone(canaries, text());
  });

  test("when requests are refused, are no JSON, or name what is not there", async () => {
    const { upstream, server, post, text } = await start(pretty);
    const canaries = new Canaries();
    upstream.otherwise((response) => void response.writeHead(500).end("no"));
    const at = (place: string): string => canaries.at(place);
    for (const body of [
      `{"model": "m", "input": "${at("cut")}`,
      `{"${at("key")}"}`,
      at("text"),
      JSON.stringify({ model: "m", input: { [at("wrong")]: 1 } }),
      JSON.stringify({ model: "m", input: "x", previous_response_id: `resp_${at("previous")}` }),
      JSON.stringify({ model: "m", input: "x", conversation: `conv_${at("conversation")}` }),
      JSON.stringify({ model: "m", input: [{ type: "item_reference", id: `msg_${at("reference")}` }] }),
      JSON.stringify({ model: "m", input: [{ type: "compaction", encrypted_content: at("sealed") }] }),
      JSON.stringify({ model: "m", input: [{ type: "function_call_output", call_id: at("orphan"), output: "x" }] }),
      JSON.stringify({ model: "m", input: "x", tool_choice: { type: "function", name: at("choice") } }),
      JSON.stringify({ model: "m", input: "x", truncation: at("enum") }),
    ]) {
      await post(body);
      await post(body, "/v1/conversations");
      await post(body, "/v1/responses/input_tokens", { "idempotency-key": at("idempotency") });
      const socket = new WebSocket(`${server.url.replace("http", "ws")}/v1/responses`);
      await new Promise((resolve) => socket.once("open", resolve));
      socket.send(body);
      await new Promise((resolve) => socket.once("message", resolve));
      socket.terminate();
    }
    await fetch(`${server.url}/v1/responses/${at("path")}?${at("query")}=1`);
    await fetch(`${server.url}/${at("route")}`, {
      headers: { "user-agent": at("agent"), authorization: `Bearer ${at("bearer")}` },
    });
    await server.close();
    expectNone(canaries, text());
  });
});

test("a client that drops its upload is no error", async () => {
  const { server, text } = await start(false);
  for (const encoding of ["", "content-encoding: gzip\r\n"]) {
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    const head = `POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${encoding}`;
    await new Promise<void>((resolve) => {
      socket.write(`${head}content-length: 100000\r\n\r\n{"model"`, () => resolve());
    });
    // An answer to another request means that the server has read what came before.
    await fetch(`${server.url}/healthz`);
    socket.destroy();
    await fetch(`${server.url}/healthz`);
  }
  await server.close();
  expect(text()).not.toContain('"level":"error"');
  expect(text()).not.toContain("stack");
});
