// Loaded into a server under test by `node --import`: tells the process that started it what the server has used, when it
// is asked. It keeps nothing alive and does nothing of its own, but for the histogram of the event loop's delay.

import { monitorEventLoopDelay } from "node:perf_hooks";

const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();

export type ProbeAnswer = {
  /** Microseconds of CPU since the process began, of all threads. */
  readonly cpuMicroseconds: number;
  readonly memoryBytes: number;
  /** Milliseconds, since the last question. */
  readonly loopDelayP99: number;
};

process.on("message", (question: "usage" | "collect") => {
  if (question === "collect") globalThis.gc?.();
  const { user, system } = process.cpuUsage();
  const answer: ProbeAnswer = {
    cpuMicroseconds: user + system,
    memoryBytes: process.memoryUsage.rss(),
    loopDelayP99: delay.percentile(99) / 1e6,
  };
  delay.reset();
  process.send?.(answer);
});
process.channel?.unref();
