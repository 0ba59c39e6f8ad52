import type { FastifyReply } from "fastify";
import { ApiError, type ErrorBody, errorBody } from "../protocol/errors.ts";
import type { Response } from "../protocol/response.ts";

export const JSON_TYPE = "application/json; charset=utf-8";

/** What a response amounts to without its events: itself, or the error that it failed with. */
export function answerOf(response: Response): Response | ErrorBody {
  if (response.error === null) return response;
  return errorBody(new ApiError(response.error.code, response.error.message));
}

/** The body of that answer; its status is set. */
export function answerBody(response: Response, reply: FastifyReply): string {
  if (response.error !== null) reply.code(new ApiError(response.error.code, response.error.message).status);
  return JSON.stringify(answerOf(response));
}
