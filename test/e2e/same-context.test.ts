import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isToolCall, type Item, type Part } from "../../src/protocol/items.ts";
import type { Response } from "../../src/protocol/response.ts";
import type { RunningServer } from "../../src/server.ts";
import { type AgentScript, agentScript, type ScriptedTurn, TOOLS } from "../support/agent-script.ts";
import { ChatUpstream } from "../support/chat-upstream.ts";
import { HttpClient } from "../support/http-client.ts";
import { WsClient } from "../support/ws-client.ts";
import { startInFrontOf } from "../support/in-front.ts";

/**
 * One run of an agent, done in every way that a client may choose. Whatever the client keeps or resends, the model server
 * gets the same bytes of context at every turn, and the client the same output.
 */

let upstream: ChatUpstream;
let server: RunningServer;

beforeAll(async () => {
  upstream = await ChatUpstream.start();
  server = await startInFrontOf(upstream);
});

afterAll(async () => {
  await server.close();
  await upstream.close();
});

/** Runs one turn and gives its response. */
type Take = (turn: ScriptedTurn, index: number, previous: Response | null) => Promise<Response>;

/** A way to run an agent; `done` is told when the run is over. */
type Way = (script: AgentScript) => Promise<{ readonly take: Take; readonly done: () => Promise<void> }>;

const fieldsOf = ({ instructions }: AgentScript) => ({ model: "m", instructions, tools: TOOLS });
const after = (previous: Response | null) => (previous === null ? {} : { previous_response_id: previous.id });
const connect = () => WsClient.open(`${server.url.replace("http", "ws")}/v1/responses`, undefined);
const nothing = async () => undefined;

const WAYS: { readonly [name: string]: Way } = {
  "WebSocket, only what is new, store: false": async (script) => {
    const client = await connect();
    return {
      take: async ({ input }, _, previous) =>
        (await client.turn({ ...fieldsOf(script), store: false, input, ...after(previous) })).response,
      done: () => client.leave(),
    };
  },
  "WebSocket, only what is new, store: true, and a new connection half-way": async (script) => {
    let client = await connect();
    return {
      take: async ({ input }, index, previous) => {
        if (index === script.reconnectAt) {
          await client.leave();
          client = await connect();
        }
        return (await client.turn({ ...fieldsOf(script), store: true, input, ...after(previous) })).response;
      },
      done: () => client.leave(),
    };
  },
  "SSE, only what is new": async (script) => {
    const client = new HttpClient(server.url);
    const take: Take = async ({ input }, _, previous) => {
      const { frames } = await client.stream({ ...fieldsOf(script), input, ...after(previous) });
      return frames.at(-1)?.response as Response;
    };
    return { take, done: nothing };
  },
  "HTTP, the whole history, as the server returned it": async (script) => {
    const client = new HttpClient(server.url);
    const history: Item[] = [];
    const take: Take = async ({ input }, _, previous) => {
      history.push(...((previous?.output ?? []) as readonly Item[]), ...input);
      const answer = await client.create({ ...fieldsOf(script), store: false, input: history });
      return answer.json as unknown as Response;
    };
    return { take, done: nothing };
  },
};

type Run = { readonly contexts: readonly string[]; readonly outputs: readonly unknown[] };

/** The bytes of the messages, as they came. */
function contextOf(raw: string): string {
  return raw.slice(raw.indexOf('"messages":['));
}

/** Each kind of text in an output, and what each call says. */
function meaningOf(output: readonly Item[]): ScriptedTurn["meaning"] {
  const parts = output.flatMap((item) => (item["content"] ?? []) as readonly Part[]);
  const all = (type: string, field: string) => parts.map((part) => (part.type === type ? part[field] : "")).join("");
  return {
    content: all("output_text", "text"),
    refusal: all("refusal", "refusal"),
    reasoning_content: all("reasoning_text", "text"),
    calls: output.filter(isToolCall).map((call) => (call.type === "function_call" ? call.arguments : call.input)),
  };
}

async function run(script: AgentScript, way: Way): Promise<Run> {
  const first = upstream.calls.length;
  const { take, done } = await way(script);
  const outputs: unknown[] = [];
  let previous: Response | null = null;
  for (const [index, turn] of script.turns.entries()) {
    upstream.script(turn.answer);
    const response: Response = await take(turn, index, previous);
    expect(response).toMatchObject({ status: "completed" });
    expect(meaningOf(response.output as readonly Item[])).toEqual(turn.meaning);
    outputs.push((response.output as readonly Item[]).map((item) => ({ ...item, id: null })));
    previous = response;
  }
  await done();
  return { contexts: upstream.calls.slice(first).map(({ raw }) => contextOf(raw)), outputs };
}

test("the model server gets the same bytes at every turn, whichever way the client takes", async () => {
  await fc.assert(
    fc.asyncProperty(agentScript, async (script) => {
      const runs: Run[] = [];
      for (const way of Object.values(WAYS)) runs.push(await run(script, way));
      const [deltas, ...others] = runs;
      expect(deltas?.contexts).toHaveLength(script.turns.length);
      for (const other of others) expect(other).toEqual(deltas);
    }),
    { numRuns: 40 },
  );
  expect(upstream.faults).toEqual([]);
});
