import { Agent, request } from "undici";
import type { Response } from "../../src/protocol/response.ts";
import { MODEL } from "./server.ts";
import type { Frame } from "./ws-client.ts";

/** A response or an error envelope. */
type Body = Omit<Response, "error"> & Pick<Frame, "error">;

/** An HTTP answer, read to its end. */
export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly json: Body;
};

type SseBlock = { readonly event: string | null; readonly data: string };

/** An SSE answer: its blocks exactly as they came, and the events in them. */
export type SseAnswer = Answer & { readonly blocks: readonly SseBlock[]; readonly frames: readonly Frame[] };

type CallOptions = {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
  readonly signal?: AbortSignal;
};

/** HTTP as it is, without a client library's opinions. */
export class HttpClient {
  readonly #url: string;
  readonly #key: string | undefined;

  constructor(url: string, key?: string) {
    this.#url = url;
    this.#key = key;
  }

  async call(path: string, options: CallOptions = {}): Promise<Answer> {
    const { status, headers, text } = await this.#send(path, options);
    return { status, headers, text, json: parse(text) as Body };
  }

  /** `POST /v1/responses` with a JSON answer. */
  create(fields: object, options: CallOptions = {}): Promise<Answer> {
    return this.call("/v1/responses", post(fields, options));
  }

  /** `POST` of any JSON to any path. */
  post(path: string, body: unknown): Promise<Answer> {
    const headers = { "content-type": "application/json" };
    return this.call(path, { method: "POST", headers, body: JSON.stringify(body) });
  }

  /** `POST /v1/responses` with a stream, read to its end. */
  async stream(fields: object, options: CallOptions = {}): Promise<SseAnswer> {
    const answer = await this.call("/v1/responses", post({ stream: true, ...fields }, options));
    // A refusal that comes before the first event is JSON.
    const isStream = String(answer.headers["content-type"]).startsWith("text/event-stream");
    const blocks = (isStream ? answer.text.split("\n\n") : []).filter((block) => block !== "").map(parseBlock);
    const frames = blocks.filter(({ data }) => data !== "[DONE]").map(({ data }) => JSON.parse(data) as Frame);
    return { ...answer, blocks, frames };
  }

  async #send(path: string, options: CallOptions) {
    const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
    try {
      const answer = await request(this.#url + path, {
        dispatcher,
        method: (options.method ?? "GET") as "GET",
        headers: { ...(this.#key && { authorization: `Bearer ${this.#key}` }), ...options.headers },
        ...(options.body !== undefined && { body: options.body }),
        ...(options.signal && { signal: options.signal }),
      });
      return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
    } finally {
      await dispatcher.destroy();
    }
  }
}

function post(fields: object, options: CallOptions): CallOptions {
  return {
    method: "POST",
    body: JSON.stringify({ model: MODEL, ...fields }),
    ...options,
    headers: { "content-type": "application/json", ...options.headers },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function parseBlock(block: string): SseBlock {
  const lines = block.split("\n");
  const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
  const event = lines.find((line) => line.startsWith("event: "))?.slice(7) ?? null;
  return { event, data: data.join("\n") };
}
