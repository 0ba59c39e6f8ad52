import { once } from "node:events";
import { WebSocket } from "ws";
import { contractSchema, type Validate } from "./open-responses.ts";

/**
 * What the compliance suite of Open Responses does to a server, and what it notes down: every event is held against its
 * schema, SSE is read by a parser that knows nothing of frames cut in two, and a WebSocket turn ends where the suite ends it.
 */

/** The schema of each event that the contract knows. */
const EVENT_SCHEMAS: { readonly [type: string]: string } = {
  "response.created": "ResponseCreatedStreamingEvent",
  "response.queued": "ResponseQueuedStreamingEvent",
  "response.in_progress": "ResponseInProgressStreamingEvent",
  "response.completed": "ResponseCompletedStreamingEvent",
  "response.failed": "ResponseFailedStreamingEvent",
  "response.incomplete": "ResponseIncompleteStreamingEvent",
  "response.output_item.added": "ResponseOutputItemAddedStreamingEvent",
  "response.output_item.done": "ResponseOutputItemDoneStreamingEvent",
  "response.reasoning_summary_part.added": "ResponseReasoningSummaryPartAddedStreamingEvent",
  "response.reasoning_summary_part.done": "ResponseReasoningSummaryPartDoneStreamingEvent",
  "response.content_part.added": "ResponseContentPartAddedStreamingEvent",
  "response.content_part.done": "ResponseContentPartDoneStreamingEvent",
  "response.output_text.delta": "ResponseOutputTextDeltaStreamingEvent",
  "response.output_text.done": "ResponseOutputTextDoneStreamingEvent",
  "response.refusal.delta": "ResponseRefusalDeltaStreamingEvent",
  "response.refusal.done": "ResponseRefusalDoneStreamingEvent",
  "response.reasoning.delta": "ResponseReasoningDeltaStreamingEvent",
  "response.reasoning.done": "ResponseReasoningDoneStreamingEvent",
  "response.reasoning_summary_text.delta": "ResponseReasoningSummaryDeltaStreamingEvent",
  "response.reasoning_summary_text.done": "ResponseReasoningSummaryDoneStreamingEvent",
  "response.output_text.annotation.added": "ResponseOutputTextAnnotationAddedStreamingEvent",
  "response.function_call_arguments.delta": "ResponseFunctionCallArgumentsDeltaStreamingEvent",
  "response.function_call_arguments.done": "ResponseFunctionCallArgumentsDoneStreamingEvent",
  error: "ErrorStreamingEvent",
};

const TERMINAL = new Set(["response.completed", "response.failed", "response.incomplete"]);

type ContractEvent = {
  readonly type: string;
  readonly response?: ContractResponse;
  readonly item?: { readonly type: string };
  readonly error?: { readonly code?: string | null } | null;
  readonly [field: string]: unknown;
};

/** A response, as far as the suite looks into it. */
type ContractResponse = {
  readonly id: string;
  readonly object: string;
  readonly status: string;
  readonly output: readonly { readonly type: string }[];
  readonly error: { readonly code: string } | null;
};

/** A turn, and everything in it that breaks the contract. */
export type ContractTurn = {
  readonly events: readonly ContractEvent[];
  readonly breaches: readonly string[];
  readonly response: ContractResponse | null;
  /** The code of the error that it ended with, wherever that stands. */
  readonly code: string | null;
};

const validators = new Map<string, Validate>();

/** What a value breaks of a schema, in words. */
export function breachesOf(schema: string, value: unknown): readonly string[] {
  let validate = validators.get(schema);
  if (validate === undefined) {
    validate = contractSchema(schema);
    validators.set(schema, validate);
  }
  return validate(value).map((breach) => `${schema}: ${breach}`);
}

function eventBreaches(event: ContractEvent): readonly string[] {
  const schema = EVENT_SCHEMAS[event.type];
  return schema === undefined ? [`no event is called ${event.type}`] : breachesOf(schema, event);
}

/** A WebSocket has a second form of errors. */
function frameBreaches(event: ContractEvent): readonly string[] {
  const breaches = event.type === "error" ? breachesOf("WebSocketErrorEvent", event) : eventBreaches(event);
  return breaches.length > 0 && event.type === "error" && eventBreaches(event).length === 0 ? [] : breaches;
}

function turnOf(events: readonly ContractEvent[], breaches: readonly string[]): ContractTurn {
  const response = events.findLast((event) => TERMINAL.has(event.type))?.response ?? null;
  const ofResponse = response === null ? [] : breachesOf("ResponseResource", response);
  const error = events.findLast((event) => event.error?.code)?.error ?? response?.error ?? null;
  return { events, breaches: [...breaches, ...ofResponse], response, code: error?.code ?? null };
}

