import { setImmediate } from "node:timers/promises";
import type { ResponseNode } from "../../src/core/node.ts";
import { openDurableStore } from "../../src/stores/open.ts";
import { deletedAfter, nextNode } from "./crash-nodes.ts";

/**
 * A process that stores, deletes and sweeps as fast as it can until it is killed, and says what is done. Usage:
 * `crash-writer.ts <url> <run> <lanes>`
 */

const [url = "", run = "", lanes = "1"] = process.argv.slice(2);

/** Writing to a pipe waits until it is done, so each line is out before anything else happens. */
function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

say("opening");
const store = await openDurableStore(url);

async function write(lane: number): Promise<void> {
  const nodes: ResponseNode[] = [];
  for (;;) {
    const node = nextNode(run, lane, nodes);
    await store.put(node);
    say(`stored ${lane} ${nodes.length}`);
    const goner = deletedAfter(nodes.length);
    nodes.push(node);
    if (goner === null) continue;
    say(`deleting ${lane} ${goner}`);
    await store.delete(node.tenant, nodes[goner]?.id ?? "");
    say(`deleted ${lane} ${goner}`);
  }
}

async function sweep(): Promise<void> {
  for (;;) {
    await store.sweep();
    await setImmediate();
  }
}

await Promise.all([sweep(), ...Array.from({ length: Number(lanes) }, (_, lane) => write(lane))]);
