import type { Log } from "./observe.ts";
import { describeError } from "./observe-error.ts";
import type { Report } from "./transports/report.ts";

/** Log lines of what the transports refuse and close. */

/** Closes that are routine: clients come back by themselves. */
const ROUTINE = new Set([1001, 1012]);

export function logTransports(log: Log): Report {
  return (report) => {
    const { kind, cause, ...fields } = { cause: undefined, ...report };
    if (report.kind === "closed") {
      log[ROUTINE.has(report.code) ? "info" : "warn"](fields, "closed");
      return;
    }
    // A stack only of what the operator has to mend.
    const isOurs = report.status >= 500 && cause !== undefined;
    log[report.status >= 500 ? "error" : "warn"]({ ...fields, ...(isOurs && { err: describeError(cause) }) }, kind);
  };
}
