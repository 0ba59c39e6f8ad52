import type { FastifyReply, FastifyRequest } from "fastify";
import type { Permit } from "../core/ports.ts";
import { INPUT_TOKENS_OBJECT, type InputTokens, countRequestInSteps } from "../protocol/context-request.ts";
import { modelNotFound } from "../protocol/errors.ts";
import { readBody } from "./body.ts";
import type { TransportContext } from "./context.ts";
import { leaseOf } from "./request-memory.ts";

/** `POST /v1/responses/input_tokens`: how many tokens the model would read. */
export async function countInputTokens(
  { engine, limits }: TransportContext,
  permit: Permit,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<InputTokens> {
  const asked = await readBody(request.body, limits, countRequestInSteps);
  const counted = await engine.named(asked, permit);
  if (!permit.allowsModel(counted.model)) throw modelNotFound(counted.model);
  const left = new AbortController();
  reply.raw.once("close", () => left.abort());
  const tokens = await engine.countTokens(permit.tenant, counted, leaseOf(request), left.signal);
  return { object: INPUT_TOKENS_OBJECT, input_tokens: tokens };
}
