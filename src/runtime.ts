import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { Runtime } from "./core/ports.ts";
import { ID_PREFIX } from "./protocol/ids.ts";

/** The clocks of this machine, and ids that nobody can guess. */
export const systemRuntime: Runtime = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  every: (milliseconds, task) => {
    const timer = setInterval(task, milliseconds).unref();
    return () => clearInterval(timer);
  },
  pause: () => setImmediate(),
  newId: (kind) => `${ID_PREFIX[kind]}_${randomUUID().replaceAll("-", "")}`,
};
