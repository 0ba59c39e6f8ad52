import OpenAI from "openai";
import { ResponsesWebSocketSession } from "openai/lib/responses/responses-websocket-session";
import { toResponseInputItems } from "openai/lib/responses/ResponseInputItems";
import type { FunctionTool, Response, ResponseInputItem } from "openai/resources/responses/responses";
import { ResponsesWS } from "openai/resources/responses/ws";
import { describe, expect, onTestFinished, test } from "vitest";
import { LIMITS, opened, SdkSocket, textOf } from "./support/sdk-socket.ts";
import { type Arguments, expectLoopDone, openWorld, PROMPT, TOOLS, type World } from "./support/task.ts";

/** OpenAI's SDK for Node: every way in which it runs a loop of tools. */

const tools: FunctionTool[] = TOOLS.map((tool) => ({ type: "function", strict: false, ...tool }));
const SETTINGS = { model: "local-model", instructions: "You write logs.", tools } as const;

type Take = (input: ResponseInputItem[], previous: Response | null) => Promise<Response>;

const clientOf = ({ baseUrl }: World) => new OpenAI({ apiKey: "any", baseURL: baseUrl, maxRetries: 0 });

/** The loop of an application: it runs what it is asked to run until there is nothing more to run. */
async function runLoop({ runTool }: World, take: Take, prompt = PROMPT): Promise<readonly Response[]> {
  const responses: Response[] = [];
  let input: ResponseInputItem[] = [{ role: "user", content: prompt }];
  while (input.length > 0) {
    const response: Response = await take(input, responses.at(-1) ?? null);
    responses.push(response);
    input = [];
    for (const item of response.output) {
      if (item.type !== "function_call") continue;
      const output = await runTool(item.name, JSON.parse(item.arguments) as Arguments);
      input.push({ type: "function_call_output", call_id: item.call_id, output });
    }
  }
  return responses;
}

const after = (previous: Response | null) => ({ previous_response_id: previous?.id ?? null });

/** A history that is sent whole, made of what the SDK says can be sent again. */
function wholeHistory(send: (input: ResponseInputItem[]) => Promise<Response>): Take {
  const history: ResponseInputItem[] = [];
  return (input, previous) => {
    history.push(...toResponseInputItems(previous?.output ?? []), ...input);
    return send(history);
  };
}

const WAYS: Readonly<Record<string, (client: OpenAI) => Take>> = {
  "create, chained": (client) => (input, previous) =>
    client.responses.create({ ...SETTINGS, input, ...after(previous) }),
  "create, the whole history": (client) =>
    wholeHistory((input) => client.responses.create({ ...SETTINGS, store: false, input })),
  "create with stream": (client) => async (input, previous) => {
    const stream = await client.responses.create({ ...SETTINGS, stream: true, input, ...after(previous) });
    let response: Response | undefined;
    for await (const event of stream) if (event.type === "response.completed") ({ response } = event);
    if (response === undefined) throw new Error("the stream ended without its last event");
    return response;
  },
  "stream(), its strictest reader, chained": (client) => (input, previous) =>
    client.responses.stream({ ...SETTINGS, input, ...after(previous) }).finalResponse(),
  "stream(), its strictest reader, the whole history": (client) =>
    wholeHistory((input) => client.responses.stream({ ...SETTINGS, store: false, input }).finalResponse()),
  "ResponsesWS with store: false": (client) => {
    const socket = new SdkSocket(client);
    return (input, previous) => socket.take({ ...SETTINGS, store: false, input, ...after(previous) });
  },
  "ResponsesWS with store: true": (client) => {
    const socket = new SdkSocket(client);
    return (input, previous) => socket.take({ ...SETTINGS, store: true, input, ...after(previous) });
  },
};

describe("a loop of tools by", () => {
  test.each(Object.keys(WAYS))("%s", async (name) => {
    const world = await openWorld();
    const responses = await runLoop(world, WAYS[name]?.(clientOf(world)) as Take);
    await expectLoopDone(world, textOf(responses.at(-1)));
    expect(world.model.calls).toHaveLength(5);
    expect(world.model.asides).toEqual([]);
  });

  test("nine lanes of one socket at once, each with its own context", async () => {
    const world = await openWorld([], {});
    const socket = new ResponsesWS(clientOf(world));
    onTestFinished(() => socket.close());
    const session = new ResponsesWebSocketSession(socket, LIMITS);
    await opened(socket);
    const names = Array.from({ length: 9 }, (_, index) => `lane-${index}`);
    await Promise.all(
      names.map(async (name) => {
        const append = (line: string) => ({ name: "append", input: { file: `${name}.txt`, line } });
        world.model.plan(name, [
          { calls: [append("a")] },
          { calls: [append("b"), append("c")] },
          { calls: [{ name: "read", input: { file: `${name}.txt` } }] },
          { text: name },
        ]);
        const lane = session.lane(name);
        const take: Take = (input, previous) => {
          lane.create({ ...SETTINGS, store: false, input, ...after(previous) });
          return lane.finalResponse();
        };
        const responses = await runLoop(world, take, `[task:${name}] Go.`);
        expect(textOf(responses.at(-1))).toBe(name);
      }),
    );
    // Contexts of nine lanes come in any order, so only each by itself can be held against what was said.
    expect(world.model.wrong.filter((line) => !line.endsWith(" before"))).toEqual([]);
    for (const name of names) expect(await world.runTool("read", { file: `${name}.txt` })).toBe("a\nb\nc\n");
  });
});

describe("a socket that reconnects", () => {
  const reconnect = { maxRetries: 1000, initialDelay: 10, maxDelay: 50, onReconnecting: () => ({}) };

  test.each([true, false])("goes on after the server was restarted, with store: %s", async (store) => {
    const world = await openWorld(["--store", "sqlite:"]);
    const socket = new SdkSocket(clientOf(world), { reconnect });
    let restarts = 0;
    const history: ResponseInputItem[] = [];
    const responses = await runLoop(world, async (input, previous) => {
      history.push(...toResponseInputItems(previous?.output ?? []), ...input);
      if (previous !== null && restarts === 0) {
        restarts += 1;
        const open = new Promise<void>((resolve) => socket.socket.once("reconnecting", () => resolve()));
        await world.server.crash();
        await world.server.again();
        await open;
      }
      const last = (await socket.turn({ ...SETTINGS, store, input, ...after(previous) })).at(-1);
      if (last?.type === "response.completed") return last.response;
      expect(store).toBe(false);
      expect(last).toMatchObject({ type: "error", error: { code: "previous_response_not_found" } });
      return socket.take({ ...SETTINGS, store, input: history });
    });
    await expectLoopDone(world, textOf(responses.at(-1)));
    expect(world.model.calls).toHaveLength(5);
  });
});
