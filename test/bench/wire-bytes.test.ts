import { afterAll, beforeAll, expect, test } from "vitest";
import { openClient, play } from "../../src/bench/client.ts";
import { generate } from "../../src/bench/generate.ts";
import { marked } from "../../src/bench/recording.ts";
import { MODES } from "../../src/bench/requests.ts";
import { responsesUrl, type Target } from "../../src/bench/target.ts";
import { measureUpload, variantOf } from "../../src/bench/upload.ts";
import { answerOf, Upstream } from "../../src/bench/upstream.ts";
import { uploadBytes } from "../../src/bench/wire-bytes.ts";
import { type RunningServer, startServer } from "../../src/server.ts";

/** What is counted offline has to be what crosses the socket. */

let upstream: Upstream;
let server: RunningServer;
let target: Target;

beforeAll(async () => {
  upstream = await Upstream.start();
  server = await startServer({
    port: 0,
    backend: upstream.url,
    logLevel: "silent",
    store: "memory:",
    deflate: "on",
    pingSeconds: 0,
  });
  target = { name: "turnwire", url: server.url, key: "a-key-that-nobody-asks-for", pid: null };
});

afterAll(async () => {
  await server.close();
  await upstream.close();
});

const run = generate("service", 2, 9);

test.each(MODES.flatMap((mode) => [false, true].map((compress) => ({ mode, compress }))))(
  "what $mode uploads (compressed: $compress) is counted to the byte",
  async ({ mode, compress }) => {
    const script = upstream.script(run.turns.map(({ output }) => answerOf(output, 8)));
    const recording = marked(run, script.marker);
    const client = await openClient(target, mode, { compress });
    const ids: string[] = [];
    const live: number[] = [];
    let before = 0;
    for await (const { id } of play(client, recording, mode)) {
      const { up } = client.bytes();
      ids.push(id);
      live.push(up - before);
      before = up;
    }
    client.close();
    const options = { compress, once: false, url: responsesUrl(target), key: target.key, ids };
    expect(live).toEqual(await uploadBytes(recording, mode, options));
  },
);

test("deltas upload less than everything, and settings that are sent once less than that", async () => {
  const upload = await measureUpload(run);
  const total = (...of: Parameters<typeof variantOf> extends [unknown, ...infer Rest] ? Rest : never): number =>
    variantOf(upload, ...of)?.total ?? Number.NaN;
  expect(total("websocket")).toBeLessThan(total("full"));
  expect(total("websocket")).toBeLessThan(total("previous"));
  expect(total("websocket", { once: true })).toBeLessThan(total("websocket") / 2);
  expect(total("websocket", { compress: true })).toBeLessThan(total("websocket") / 2);
  expect(variantOf(upload, "full", { once: true })).toBeUndefined();
  for (const { perTurn, total: sum } of upload.variants) expect(perTurn.reduce((all, one) => all + one, 0)).toBe(sum);
});
