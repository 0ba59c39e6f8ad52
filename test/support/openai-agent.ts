import type OpenAI from "openai";
import { ResponsesWebSocketSession } from "openai/lib/responses/responses-websocket-session";
import { toResponseInputItems } from "openai/lib/responses/ResponseInputItems";
import type { Response, ResponseInputItem, ResponsesServerEvent, Tool } from "openai/resources/responses/responses";
import { ResponsesWS } from "openai/resources/responses/ws";
import { answer, delta, text, type UpstreamCall, type UpstreamStep } from "./chat-upstream.ts";

/** An agent on OpenAI's own SDK, and every way in which that SDK lets it talk to a server. */

const READ: Tool = {
  type: "function",
  name: "read",
  description: "Reads a file.",
  parameters: { type: "object", properties: { path: { type: "string" } }, required: ["path"] },
  strict: false,
};
const PATCH: Tool = { type: "custom", name: "patch", description: "Changes files." };

/** What the agent says in every turn. */
const SETTINGS = {
  model: "sim",
  instructions: "You are an agent.",
  tools: [READ, PATCH],
  reasoning: { effort: "low", summary: null },
} as const satisfies Partial<OpenAI.Responses.ResponseCreateParams>;

const TASK = "Repair the house — 修理 🏠.";

/** Runs one turn: the input is what is new since the previous response. */
export type Take = (input: ResponseInputItem[], previous: Response | null) => Promise<Response>;

/** The agent's loop: it runs what it is asked to run until there is nothing more to run, and gives every response. */
export async function runAgent(take: Take): Promise<readonly Response[]> {
  const responses: Response[] = [];
  let input: ResponseInputItem[] = [{ type: "message", role: "user", content: TASK }];
  for (;;) {
    const response: Response = await take(input, responses.at(-1) ?? null);
    responses.push(response);
    input = response.output.flatMap(runTool);
    if (input.length === 0) return responses;
  }
}

function runTool(item: Response["output"][number]): ResponseInputItem[] {
  const { type } = item;
  if (type === "function_call") {
    return [{ type: "function_call_output", call_id: item.call_id, output: `read ${item.arguments}` }];
  }
  if (type === "custom_tool_call") {
    return [{ type: "custom_tool_call_output", call_id: item.call_id, output: `patched ${item.input}` }];
  }
  return [];
}

type Way = (client: OpenAI) => { readonly take: Take; readonly done?: () => void };

const after = (previous: Response | null) => ({ previous_response_id: previous?.id ?? null });

/** A history that is sent whole, made of what the SDK says can be sent again. */
function wholeHistory(send: (input: ResponseInputItem[]) => Promise<Response>): { readonly take: Take } {
  const history: ResponseInputItem[] = [];
  return {
    take: (input, previous) => {
      history.push(...toResponseInputItems(previous?.output ?? []), ...input);
      return send(history);
    },
  };
}

export const WAYS: { readonly [name: string]: Way } = {
  "responses.create, the whole history": (client) =>
    wholeHistory((input) => client.responses.create({ ...SETTINGS, store: false, input })),
  "responses.create, only what is new": (client) => ({
    take: (input, previous) => client.responses.create({ ...SETTINGS, input, ...after(previous) }),
  }),
  "responses.create with stream": (client) => ({
    take: async (input, previous) => {
      const stream = await client.responses.create({ ...SETTINGS, stream: true, input, ...after(previous) });
      let response: Response | null = null;
      for await (const event of stream) if (event.type === "response.completed") ({ response } = event);
      if (response === null) throw new Error("the stream ended without its last event");
      return response;
    },
  }),
  "responses.stream, the whole history": (client) =>
    wholeHistory((input) => client.responses.stream({ ...SETTINGS, store: false, input }).finalResponse()),
  "responses.stream, only what is new": (client) => ({
    take: (input, previous) => client.responses.stream({ ...SETTINGS, input, ...after(previous) }).finalResponse(),
  }),
  "ResponsesWS, only what is new, store: false": (client) => overSocket(client, false),
  "ResponsesWS, only what is new, store: true": (client) => overSocket(client, true),
  "a lane of a ResponsesWebSocketSession": (client) => {
    const socket = new ResponsesWS(client);
    const session = new ResponsesWebSocketSession(socket, LIMITS);
    const lane = session.lane("main");
    return {
      take: async (input, previous) => {
        await opened(socket);
        lane.create({ ...SETTINGS, store: false, input, ...after(previous) });
        return lane.finalResponse();
      },
      done: () => socket.close(),
    };
  },
};

export const LIMITS = { maxLanes: 32, maxBufferedEvents: 10_000, maxBufferedBytes: 1024 * 1024 };

