import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Session } from "../core/session.ts";
import type { Permit } from "../core/ports.ts";
import { encodeSse, SSE_DONE } from "../protocol/codec.ts";
import { type Echo, withEcho } from "../protocol/echo.ts";
import { ApiError, type ErrorBody, errorBody, retryHeaders } from "../protocol/errors.ts";
import { isTerminal, type TerminalEvent } from "../protocol/events.ts";
import { type CreateRequest, parseCreateRequest } from "../protocol/request.ts";
import type { Response } from "../protocol/response.ts";
import { parseBody } from "./body.ts";
import type { TransportContext } from "./context.ts";
import { echoFor } from "./echo.ts";
import type { TransportLimits } from "./limits.ts";
import { Outbox, type Wire } from "./outbox.ts";
import { Silence, wantsKeepalive } from "./silence.ts";

/** Where responses are created, by POST and over WebSocket; the first is the documented one, the others are what clients make of a base URL. */
export const RESPONSES_PATHS = ["/v1/responses", "/responses", "/v1/codex/responses"] as const;

/** Keeps proxies from taking a silent stream for a dead one; clients skip it. */
const SSE_COMMENT = ": keepalive\n\n";

export const JSON_TYPE = "application/json; charset=utf-8";

/**
 * `POST /v1/responses`: a session of one turn. Every turn runs as a stream; without `stream: true` the answer is what its
 * last event says.
 * @returns the body of that answer; undefined when the reply has been dealt with here
 */
export async function createResponse(
  context: TransportContext,
  permit: Permit,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<string | undefined> {
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const create = parseCreateRequest(await parseBody(body));
  // Whoever hung up while the body was read will not be heard to do so again.
  if (request.raw.socket.destroyed) {
    reply.hijack();
    return undefined;
  }
  const { engine, limits, policy } = context;
  const session = engine.openSession({
    tenant: permit.tenant,
    permit,
    transport: create.stream ? "sse" : "http",
  });
  const exchange: Exchange = {
    session,
    create,
    bytesIn: body.length,
    reply,
    limits,
    saysEvent: wantsKeepalive(policy, request.headers),
    echo: echoFor(policy, request.headers),
  };
  if (!create.stream) return collect(exchange);
  await stream(exchange);
  return undefined;
}

type Exchange = {
  readonly session: Session;
  readonly create: CreateRequest;
  readonly bytesIn: number;
  readonly reply: FastifyReply;
  readonly limits: TransportLimits;
  /** Whether this client needs an event in long silences, and not only a comment. */
  readonly saysEvent: boolean;
  /** What events repeat of the request; an answer without events is always whole. */
  readonly echo: Echo;
};

async function stream({ session, create, bytesIn, reply, limits, saysEvent, echo }: Exchange): Promise<void> {
  const { raw } = reply;
  const leave = (): void => {
    raw.off("close", leave);
    silence.rest();
    outbox.close();
    session.close();
  };
  const outbox = new Outbox(sseWire(raw, leave), limits);
  const silence = new Silence(limits.silenceMs, () => {
    void outbox.write([SSE_COMMENT]);
    if (saysEvent) session.keepAlive();
  });
  raw.on("close", leave);
  const end = await session.create(create, {
    bytesIn,
    bytesOut: () => outbox.written,
    emit: (events) => {
      // Only now is it certain that the turn is not refused.
      if (!raw.headersSent) {
        reply.hijack();
        raw.writeHead(200, {
          ...(reply.getHeaders() as OutgoingHttpHeaders),
          "content-type": "text/event-stream",
          "cache-control": "no-cache",
          "x-accel-buffering": "no",
        });
        silence.listen();
      }
      silence.broken();
      const blocks = events.flatMap((event) => encodeSse(withEcho(event, echo)));
      const last = events.at(-1);
      return outbox.write(last !== undefined && isTerminal(last) ? [...blocks, SSE_DONE] : blocks);
    },
  });
  if (end.outcome === "refused" && end.error !== null) throw end.error;
  // A client that left before the first event gets no answer either.
  if (raw.headersSent) raw.end();
  else reply.hijack();
}

function sseWire(raw: ServerResponse, leave: () => void): Wire {
  const { socket } = raw;
  return {
    send: (frame, sent) => raw.write(frame, sent),
    cork: () => socket?.cork(),
    uncork: () => socket?.uncork(),
    giveUp: () => {
      // Before the socket says that it is closed, which is later: until then the backend would run on.
      leave();
      raw.destroy();
    },
  };
}

async function collect({ session, create, bytesIn, reply, limits }: Exchange): Promise<string | undefined> {
  reply.raw.once("close", () => session.close());
  let body: string | undefined;
  const { outcome, error } = await session.create(create, {
    bytesIn,
    bytesOut: () => Buffer.byteLength(body ?? ""),
    emit: (events) => {
      const last = events.at(-1);
      if (last !== undefined && isTerminal(last)) body = JSON.stringify(answerOf(last));
    },
  });
  if (outcome === "refused" && error !== null) throw error;
  // Without a last event the client has left.
  if (body === undefined) reply.hijack();
  else if (error !== null) reply.code(error.status).headers({ ...retryHeaders(error) });
  reply.type(JSON_TYPE);
  // The answer waits for the client in one piece; one that does not take any of it for so long gets no more.
  reply.raw.setTimeout(limits.slowClientMs);
  return body;
}

function answerOf({ response }: TerminalEvent): Response | ErrorBody {
  if (response.error === null) return response;
  return errorBody(new ApiError(response.error.code, response.error.message));
}
