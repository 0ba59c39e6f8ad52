import type { Permit } from "../core/ports.ts";
import { isReported } from "../core/reported.ts";
import type { ApiError } from "../protocol/errors.ts";
import type { ErrorCode } from "../protocol/table.ts";
import { splitTarget } from "./host-names.ts";

/** What operators see of the transports: what was refused before it became a turn, and connections that the server closed. */
type TransportReport =
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

/** Method and path of a request, as a log may show them: names of the API, and no word that a client made up. */
export function routeOf({
  method,
  url,
}: {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
}): string {
  const path = splitTarget(url ?? "").path.split("?", 1)[0] ?? "";
  const shown = path
    .split("/")
    .slice(0, MOST_SEGMENTS)
    .map((segment) => (KNOWN.has(segment) ? segment : "…"));
  return `${method ?? ""} ${shown.join("/")}`;
}

const MOST_SEGMENTS = 10;

/** Segments of this server's paths, and of those that clients ask for by mistake. */
const KNOWN = new Set(
  (
    " v1 v1beta openai api codex responses compact input_tokens input_items cancel conversations items models healthz health " +
    "readyz metrics chat completions messages embeddings files images audio realtime assistants threads batches favicon.ico"
  ).split(" "),
);
