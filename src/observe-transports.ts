import type { Log } from "./observe.ts";
import { CLOSE } from "./protocol/table.ts";
import { describeError } from "./observe-error.ts";

/** What is logged of a report of the transports besides its other fields, which become those of the line. */
type Reported =
  | { readonly kind: "refused"; readonly status: number; readonly cause: unknown }
  | { readonly kind: "closed"; readonly code: number };

/** Closes that are routine: clients come back by themselves. */
const ROUTINE: ReadonlySet<number> = new Set([CLOSE.connection_limit.code, CLOSE.server_restart.code]);

/** Log lines of what the transports refuse and close. */
export function logTransports(log: Log): (report: Reported) => void {
  return (report) => {
    if (report.kind === "closed") {
      const { kind, ...fields } = report;
      log[ROUTINE.has(report.code) ? "info" : "warn"](fields, kind);
      return;
    }
    const { kind, cause, ...fields } = report;
    if (report.status < 500) log.warn(fields, kind);
    // A stack only of what the operator has to mend.
    else log.error(cause === undefined ? fields : { ...fields, err: describeError(cause) }, kind);
  };
}
