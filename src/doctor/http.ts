import { type IncomingHttpHeaders, type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { Visit } from "./visit.ts";
import { formatSeconds } from "./visit.ts";

/** An answer over HTTP. */
export type Answer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
};

export type Question = {
  readonly method?: "GET" | "POST";
  readonly json?: unknown;
  /** A body as it is. */
  readonly body?: Buffer;
  /** The key to show; `null` shows none. Without it, the visit's. */
  readonly key?: string | null;
  readonly timeoutMs?: number;
  /** Sees the body while it comes. */
  readonly onData?: (chunk: Buffer) => void;
};

/** The largest answer that is read. */
const ANSWER_BYTES = 16 * 1024 * 1024;

/**
 * Sends one request on a connection of its own, whatever the certificate, since that has a check of its own. Rejects when
 * there is no whole answer in time.
 */
export async function ask(visit: Visit, url: string, question: Question = {}): Promise<Answer> {
  const body = question.body ?? (question.json === undefined ? undefined : Buffer.from(JSON.stringify(question.json)));
  const timeoutMs = question.timeoutMs ?? visit.timeoutMs;
  const send = url.startsWith("https:") ? requestHttps : requestHttp;
  const request = send(url, {
    method: question.method ?? (body === undefined ? "GET" : "POST"),
    agent: false,
    rejectUnauthorized: false,
    headers: {
      ...authorization(question.key === undefined ? visit.key : question.key),
      ...(body !== undefined && { "content-type": "application/json", "content-length": String(body.length) }),
    },
  });
  const timer = setTimeout(
    () => request.destroy(new Error(`no whole answer in ${formatSeconds(timeoutMs)}`)),
    timeoutMs,
  );
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once("response", resolve);
      // A server that has said why may stop reading: what counts then is what it said.
      request.on("error", reject);
      request.end(body);
    });
    return await readAnswer(response, question.onData);
  } finally {
    clearTimeout(timer);
    request.destroy();
  }
}

export async function readAnswer(response: IncomingMessage, onData?: (chunk: Buffer) => void): Promise<Answer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    onData?.(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > ANSWER_BYTES) throw new Error("the answer does not end");
    chunks.push(chunk as Buffer);
  }
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() };
}

export function authorization(key: string | null): { readonly authorization?: string } {
  return key === null ? {} : { authorization: `Bearer ${key}` };
}

type Json = { readonly [field: string]: unknown };

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A text as a JSON object; empty when it is none. */
export function parseObject(text: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

/** Code and message of the protocol's error envelope; null when the answer is not by a server of the API. */
export function apiErrorOf({ body }: Answer): { readonly code: string | null; readonly message: string } | null {
  const { error } = parseObject(body);
  if (!isObject(error) || typeof error["message"] !== "string") return null;
  return { code: typeof error["code"] === "string" ? error["code"] : null, message: error["message"] };
}
