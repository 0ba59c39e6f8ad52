import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** What another process of this machine has used, by `/proc`. */
export type ProcessUsage = {
  /** Seconds of CPU time, of all of its threads. */
  readonly cpuSeconds: number;
  /** Resident memory in bytes. */
  readonly memoryBytes: number;
};

let ticksPerSecond: number | undefined;

/** How many files and connections this process may have open; null where the system does not tell. */
export function openFilesLimit(): number | null {
  try {
    const [, limit] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1")) ?? [];
    return limit === undefined ? null : Number(limit);
  } catch {
    return null;
  }
}

/** Null where there is no `/proc`, or no such process. */
export function processUsage(pid: number): ProcessUsage | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name of the program comes second, in parentheses, and may hold anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const kilobytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
    ticksPerSecond ??= Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
      memoryBytes: kilobytes * 1024,
    };
  } catch {
    return null;
  }
}
