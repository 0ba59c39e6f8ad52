import { describe, expect, test } from "vitest";
import { ByteCounter } from "../../examples/byte-counter.ts";
import { Codex } from "./support/codex.ts";
import { codex } from "./support/installed.ts";
import { openWorld } from "./support/task.ts";

/** What Codex sends and receives for a task, counted on its connections: the table of docs/clients.md. */

const { missing } = codex();
const why = missing === null ? "" : ` (skipped: ${missing})`;

const WAYS = {
  HTTP: ["--websocket", "off"],
  "HTTP, full echo": ["--websocket", "off", "--echo", "full"],
  WebSocket: ["--deflate", "off"],
  "WebSocket, full echo": ["--deflate", "off", "--echo", "full"],
  "WebSocket, deflate": ["--deflate", "on"],
  "WebSocket, deflate, full echo": ["--deflate", "on", "--echo", "full"],
} as const;

type Bytes = { readonly up: number; readonly down: number };

async function measure(flags: readonly string[], calls: number, model: string): Promise<Bytes> {
  const step = (line: number) => {
    const cmd = `echo ${line} >> log.txt; cat log.txt`;
    return model.startsWith("gpt-6")
      ? { name: "functions__exec", input: { input: `text((await tools.exec_command({cmd: "${cmd}"})).output);` } }
      : { name: "exec_command", input: { cmd } };
  };
  const steps = Array.from({ length: calls }, (_, line) => ({ calls: [step(line)] }));
  const world = await openWorld(flags, { task: [...steps, { text: "Done." }] });
  const counter = await ByteCounter.open(world.server.url);
  const client = await Codex.create({ baseUrl: `${counter.url}/v1`, provider: "built-in", model });
  const { answer } = await client.exec("[task:task] Count.");
  counter.close();
  expect(answer).toBe("Done.");
  expect(world.model.wrong).toEqual([]);
  return { up: counter.up, down: counter.down };
}

const kilobytes = (bytes: number) => `${(bytes / 1000).toFixed(0)} kB`;

/** The whole table takes minutes: `BYTES=all npm run test:clients -- codex-bytes`. */
const isWhole = process.env["BYTES"] === "all";
const models = isWhole ? ["local-model", "gpt-6-sol"] : ["local-model"];
const lengths = isWhole ? [3, 20] : [20];
const ways = Object.entries(WAYS).filter(([name]) => isWhole || !/HTTP, |deflate, /.test(name));

describe.skipIf(missing !== null)(`the bytes of Codex${why}`, () => {
  test.each(models)(
    "are fewer over a WebSocket, and fewer still with deflate (%s)",
    async (model) => {
      const heads = lengths.flatMap((calls) => [`${calls} calls: up`, "down"]);
      const rows = [`| ${[model, ...heads].join(" | ")} |`, `|${"---|".repeat(heads.length + 1)}`];
      const sums = new Map<string, number>();
      for (const [name, flags] of ways) {
        const counts: Bytes[] = [];
        for (const calls of lengths) counts.push(await measure(flags, calls, model));
        const { up, down } = counts.at(-1) as Bytes;
        sums.set(name, up + down);
        rows.push(`| ${[name, ...counts.flatMap((bytes) => [bytes.up, bytes.down].map(kilobytes))].join(" | ")} |`);
      }
      process.stdout.write(`\n${rows.join("\n")}\n\n`);
      const sum = (name: keyof typeof WAYS) => sums.get(name) ?? 0;
      expect(sum("WebSocket") * 2).toBeLessThan(sum("HTTP"));
      expect(sum("WebSocket, deflate") * 3).toBeLessThan(sum("WebSocket"));
      // Models like gpt-6 have their tools in their input, which is not repeated to begin with.
      expect(sum("WebSocket")).toBeLessThanOrEqual(sum("WebSocket, full echo") + 1000);
    },
    180_000,
  );
});
