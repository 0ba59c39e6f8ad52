import { openClient, play } from "./client.ts";
import { type LinkSpec, startLinkProxy } from "./link.ts";
import { marked, type Recording } from "./recording.ts";
import type { Way } from "./requests.ts";
import type { Target } from "./target.ts";
import { type Answer, type Upstream } from "./upstream.ts";

/** A whole run over a link. */
export type Run = {
  /** From the opening of the connection to the last event of the last turn. */
  readonly seconds: number;
  /** Of these, what the model took: from the last byte of each request to its last token. */
  readonly modelSeconds: number;
  readonly promptTokens: number;
  /** Of these, what the simulated prefix cache knew. */
  readonly cachedTokens: number;
  readonly up: number;
  readonly down: number;
  /** Bytes of each turn, both ways. */
  readonly turns: readonly { readonly up: number; readonly down: number }[];
};

/** Plays a recording once, over a link or, with null, straight. */
export async function measureRun(
  target: Target,
  mode: Way,
  upstream: Upstream,
  options: {
    readonly recording: Recording;
    readonly answers: readonly Answer[];
    readonly link: LinkSpec | null;
    readonly compress: boolean;
  },
): Promise<Run> {
  const { recording, answers, link, compress } = options;
  const script = upstream.script(answers);
  // Otherwise the first run of all would pay for the instructions and tools of those after it.
  upstream.emptyCache();
  const proxy = link === null ? null : await startLinkProxy(link, target.url);
  const started = performance.now();
  const client = await openClient(proxy === null ? target : { ...target, url: proxy.url }, mode, { compress });
  try {
    const turns: { up: number; down: number }[] = [];
    let before = { up: 0, down: 0 };
    for await (const _ of play(client, marked(recording, script.marker), mode)) {
      const now = client.bytes();
      turns.push({ up: now.up - before.up, down: now.down - before.down });
      before = now;
    }
    const seconds = (performance.now() - started) / 1000;
    const sum = (of: (call: (typeof script.calls)[number]) => number): number =>
      script.calls.reduce((total, call) => total + of(call), 0);
    return {
      seconds,
      modelSeconds: sum((call) => call.lastTokenAt - call.receivedAt) / 1000,
      promptTokens: sum((call) => call.prefill.tokens),
      cachedTokens: sum((call) => call.prefill.cached),
      ...client.bytes(),
      turns,
    };
  } finally {
    client.close();
    upstream.forget(script);
    await proxy?.close();
  }
}