/** A server as the suite sees it: an address, a key and the name of a model. */
export class ContractClient {
  readonly #url: string;
  readonly #headers: { readonly [name: string]: string };
  readonly #model: string;

  constructor(url: string, key: string, model: string) {
    this.#url = `${url}/v1/responses`;
    this.#headers = { "Content-Type": "application/json", Authorization: `Bearer ${key}` };
    this.#model = model;
  }

  /** A request and its JSON answer, which must be a response of the contract. */
  async create(request: object): Promise<ContractTurn> {
    const answer = await this.#post({ ...request, stream: false });
    if (answer.status !== 200) throw new Error(`status ${answer.status}: ${await answer.text()}`);
    const response = (await answer.json()) as ContractResponse;
    return { events: [], breaches: breachesOf("ResponseResource", response), response, code: null };
  }

  /** A request and its stream. A chunk holds whole frames or is a breach: what is left of one is not kept for the next. */
  async stream(request: object): Promise<ContractTurn> {
    const answer = await this.#post({ ...request, stream: true });
    if (answer.status !== 200) throw new Error(`status ${answer.status}: ${await answer.text()}`);
    const events: ContractEvent[] = [];
    const breaches: string[] = [];
    let isDone = false;
    for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
      const frames = new TextDecoder().decode(chunk).split("\n\n");
      const rest = frames.pop();
      if (rest !== "") breaches.push(`half a frame: ${rest}`);
      for (const frame of frames) {
        if (isDone) breaches.push(`behind the end: ${frame}`);
        const [name, data] = readFrame(frame);
        if (data === "[DONE]") {
          isDone = true;
          continue;
        }
        const event = JSON.parse(data) as ContractEvent;
        if (name !== event.type) breaches.push(`the event '${name}' says that it is '${event.type}'`);
        breaches.push(...eventBreaches(event));
        events.push(event);
      }
    }
    if (!isDone) breaches.push("no [DONE] at the end");
    return turnOf(events, breaches);
  }

  /** A request to compact, and its answer as it came. */
  async compact(request: object) {
    const answer = await this.#post(request, "/compact");
    const body = (await answer.json()) as { readonly output?: readonly { readonly type: string }[] };
    return { status: answer.status, body, output: body.output ?? [] };
  }

  async connect(): Promise<ContractSocket> {
    const socket = new WebSocket(this.#url.replace("http", "ws"), { headers: this.#headers });
    await once(socket, "open");
    return new ContractSocket(socket, this.#model);
  }

  #post(request: object, path = ""): Promise<Response> {
    const body = JSON.stringify({ model: this.#model, ...request });
    return fetch(`${this.#url}${path}`, { method: "POST", headers: this.#headers, body });
  }
}

/** One WebSocket, one turn after another. */
export class ContractSocket {
  readonly #socket: WebSocket;
  readonly #model: string;

  constructor(socket: WebSocket, model: string) {
    this.#socket = socket;
    this.#model = model;
  }

  /** Runs a turn to what the suite takes for its end: a terminal event, or anything that carries the code of an error. */
  turn(fields: object): Promise<ContractTurn> {
    const request = { type: "response.create", model: this.#model, ...fields };
    const breaches = [...breachesOf("WebSocketResponseCreateEvent", request)];
    const events: ContractEvent[] = [];
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        this.#socket.off("message", read).off("close", lose);
        settle();
      };
      const lose = (code: number): void => end(() => reject(new Error(`closed with ${code} before the end`)));
      const read = (data: Buffer): void => {
        const event = JSON.parse(data.toString()) as ContractEvent;
        events.push(event);
        breaches.push(...frameBreaches(event));
        const isLast = TERMINAL.has(event.type) || event.type === "error" || Boolean(event.error?.code);
        if (isLast) end(() => resolve(turnOf(events, breaches)));
      };
      this.#socket.on("message", read).on("close", lose);
      this.#socket.send(JSON.stringify(request));
    });
  }

  close(): void {
    this.#socket.close();
  }
}

/** The name and the data of a frame. @throws when it is not exactly that */
export function readFrame(frame: string): readonly [name: string | null, data: string] {
  const found = /^(?:event: (.+)\n)?data: (.+)$/.exec(frame);
  if (found?.[2] === undefined) throw new Error(`not a frame: ${frame}`);
  return [found[1] ?? null, found[2]];
}
