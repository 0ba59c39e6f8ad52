import { setImmediate } from "node:timers/promises";
import type { RunningServer } from "../../src/server.ts";
import { answer, block, type ChatUpstream, delta, refuse, text, type UpstreamStep } from "./chat-upstream.ts";
import { HttpClient } from "./http-client.ts";
import { type Frame, WsClient } from "./ws-client.ts";

/** Turns of every kind that the server has, and the events of each as a client gets them: for validators of any language. */

type Place = { readonly upstream: ChatUpstream; readonly http: HttpClient; readonly open: () => Promise<WsClient> };
type Transport = "http" | "websocket";
type Kind = {
  readonly transport: Transport;
  readonly script: readonly UpstreamStep[];
  readonly run: (place: Place) => Promise<readonly Frame[]>;
};

const fn = (name: string) => ({
  type: "function",
  name,
  description: "Reads.",
  strict: true,
  parameters: { type: "object", properties: { path: { type: "string" } }, required: ["path"] },
});
const call = (name: string, value: object, index = 0): object =>
  delta({
    tool_calls: [
      { index, id: `call_${index}`, type: "function", function: { name, arguments: JSON.stringify(value) } },
    ],
  });
const calls = (...pieces: readonly object[]): UpstreamStep => answer(...pieces, delta({}, "tool_calls"));

const token = { token: "Hi", logprob: -0.5, bytes: [72, 105] };
const logprobs = { content: [{ ...token, top_logprobs: [token, { token: "Ho", logprob: -1, bytes: [72, 111] }] }] };
const citation = {
  type: "url_citation",
  url_citation: { url: "https://example.com/a", title: "A", start_index: 0, end_index: 2 },
};

/** One turn over HTTP, as a stream. */
const streamed = (request: object, ...script: readonly UpstreamStep[]): Kind => ({
  transport: "http",
  script,
  run: async ({ http }) => (await http.stream({ input: "Go.", ...request })).frames,
});

/** One turn over a WebSocket. */
const sent = (request: object, ...script: readonly UpstreamStep[]): Kind => ({
  transport: "websocket",
  script,
  run: async ({ open }) => (await (await open()).turn({ input: "Go.", ...request })).frames,
});

/** The first text, and the end once the client has gone on. */
function paused(): { readonly step: UpstreamStep; readonly goOn: () => void } {
  const gate = Promise.withResolvers<void>();
  const step: UpstreamStep = async (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(block(delta({ content: "Once upon " })));
    await gate.promise;
    response.write(block(delta({ content: "a time." })));
    // A steer ends the response in front of its next item.
    response.end([call("read", { path: "a" }), delta({}, "tool_calls"), "[DONE]"].map(block).join(""));
  };
  return { step, goOn: () => gate.resolve() };
}

/** A turn that its client takes part in while it runs. */
function broken(
  event: (id: string) => object,
  isOver: (frames: readonly Frame[]) => boolean,
  ...after: readonly UpstreamStep[]
): Kind {
  const { step, goOn } = paused();
  return {
    transport: "websocket",
    script: [step, ...after],
    run: async ({ open }) => {
      const client = await open();
      client.create({ input: "Tell me a story." });
      const frames: Frame[] = [];
      const read = async (): Promise<Frame> => {
        const frame = await client.frame();
        frames.push(frame);
        return frame;
      };
      while ((await read()).type !== "response.output_text.delta");
      client.send(event(frames[0]?.response?.id ?? ""));
      await read();
      goOn();
      while (!isOver(frames)) await read();
      return frames;
    },
  };
}

const ends = (frames: readonly Frame[]): number =>
  frames.filter(({ type }) => /^response\.(completed|incomplete|failed)$/.test(type)).length;

const SCHEMA = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

