import type { Leased } from "./lease.ts";
import type { ResponseNode } from "./node.ts";
import type { JsonValue, Tenant } from "./ports.ts";

/** The kinds of records that are about a run: its lease, its beginning, what came of it so far, and its idempotency key. */

export const RUN = "run";
export const START = "run.start";
export const PART = "run.part";
export const CLAIM = "claim";

export type RunValue = Leased & { readonly isCancelled: boolean };
export type Beginning = Pick<ResponseNode, "parent" | "input" | "response">;

/** A record about a run; it is removed with its run, so it needs no end of its own. */
export function named(tenant: Tenant, kind: string, id: string, about: string) {
  return { tenant, kind, id, about, node: null, expiresAt: null } as const;
}

export function startValue({ response, input }: Beginning): JsonValue {
  return { response, input } as unknown as JsonValue;
}
