import type { FastifyReply, FastifyRequest } from "fastify";
import type { Tenant } from "../core/ports.ts";
import { INPUT_TOKENS_OBJECT, type InputTokens, parseCountRequest } from "../protocol/context-request.ts";
import { parseBody } from "./body.ts";
import type { TransportContext } from "./context.ts";

/** `POST /v1/responses/input_tokens`: how many tokens the model would read. */
export async function countInputTokens(
  { engine }: TransportContext,
  tenant: Tenant,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<InputTokens> {
  const counted = parseCountRequest(await parseBody(request.body));
  const left = new AbortController();
  reply.raw.once("close", () => left.abort());
  return { object: INPUT_TOKENS_OBJECT, input_tokens: await engine.countTokens(tenant, counted, left.signal) };
}
