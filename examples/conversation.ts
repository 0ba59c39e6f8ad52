import { on } from "node:events";
import { WebSocket } from "ws";

// Two ways to hold a conversation with a server that speaks the Responses API. The agent does not know which one it has.

export type Item = { readonly type: string; readonly [field: string]: unknown };
export type Response = { readonly id: string; readonly status: string; readonly output: readonly Item[] };

export type Settings = {
  /** Such as `http://127.0.0.1:4400`. */
  readonly url: string;
  readonly key?: string | undefined;
  readonly model: string;
  readonly instructions?: string;
  readonly tools: readonly object[];
  readonly temperature?: number;
};

export interface Conversation {
  /** Says something new, and resolves with what the model answers to all that was said so far. */
  send(items: readonly Item[], onText?: (delta: string) => void): Promise<Response>;
  close(): void;
}

/** Every turn uploads the whole conversation: the server keeps nothing. */
export class StatelessHttp implements Conversation {
  readonly #settings: Settings;
  readonly #history: Item[] = [];

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  async send(items: readonly Item[], onText?: (delta: string) => void): Promise<Response> {
    this.#history.push(...items);
    const { url, key, ...fields } = this.#settings;
    const reply = await fetch(`${url}/v1/responses`, {
      method: "POST",
      headers: { "content-type": "application/json", ...authorization(key) },
      body: JSON.stringify({ ...fields, input: this.#history, store: false, stream: true }),
    });
    if (!reply.ok || reply.body === null) {
      const { error } = (await reply.json()) as { error: ApiErrorObject };
      throw new ApiError(error);
    }
    const events = sseEvents(reply.body);
    const response = await lastResponse(() => events.next(), onText);
    // The model made these items; the next turn has to bring them along.
    this.#history.push(...response.output);
    return response;
  }

  close(): void {}
}

/** Every turn uploads what is new: the connection holds the rest, and nothing is stored. */
export class WebSocketSession implements Conversation {
  readonly #settings: Settings;
  readonly #socket: WebSocket;
  readonly #messages: AsyncIterator<[Buffer]>;
  /** Kept only for the case that the server has let go of the conversation. */
  readonly #history: Item[] = [];
  #previous: string | null = null;

  private constructor(settings: Settings, socket: WebSocket) {
    this.#settings = settings;
    this.#socket = socket;
    this.#messages = on(socket, "message", { close: ["close"] }) as AsyncIterator<[Buffer]>;
  }

  static async open(settings: Settings): Promise<WebSocketSession> {
    const url = `${settings.url.replace(/^http/, "ws")}/v1/responses`;
    const socket = new WebSocket(url, { headers: authorization(settings.key), perMessageDeflate: false });
    await new Promise((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", reject);
    });
    return new WebSocketSession(settings, socket);
  }

  async send(items: readonly Item[], onText?: (delta: string) => void): Promise<Response> {
    this.#history.push(...items);
    const response = await this.#create(this.#previous, items, onText).catch((error: unknown) => {
      // The server says that it does not know the conversation any more: tell it all once, and go on from there.
      if (!(error instanceof ApiError) || error.code !== "previous_response_not_found") throw error;
      return this.#create(null, this.#history, onText);
    });
    this.#history.push(...response.output);
    this.#previous = response.id;
    return response;
  }

  close(): void {
    this.#socket.close();
  }

  async #create(previous: string | null, input: readonly Item[], onText?: (delta: string) => void): Promise<Response> {
    const { url: _url, key: _key, ...fields } = this.#settings;
    const body = { ...fields, previous_response_id: previous, input, store: false };
    this.#socket.send(JSON.stringify({ type: "response.create", ...body }));
    return lastResponse(async () => {
      const { done, value } = await this.#messages.next();
      return done ? { done, value: undefined } : { done: false, value: JSON.parse(value[0].toString()) as ServerEvent };
    }, onText);
  }
}

type ApiErrorObject = { readonly code: string | null; readonly message: string };

/** What the server refused or failed to do. */
export class ApiError extends Error {
  readonly code: string | null;

  constructor({ code, message }: ApiErrorObject) {
    super(message);
    this.code = code;
  }
}

type ServerEvent = {
  readonly type: string;
  readonly delta?: string;
  readonly response?: Response & { readonly error: ApiErrorObject | null };
  readonly error?: ApiErrorObject;
};

/** Reads one turn to its last event. */
async function lastResponse(
  next: () => Promise<IteratorResult<ServerEvent, unknown>>,
  onText: ((delta: string) => void) | undefined,
): Promise<Response> {
  for (;;) {
    const { done, value: event } = await next();
    if (done) throw new Error("the server ended in the middle of a turn");
    switch (event.type) {
      case "response.output_text.delta":
        onText?.(event.delta ?? "");
        break;
      case "response.completed":
      case "response.incomplete":
        return event.response as Response;
      case "response.failed":
        throw new ApiError(event.response?.error ?? { code: null, message: "the turn failed" });
      case "error":
        throw new ApiError(event.error ?? { code: null, message: "the turn was refused" });
      default:
    }
  }
}

/** The events of an SSE stream. */
export async function* sseEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of body) {
    const blocks = (rest + decoder.decode(bytes, { stream: true })).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (data !== undefined && data !== "[DONE]") yield JSON.parse(data) as ServerEvent;
    }
  }
}

function authorization(key: string | undefined): Record<string, string> {
  return key === undefined ? {} : { authorization: `Bearer ${key}` };
}
