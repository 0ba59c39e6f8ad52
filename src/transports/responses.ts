import type { FastifyReply, FastifyRequest } from "fastify";
import type { Session } from "../core/session.ts";
import type { Permit } from "../core/ports.ts";
import type { EventView } from "../protocol/echo.ts";
import { retryHeaders } from "../protocol/errors.ts";
import { isTerminal } from "../protocol/events.ts";
import { type CreateRequest, createRequestInSteps } from "../protocol/request.ts";
import { readBody } from "./body.ts";
import type { TransportContext } from "./context.ts";
import { answerDetached, idempotencyKey } from "./detached.ts";
import { retriesFor } from "./client-retries.ts";
import { echoFor, viewOf } from "./echo.ts";
import { answerOf, JSON_TYPE } from "./json-answer.ts";
import type { TransportLimits } from "./limits.ts";
import { leaseOf } from "./request-memory.ts";
import { wantsKeepalive } from "./silence.ts";
import { SseStream } from "./sse-stream.ts";

/** Where responses are created, by POST and over WebSocket; the first is the documented one, the others are what clients make of a base URL. */
export const RESPONSES_PATHS = ["/v1/responses", "/responses", "/v1/codex/responses"] as const;

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
  const create = await readBody(body, context.limits, createRequestInSteps);
  // Whoever hung up while the body was read will not be heard to do so again.
  if (request.raw.socket.destroyed) {
    reply.hijack();
    return undefined;
  }
  const { engine, limits, policy, onCut } = context;
  const options = {
    tenant: permit.tenant,
    permit,
    transport: create.stream ? "sse" : "http",
    requestId: request.id,
    // A background response is made whether or not its client comes back.
    retries: create.background ? undefined : retriesFor(request.headers),
  } as const;
  const key = idempotencyKey(request);
  if (create.background || key !== null) {
    const turn = { request: create, session: options, bytesIn: body.length, lease: leaseOf(request) };
    return answerDetached(context, turn, key, request, reply);
  }
  const session = engine.openSession(options);
  const exchange: Exchange = {
    session,
    create,
    bytesIn: body.length,
    reply,
    limits,
    onCut,
    saysEvent: wantsKeepalive(policy, request.headers),
    view: viewOf(create, echoFor(policy, request.headers)),
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
  readonly onCut: TransportContext["onCut"];
  /** Whether this client needs an event in long silences, and not only a comment. */
  readonly saysEvent: boolean;
  /** How events are shown to this client; an answer without events is always complete. */
  readonly view: EventView;
};

async function stream({ session, create, bytesIn, reply, limits, onCut, saysEvent, view }: Exchange): Promise<void> {
  const sse = new SseStream(reply, {
    limits,
    view,
    onCut,
    left: () => session.close(),
    silent: () => (saysEvent ? session.keepAlive() : undefined),
  });
  const end = await session.create(create, {
    bytesIn,
    bytesOut: () => sse.written,
    // Only now is it certain that the turn is not refused.
    emit: (events) => sse.write(events),
  });
  if (end.outcome === "refused" && end.error !== null) throw end.error;
  sse.end();
}

async function collect({ session, create, bytesIn, reply }: Exchange): Promise<string | undefined> {
  reply.raw.once("close", () => session.close());
  let body: string | undefined;
  const { outcome, error } = await session.create(create, {
    bytesIn,
    bytesOut: () => Buffer.byteLength(body ?? ""),
    emit: (events) => {
      const last = events.at(-1);
      if (last !== undefined && isTerminal(last)) body = JSON.stringify(answerOf(last.response));
    },
  });
  if (outcome === "refused" && error !== null) throw error;
  // Without a last event the client has left.
  if (body === undefined) reply.hijack();
  else if (error !== null) reply.code(error.status).headers({ ...retryHeaders(error) });
  reply.type(JSON_TYPE);
  return body;
}
