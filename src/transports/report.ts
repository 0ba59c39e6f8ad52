import type { Permit } from "../core/ports.ts";
import { isReported } from "../core/reported.ts";
import type { ApiError } from "../protocol/errors.ts";
import type { ErrorCode } from "../protocol/table.ts";

/** What operators see of the transports: what was refused before it became a turn, and connections that the server closed. */
export type TransportReport =
  | ({
      readonly kind: "refused";
      /** What the client sent. */
      readonly what: "request" | "upgrade" | "frame";
      /** Method and path, without the query; null when the bytes were no request. */
      readonly route: string | null;
      readonly status: number;
      readonly code: ErrorCode;
      readonly param: string | null;
      /** The error that stays on this side of the wire. */
      readonly cause: unknown;
    } & Who)
  | ({
      readonly kind: "closed";
      readonly code: number;
      readonly reason: string;
    } & Who);

/** Whose request or connection it was, as far as that was known. */
export type Who = {
  readonly transport: "http" | "websocket";
  readonly requestId: string;
  readonly tenant: string | null;
  /** The name of the client's key; null where no key was needed, or none was accepted. */
  readonly keyName: string | null;
};

export type Report = (report: TransportReport) => void;

export function who(transport: Who["transport"], requestId: string, permit: Permit | null): Who {
  return { transport, requestId, tenant: permit?.tenant ?? null, keyName: permit?.keyName ?? null };
}

/** Reports a refusal, unless it was a turn's: that has its own report. */
export function reportRefusal(
  report: Report,
  error: ApiError,
  about: Who & { readonly what: "request" | "upgrade" | "frame"; readonly route: string | null },
): void {
  if (isReported(error)) return;
  const { status, code, param, cause } = error;
  report({ kind: "refused", ...about, status, code, param, cause });
}

/** Method and path of a request: a query may hold what no log should have. */
export function routeOf({
  method,
  url,
}: {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
}): string {
  const path = (url ?? "").split("?", 1)[0] ?? "";
  return `${method ?? ""} ${path.length > LONGEST_PATH ? `${path.slice(0, LONGEST_PATH)}…` : path}`;
}

const LONGEST_PATH = 200;
