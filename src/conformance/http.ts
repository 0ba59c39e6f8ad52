import { type IncomingHttpHeaders, type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { type SseBlock, splitSse } from "./sse.ts";
import type { Target } from "./target.ts";
import type { Transcript } from "./transcript.ts";
import type { Frame, Json } from "./types.ts";
import { Violation } from "./violation.ts";
import { object, parseFrame } from "./wire.ts";

export type HttpOptions = {
  /** The key to show; `null` shows none. */
  readonly key?: string | null;
  readonly headers?: { readonly [name: string]: string };
  /** A body as it is; otherwise `json` is encoded. */
  readonly body?: string | Buffer;
  readonly json?: unknown;
};

export type HttpContext = {
  readonly target: Target;
  readonly timeoutMs: number;
  readonly transcript: Transcript;
};

/** An answer over HTTP. */
export class HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;

  constructor(status: number, headers: IncomingHttpHeaders, text: string) {
    this.status = status;
    this.headers = headers;
    this.text = text;
  }

  get json(): Json {
    let value: unknown;
    try {
      value = JSON.parse(this.text);
    } catch {
      throw new Violation("The body of the answer is not JSON.", { got: `${this.status} ${this.text}` });
    }
    return object(value, "The body of the answer");
  }

  /** The body as the blocks of an SSE stream. */
  get blocks(): readonly SseBlock[] {
    return splitSse(this.text);
  }

  /** The body as events; what is not JSON, such as `[DONE]`, is left out. */
  get events(): readonly Frame[] {
    return this.blocks
      .filter(({ data }) => data !== null && data !== "[DONE]")
      .map(({ data }) => parseFrame(data ?? "", "The data of an SSE event"));
  }
}

/** Sends one request on a connection of its own, and reads the answer to its end. */
export async function requestOver(
  { target, timeoutMs, transcript }: HttpContext,
  method: string,
  path: string,
  options: HttpOptions,
): Promise<HttpAnswer> {
  const body = options.body ?? (options.json === undefined ? undefined : JSON.stringify(options.json));
  transcript.sent("http", `${method} ${path}${body === undefined ? "" : ` ${body.toString()}`}`);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const url = new URL(target.base + path);
  const send = url.protocol === "https:" ? requestHttps : requestHttp;
  const request = send(url, {
    method,
    agent: false,
    rejectUnauthorized: !target.insecure,
    headers: {
      ...(body !== undefined && {
        "content-type": "application/json",
        "content-length": String(Buffer.byteLength(body)),
      }),
      ...(typeof options.key === "string" && { authorization: `Bearer ${options.key}` }),
      ...options.headers,
    },
  });
  const timer = setTimeout(() => request.destroy(new Error(`no complete answer in ${timeoutMs / 1000} s`)), timeoutMs);
  try {
    request.once("response", resolve);
    // A server that has said why may stop reading: what counts then is what it said.
    request.on("error", reject);
    request.end(body);
    const response = await promise;
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    transcript.received("http", `${response.statusCode} ${text}`);
    return new HttpAnswer(response.statusCode ?? 0, response.headers, text);
  } catch (error) {
    throw new Violation(`${method} ${path} got no answer: ${(error as Error).message}`);
  } finally {
    clearTimeout(timer);
    request.destroy();
  }
}

/** The answer to an upgrade that is not followed up: 101 and its headers, or a refusal with its body. */
export async function upgradeOver(
  { target, timeoutMs, transcript }: HttpContext,
  path: string,
  options: HttpOptions,
): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  const url = new URL(target.base + path);
  const send = url.protocol === "https:" ? requestHttps : requestHttp;
  transcript.sent("http", `GET ${path} (upgrade to websocket)`);
  const request = send(url, {
    agent: false,
    rejectUnauthorized: !target.insecure,
    headers: {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      ...(typeof options.key === "string" && { authorization: `Bearer ${options.key}` }),
      ...options.headers,
    },
  });
  const timer = setTimeout(() => request.destroy(new Error(`no answer in ${timeoutMs / 1000} s`)), timeoutMs);
  try {
    request.once("upgrade", ({ statusCode, headers }, socket) => {
      socket.destroy();
      resolve(new HttpAnswer(statusCode ?? 0, headers, ""));
    });
    request.once("response", (response) => {
      readAll(response).then(
        (text) => resolve(new HttpAnswer(response.statusCode ?? 0, response.headers, text)),
        reject,
      );
    });
    request.on("error", reject);
    request.end();
    const answer = await promise;
    transcript.received("http", `${answer.status} ${answer.text}`);
    return answer;
  } catch (error) {
    throw new Violation(`The upgrade got no answer: ${(error as Error).message}`);
  } finally {
    clearTimeout(timer);
    request.destroy();
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
