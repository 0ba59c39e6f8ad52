import type { ApiError } from "../protocol/errors.ts";

/** Refusals that the report of a turn has told already: a transport that meets one again does not report it twice. */
const reported = new WeakSet<ApiError>();

export function markReported(error: ApiError): void {
  reported.add(error);
}

export function isReported(error: ApiError): boolean {
  return reported.has(error);
}