/** Resolves when the socket can be used: lanes do not wait for it by themselves. */
export async function opened({ socket }: ResponsesWS): Promise<void> {
  if (socket.readyState === 1) return;
  await new Promise<void>((resolve) => {
    socket.once("open", () => resolve());
  });
}

function overSocket(client: OpenAI, store: boolean) {
  const socket = new SdkSocket(client);
  const take: Take = (input, previous) => socket.take({ ...SETTINGS, store, input, ...after(previous) });
  return { take, done: () => socket.close() };
}

/** The SDK's own socket, one turn after another. */
export class SdkSocket {
  readonly socket: ResponsesWS;
  readonly #messages: ReturnType<ResponsesWS["stream"]>;

  constructor(client: OpenAI, options?: ConstructorParameters<typeof ResponsesWS>[1]) {
    this.socket = new ResponsesWS(client, options);
    // Whoever waits for an event gets the error there.
    this.socket.on("error", () => undefined);
    this.#messages = this.socket.stream();
  }

  /** The next event of the protocol; null when the connection has ended for good. */
  async event(): Promise<ResponsesServerEvent | null> {
    for (;;) {
      const { done, value } = await this.#messages.next();
      if (done) return null;
      if (value.type === "message") return value.message;
      // An error without an event is about the connection, which the SDK opens again.
      if (value.type === "error" && value.error.error) return value.error.error;
    }
  }

  /** Resolves with the events to the end of a turn, an error included. */
  async turn(
    request: Omit<OpenAI.Responses.ResponsesClientEvent & { type: "response.create" }, "type">,
  ): Promise<readonly ResponsesServerEvent[]> {
    this.socket.send({ type: "response.create", ...request });
    const events: ResponsesServerEvent[] = [];
    for (;;) {
      const event = await this.event();
      if (event === null) throw new Error("the connection ended before the turn");
      events.push(event);
      if (/^(error|response\.(completed|failed|incomplete))$/.test(event.type)) return events;
    }
  }

  /** The response of a turn that completes. */
  async take(request: Parameters<SdkSocket["turn"]>[0]): Promise<Response> {
    const last = (await this.turn(request)).at(-1);
    if (last?.type !== "response.completed") throw new Error(`the turn ended with ${JSON.stringify(last)}`);
    return last.response;
  }

  close(): void {
    this.socket.close();
  }
}

/** The text of a response, which the SDK only joins where it reads HTTP. */
export function textOf(response: Response | undefined): string {
  const parts = response?.output.flatMap((item) => (item.type === "message" ? item.content : [])) ?? [];
  return parts.map((part) => (part.type === "output_text" ? part.text : "")).join("");
}

const call = (index: number, fields: object) => delta({ tool_calls: [{ index, ...fields }] });
const begin = (index: number, id: string, name: string) =>
  call(index, { id, type: "function", function: { name, arguments: "" } });
const more = (index: number, piece: string) => call(index, { function: { arguments: piece } });

/** What a chat-completions server says to the agent: thoughts, two calls at once, a custom tool, and the end. */
export function agentAnswers(): readonly UpstreamStep[] {
  return [
    answer(
      ...["Two files, ", "I think."].map((reasoning_content) => delta({ reasoning_content })),
      ...["I ", "look."].map((content) => delta({ content })),
      begin(0, "call_0", "read"),
      begin(1, "call_1", "read"),
      ...['{"pa', 'th":"ä'].map((piece) => more(0, piece)),
      more(1, '{"path":"b"}'),
      more(0, '"}'),
      delta({}, "tool_calls"),
    ),
    answer(begin(0, "call_0", "patch"), more(0, '{"input":"+ 1\\n'), more(0, '+ 2"}'), delta({}, "tool_calls")),
    text("Done: 完了 🏠."),
  ];
}

const called = (id: string, name: string, args: object) => ({
  id,
  type: "function",
  function: { name, arguments: JSON.stringify(args) },
});

/** What that server must have seen in each of its turns. */
export function agentMessages(): readonly UpstreamCall["body"]["messages"][] {
  const first = [
    { role: "system", content: SETTINGS.instructions },
    { role: "user", content: TASK },
  ];
  const reads = [called("call_0", "read", { path: "ä" }), called("call_1", "read", { path: "b" })];
  const second = [
    ...first,
    { role: "assistant", content: "I look.", reasoning_content: "Two files, I think.", tool_calls: reads },
    { role: "tool", tool_call_id: "call_0", content: 'read {"path":"ä"}' },
    { role: "tool", tool_call_id: "call_1", content: 'read {"path":"b"}' },
  ];
  const third = [
    ...second,
    { role: "assistant", content: "", tool_calls: [called("call_0", "patch", { input: "+ 1\n+ 2" })] },
    { role: "tool", tool_call_id: "call_0", content: "patched + 1\n+ 2" },
  ];
  return [first, second, third];
}