/** Makes the kinds anew: what waits in one of them waits once. */
function kinds(): Readonly<Record<string, Kind>> {
  const shell = { type: "shell", environment: { type: "local" } };
  const search = { type: "tool_search", execution: "client", description: null, parameters: null };
  const agents = { type: "namespace", name: "agents", description: "Helpers.", tools: [fn("spawn")] };
  const settings = {
    instructions: "Be brief.",
    metadata: { run: "7" },
    user: "u",
    safety_identifier: "s",
    prompt_cache_key: "k",
    temperature: 0.5,
    top_p: 0.5,
    max_output_tokens: 100,
    max_tool_calls: 3,
    truncation: "auto",
    reasoning: { effort: "low", summary: "auto" },
    text: { verbosity: "low" },
    service_tier: "default",
  };
  return {
    text: streamed({}, text("Hello.")),
    "text over a WebSocket": sent({ store: false }, text("Hello.")),
    "every setting": streamed(settings, text("Hello.")),
    refusal: streamed({}, answer(delta({ refusal: "I will not." }), delta({}, "stop"))),
    reasoning: streamed({}, answer(delta({ reasoning_content: "Hm." }), delta({ content: "So." }), delta({}, "stop"))),
    "reasoning with a summary": streamed(
      { reasoning: { summary: "auto" } },
      answer(delta({ reasoning_content: "Hm." }), delta({ content: "So." }), delta({}, "stop")),
    ),
    "encrypted reasoning": streamed(
      { include: ["reasoning.encrypted_content"], store: false },
      answer(delta({ reasoning_content: "Hm." }), delta({ content: "So." }), delta({}, "stop")),
    ),
    "a function call": streamed({ tools: [fn("read")] }, calls(call("read", { path: "a" }))),
    "calls in parallel, after a text": streamed(
      { tools: [fn("read")], tool_choice: { type: "function", name: "read" } },
      calls(delta({ content: "I look." }), call("read", { path: "a" }), call("read", { path: "b" }, 1)),
    ),
    "a custom call": streamed({ tools: [{ type: "custom", name: "patch" }] }, calls(call("patch", { input: "+a" }))),
    "a call in a namespace": streamed({ tools: [agents] }, calls(call("agents__spawn", { path: "a" }))),
    "a shell call": streamed({ tools: [shell] }, calls(call("shell", { commands: ["ls", "pwd"] }))),
    "a patch": streamed(
      { tools: [{ type: "apply_patch" }] },
      calls(call("apply_patch", { type: "create_file", path: "a", diff: "+a" })),
    ),
    "a search for tools": streamed(
      { tools: [search, { ...fn("read"), defer_loading: true }] },
      calls(call("tool_search", { query: "files" })),
    ),
    "an object by a schema": streamed(
      { text: { format: { type: "json_schema", name: "city", schema: SCHEMA, strict: true } } },
      text('{"city":"Oslo"}'),
    ),
    "an answer that is cut": streamed(
      { max_output_tokens: 16 },
      answer(delta({ content: "Hel" }), delta({}, "length")),
    ),
    "an answer that is filtered": streamed({}, answer(delta({ content: "Hel" }), delta({}, "content_filter"))),
    "a failure on the way": streamed({}, (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(block(delta({ content: "Hel" })));
      response.end(block({ error: { message: "It fell over.", type: "server_error", code: 500 } }));
    }),
    "a refused request": sent({ previous_response_id: "resp_unknown" }),
    "a model server that refuses": sent({}, refuse(401, { error: { message: "No.", code: "invalid_api_key" } })),
    "in the background": streamed({ background: true }, text("Hello.")),
    "a warm-up": sent({ generate: false, store: false }),
    "a compaction by trigger": streamed(
      { input: [{ role: "user", content: "Hello." }, { type: "compaction_trigger" }] },
      text("A summary."),
    ),
    "a compaction on the way": streamed(
      {
        input: [
          { role: "user", content: "Hello. ".repeat(2000) },
          { role: "assistant", content: "Yes." },
          { role: "user", content: "Go." },
        ],
        context_management: [{ type: "compaction", compact_threshold: 1000 }],
      },
      text("A summary."),
      text("Hello."),
    ),
    "a steer": broken(
      (id) => ({ type: "response.steer", previous_response_id: id, input: "Shorter!" }),
      (frames) => ends(frames) === 2,
      text("No."),
    ),
    "a steer that comes too late": {
      transport: "websocket",
      script: [text("Hello.")],
      run: async ({ open }) => {
        const client = await open();
        const { frames, response } = await client.turn({ input: "Go." });
        client.send({ type: "response.steer", previous_response_id: response.id, input: "Shorter!" });
        return [...frames, await client.frame()];
      },
    },
    "an interrupt": broken(
      (id) => ({ type: "response.interrupt", response_id: id }),
      (frames) => ends(frames) === 1,
    ),
    "a text with sources": streamed(
      {},
      answer(delta({ content: "Hello", annotations: [citation] }), delta({}, "stop")),
    ),
    "a text with log probabilities": streamed(
      { include: ["message.output_text.logprobs"], top_logprobs: 2 },
      answer({ choices: [{ index: 0, delta: { content: "Hi" }, logprobs, finish_reason: null }] }, delta({}, "stop")),
    ),
    "padded deltas": streamed({ stream_options: { include_obfuscation: true } }, text("Hello.")),
    "a lane": sent({ stream_id: "one" }, text("Hello.")),
    "a conversation": {
      transport: "http",
      script: [text("Hello.")],
      run: async ({ http }) => {
        const { json } = await http.post("/v1/conversations", {});
        return (await http.stream({ input: "Go.", conversation: json.id })).frames;
      },
    },
  };
}

export type Played = { readonly kind: string; readonly transport: Transport; readonly frames: readonly Frame[] };

/** Plays every kind of turn, one after another, and gives the events of each. */
export async function playKinds(server: RunningServer, upstream: ChatUpstream): Promise<readonly Played[]> {
  const http = new HttpClient(server.url);
  const open = () => WsClient.open(`${server.url.replace("http", "ws")}/v1/responses`);
  const played: Played[] = [];
  for (const [kind, { transport, script, run }] of Object.entries(kinds())) {
    upstream.script(...script);
    played.push({ kind, transport, frames: await run({ upstream, http, open }) });
    // What the turn's end sets off is over before the next one begins.
    await setImmediate();
  }
  return played;
}
