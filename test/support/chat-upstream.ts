import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request that the scripted server got, as the bytes and as the value. */
export type UpstreamCall = {
  readonly path: string;
  readonly raw: string;
  readonly body: ChatRequestBody;
  readonly headers: IncomingMessage["headers"];
};

type ChatRequestBody = {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly [field: string]: unknown }[];
  readonly [field: string]: unknown;
};

/** Answers one request. */
export type UpstreamStep = (response: ServerResponse, call: UpstreamCall) => void | Promise<void>;

/** A chat-completions server that does what its script says and remembers what it was asked. */
export class ChatUpstream {
  readonly calls: UpstreamCall[] = [];
  readonly #server: Server;
  readonly #steps: UpstreamStep[] = [];
  #fallback: UpstreamStep | null = null;
  /** Errors of the script itself: an unexpected call, a step that threw. */
  readonly faults: unknown[] = [];

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch((error: unknown) => {
        this.faults.push(error);
        response.destroy();
      });
    });
  }

  static async start(): Promise<ChatUpstream> {
    const upstream = new ChatUpstream();
    await new Promise<void>((resolve) => {
      upstream.#server.listen(0, "127.0.0.1", resolve);
    });
    return upstream;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  /** What to do with the next requests, one step each. */
  script(...steps: readonly UpstreamStep[]): void {
    this.#steps.push(...steps);
  }

  /** What to do with every request that the script has no step for. */
  otherwise(step: UpstreamStep): void {
    this.#fallback = step;
  }

  /** @throws Error when the script itself failed */
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
    const [fault] = this.faults;
    if (fault !== undefined) throw new Error("the script of the upstream failed", { cause: fault });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request) chunks.push(chunk as Uint8Array);
    if (request.url === "/v1/models") {
      response.writeHead(200, { "content-type": "application/json" }).end('{"data":[{"id":"upstream-model"}]}');
      return;
    }
    const raw = Buffer.concat(chunks).toString("utf8");
    const path = request.url ?? "";
    const call: UpstreamCall = { path, raw, body: JSON.parse(raw) as ChatRequestBody, headers: request.headers };
    this.calls.push(call);
    const step = this.#steps.shift() ?? this.#fallback;
    if (step === null) throw new Error(`call ${this.calls.length} was not expected`);
    await step(response, call);
  }
}

/** The SSE block of one chunk. */
export function block(value: unknown): string {
  return `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;
}

export function delta(fields: object, finish: string | null = null): object {
  return {
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta: fields, finish_reason: finish }],
  };
}

export const USAGE = {
  prompt_tokens: 11,
  completion_tokens: 7,
  total_tokens: 18,
  prompt_tokens_details: { cached_tokens: 5 },
  completion_tokens_details: { reasoning_tokens: 3 },
};

/** Streams the chunks, then usage and `[DONE]`. */
export function answer(...chunks: readonly unknown[]): UpstreamStep {
  return (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const chunk of chunks) response.write(block(chunk));
    response.write(block({ choices: [], usage: USAGE }));
    response.end(block("[DONE]"));
  };
}

export function text(content: string): UpstreamStep {
  return answer(delta({ role: "assistant", content: "" }), delta({ content }), delta({}, "stop"));
}

/** Answers with a status and a body, as servers that refuse do. */
export function refuse(status: number, body: unknown, headers: { [name: string]: string } = {}): UpstreamStep {
  return (response) => {
    const type = typeof body === "string" ? "text/html" : "application/json";
    response.writeHead(status, { "content-type": type, ...headers });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
}
