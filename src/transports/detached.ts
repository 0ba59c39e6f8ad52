import { createHash } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Followed } from "../core/run.ts";
import type { RunOptions } from "../core/runs.ts";
import type { EventView } from "../protocol/echo.ts";
import { ApiError, serverStopped } from "../protocol/errors.ts";
import { isTerminal, type ServerEvent } from "../protocol/events.ts";
import type { Response } from "../protocol/response.ts";
import type { TransportContext } from "./context.ts";
import { echoFor, viewOf } from "./echo.ts";
import { answerBody, JSON_TYPE } from "./json-answer.ts";
import { leaseOf } from "./request-memory.ts";
import { SseStream } from "./sse-stream.ts";

const LONGEST_KEY = 255;

/** The idempotency key of a request; null without one. @throws ApiError `invalid_value` */
export function idempotencyKey({ headers }: FastifyRequest): string | null {
  const key = headers["idempotency-key"];
  if (key === undefined) return null;
  if (typeof key === "string" && key !== "" && key.length <= LONGEST_KEY) return key;
  const message = `The header 'idempotency-key' must have 1 to ${LONGEST_KEY} characters.`;
  throw new ApiError("invalid_value", message, { param: "idempotency-key" });
}

/**
 * Answers a request whose turn goes on whoever leaves: one that is made in the background, or may be sent again.
 * @returns the body of the answer; undefined when the reply has been dealt with here
 */
export async function answerDetached(
  context: TransportContext,
  options: Omit<RunOptions, "responseId">,
  key: string | null,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<string | undefined> {
  const { engine } = context;
  const { stream, background } = options.request;
  reply.type(JSON_TYPE);
  const followed =
    key === null ? await engine.detach(options) : await engine.claim(key, fingerprint(request.body), options);
  if (stream) {
    const view = viewOf(options.request, echoFor(context.policy, request.headers));
    await sendEvents(context, followed, reply, { view });
    return undefined;
  }
  const response = followed.final ?? (await (background ? first(followed) : last(followed, reply)));
  if (response === undefined) {
    if (!reply.raw.destroyed) throw serverStopped();
    reply.hijack();
    return undefined;
  }
  return background ? JSON.stringify(response) : answerBody(response, reply);
}

/** Streams the events of a response to whoever asks, as fast as it reads them; whoever leaves leaves it running. */
export async function sendEvents(
  context: TransportContext,
  followed: Followed,
  reply: FastifyReply,
  options: { readonly view: EventView; readonly after?: number },
): Promise<void> {
  const sse = new SseStream(reply, { ...options, limits: context.limits, onCut: context.onCut, left: () => undefined });
  for await (const batch of followed.events()) {
    // What makes the events again holds the text of the response as far as it has come.
    leaseOf(reply.request).grow(textOf(batch));
    await sse.write(batch);
    if (sse.isOver) return;
  }
  sse.end();
}

/** Characters of the deltas of some events. */
function textOf(events: readonly ServerEvent[]): number {
  return events.reduce((sum, event) => sum + ("delta" in event ? event.delta.length : 0), 0);
}

async function first(followed: Followed): Promise<Response | undefined> {
  for await (const [event] of followed.events())
    return event !== undefined && "response" in event ? event.response : undefined;
  return undefined;
}

/** The response when it has ended; undefined when it never does, or nobody waits for it any more. */
async function last(followed: Followed, reply: FastifyReply): Promise<Response | undefined> {
  let end: ServerEvent | undefined;
  for await (const batch of followed.events()) {
    if (reply.raw.destroyed) return undefined;
    end = batch.at(-1);
  }
  return end !== undefined && isTerminal(end) ? end.response : undefined;
}

function fingerprint(body: unknown): string {
  return createHash("sha256")
    .update(Buffer.isBuffer(body) ? body : "")
    .digest("hex");
}
