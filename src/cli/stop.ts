/** What tells the program to stop: signals, and the end of the npm that has started it. */

/** Exit codes of a process that a signal ended, as shells have them. */
const SIGNAL_EXIT = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

export type StopSignal = keyof typeof SIGNAL_EXIT;

/** npm passes Ctrl-C on to a program that has had it from the terminal already. */
const ECHO_MS = 500;
const PARENT_MS = 250;

/**
 * Calls `stop` once, with what asked for it. After that a second SIGINT or SIGTERM ends the process at once; SIGHUP never
 * cuts anything. Under npm (`npm start`, `npx`) a shell stands between the two and swallows signals, so the end of that shell
 * stops the program as well.
 */
export function onStop(stop: (signal: StopSignal) => void, environment: NodeJS.ProcessEnv = process.env): void {
  const isUnderNpm = environment["npm_lifecycle_event"] !== undefined;
  let since: number | null = null;
  const take = (signal: StopSignal): void => {
    if (since === null) {
      since = performance.now();
      stop(signal);
    } else if (signal !== "SIGHUP" && !(isUnderNpm && performance.now() - since < ECHO_MS)) {
      process.exit(SIGNAL_EXIT[signal]);
    }
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, take);
  // A terminal that is gone takes no more output, which must not end what still runs.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  if (!isUnderNpm) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    if (since === null) take("SIGTERM");
  }, PARENT_MS).unref();
}
