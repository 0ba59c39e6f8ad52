import type { Item } from "../protocol/items.ts";
import { openClient } from "./client.ts";
import { marked, type Recording, type RecordedTurn } from "./recording.ts";
import { requestOf, type Way } from "./requests.ts";
import type { Target } from "./target.ts";
import { BenchError } from "./turn.ts";
import { answerOf, type Upstream } from "./upstream.ts";

/** What a server adds to a turn, in milliseconds. */
export type Latency = {
  /** From the client's send to the first byte at the model server. */
  readonly in: number;
  /** From the model's first token to the client's first delta. */
  readonly out: number;
  /** From the model's last token to the turn's last event. */
  readonly tail: number;
};

/** Turns that are not counted: connections are opened in them, and code is compiled. */
const WARM_UP_TURNS = 4;
const FILLER_CHARACTERS = 5_000;
const BURST = 8;

/** Runs one session whose context has this size, and measures its turns one after another. */
export async function measureLatency(
  target: Target,
  mode: Way,
  upstream: Upstream,
  {
    contextBytes,
    turns,
    compress = false,
  }: { readonly contextBytes: number; readonly turns: number; readonly compress?: boolean },
): Promise<readonly Latency[]> {
  const probe = probeOf(contextBytes, turns + WARM_UP_TURNS);
  const script = upstream.script(probe.turns.map(({ output }) => answerOf(output, BURST)));
  const recording = marked(probe, script.marker);
  const client = await openClient(target, mode, { compress });
  const measured: Latency[] = [];
  try {
    let previous: string | null = null;
    for (let index = 0; index < recording.turns.length; index += 1) {
      const { id, sentAt, firstDeltaAt, endedAt } = await client.turn(requestOf(recording, mode, index, { previous }));
      previous = id;
      const call = script.calls[index];
      if (call === undefined || firstDeltaAt === null) {
        throw new BenchError(`${target.name} does not ask the upstream of this measurement (${upstream.url})`);
      }
      measured.push({
        in: call.startedAt - sentAt,
        out: firstDeltaAt - call.firstTokenAt,
        tail: endedAt - call.lastTokenAt,
      });
    }
  } finally {
    client.close();
    upstream.forget(script);
  }
  return measured.slice(WARM_UP_TURNS + 1);
}

/** A run whose first turn brings a context of this size, and whose others are small. */
function probeOf(bytes: number, turns: number): Recording {
  const filler: Item[] = [];
  for (let size = 0, index = 0; size < bytes; size += FILLER_CHARACTERS, index += 1) {
    const text = `${index} of what was said before, with "quotes" and\nlines. `.repeat(FILLER_CHARACTERS / 50);
    const length = Math.min(FILLER_CHARACTERS, bytes - size);
    filler.push(index % 2 === 0 ? say("user", text.slice(0, length)) : say("assistant", text.slice(0, length)));
  }
  const small = Array.from({ length: turns }, (_, index) => turn([say("user", `and number ${index}?`)], index + 1));
  return {
    id: `context-${bytes}`,
    model: "bench",
    instructions: "Answer in one sentence.",
    tools: [],
    turns: [turn(filler, 0), ...small],
  };
}

function turn(input: readonly Item[], index: number): RecordedTurn {
  return { input, output: [say("assistant", `answer ${index}: ${"so it is. ".repeat(5)}`)] };
}

function say(role: "user" | "assistant", text: string): Item {
  return { type: "message", role, content: [{ type: role === "user" ? "input_text" : "output_text", text }] };
}
