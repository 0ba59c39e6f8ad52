import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Records, Store } from "../../src/core/ports.ts";
import { startServer } from "../../src/server.ts";
import { openStore } from "../../src/stores/open.ts";

/**
 * A whole server that can be made to stand still. Usage: `fence-server.ts <store url> <lease in ms> <tokens per second>`
 * Lines on standard input: `block <file>` blocks its event loop until the file is there; `hold` keeps every call of its store
 * waiting until `go`.
 */

const [url = "", leaseMs = "", rate = ""] = process.argv.slice(2);
const gate = { open: Promise.withResolvers<void>(), isHeld: false };

/** A store that does nothing while the gate is closed. */
function held<T extends object>(part: T): T {
  return new Proxy(part, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (name === "records") return held(value as Records);
      if (typeof value !== "function") return value;
      return async (...args: readonly unknown[]): Promise<unknown> => {
        if (gate.isHeld) await gate.open.promise;
        return (value as (...all: readonly unknown[]) => unknown).apply(target, [...args]);
      };
    },
  });
}

const store: Store = held(await openStore(url));
const server = await startServer(
  { port: 0, logLevel: "silent", simRounds: 0, simRate: Number(rate) },
  { store, limits: { leaseMs: Number(leaseMs) } },
);
createInterface({ input: process.stdin }).on("line", (line) => {
  const [order, file = ""] = line.split(" ");
  if (order === "hold") {
    gate.open = Promise.withResolvers();
    gate.isHeld = true;
  } else if (order === "go") {
    gate.isHeld = false;
    gate.open.resolve();
  } else if (order === "block") {
    const never = new Int32Array(new SharedArrayBuffer(4));
    while (!existsSync(file)) Atomics.wait(never, 0, 0, 10);
  }
});
process.stdout.write(`${server.url}\n`);
