import type { FastifyReply, FastifyRequest } from "fastify";
import type { ResponseNode } from "../core/node.ts";
import type { Permit } from "../core/ports.ts";
import { COMPACTION_OBJECT, type CompactedContext, compactRequestInSteps } from "../protocol/context-request.ts";
import { NO_USAGE } from "../protocol/response.ts";
import { readBody } from "./body.ts";
import type { TransportContext } from "./context.ts";

/**
 * `POST /v1/responses/compact`: a session of one turn that answers with a compaction, of which nothing stays.
 * @returns undefined when the client has left
 */
export async function compact(
  { engine, limits }: TransportContext,
  permit: Permit,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<CompactedContext | undefined> {
  const asked = await readBody(request.body, limits, compactRequestInSteps);
  const session = engine.openSession({ tenant: permit.tenant, permit, transport: "http" });
  reply.raw.once("close", () => session.close());
  const bytesIn = Buffer.isBuffer(request.body) ? request.body.length : 0;
  const { error, node } = await session.create(asked, { bytesIn, bytesOut: () => 0, emit: () => undefined });
  if (error !== null) throw error;
  if (node !== undefined) return answerOf(node);
  reply.hijack();
  return undefined;
}

/** What was kept of the context, and the item that stands for the rest of it. */
function answerOf({ input, response }: ResponseNode): CompactedContext {
  const { id, created_at, output, usage } = response;
  return { id, object: COMPACTION_OBJECT, created_at, output: [...input, ...output], usage: usage ?? NO_USAGE };
}
