import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { block, delta } from "../support/chat-upstream.ts";
import { type FaultName, FAULTS, NO_RETRIES } from "./support/faults.ts";
import { type Loop, LOOPS } from "./support/loops.ts";
import { linesOf } from "./support/scratch.ts";
import { expectLoopDone, openWorld, type World } from "./support/task.ts";

/** What the SDKs make of a failure: they end the task by themselves, or say what was wrong; nothing is done twice. */

type End = { readonly answer: string } | { readonly error: string };

/** Two refusals before a word, and an answer that breaks off; what else may go wrong is told in the same ways. */
const CAUSES = {
  "a rate limit with Retry-After": /rate limit is reached. Please try again in 1s/,
  "a status of 500": /model server had an error \(500\)/,
  "a stream that is cut in the middle of a call": /model server broke off its answer/,
} as const satisfies Partial<Readonly<Record<FaultName, RegExp>>>;

type Name = keyof typeof CAUSES;

/** The Agents SDK 0.20 only says how a response ended over a WebSocket; pi has a sentence of its own for every 429. */
const OWN_WORDS: { readonly [client: string]: { readonly [Cause in Name]?: RegExp } } = {
  "agents, WebSocket": {
    "a rate limit with Retry-After": /terminal state "error"/,
    "a status of 500": /terminal state "error"/,
    "a stream that is cut in the middle of a call": /response\.failed/,
  },
  "pi, sse": { "a rate limit with Retry-After": /usage limit/ },
};

const NAMES = Object.keys(CAUSES) as readonly Name[];

/** The clients that ask again by themselves where no event of the answer has reached the application. */
const RECOVER = ["openai, create()", "agents, HTTP"];

async function run(client: string, world: World): Promise<End> {
  return (LOOPS[client] as Loop)(world).then(
    (answer) => ({ answer }),
    (error: unknown) => ({ error: error instanceof Error ? error.message : JSON.stringify(error) }),
  );
}

/** It stopped before the step that failed, and can be asked again. */
async function expectStopped({ model, folder }: World): Promise<void> {
  expect(model.wrong).toEqual([]);
  expect(await linesOf(join(folder, "log.txt"))).toEqual(["one ✓", "two"]);
}

const CLIENTS = Object.keys(LOOPS);
const pairs = (clients: readonly string[]) => clients.flatMap((client) => NAMES.map((name) => [client, name] as const));

describe("a failure that the server shows", () => {
  test.each(pairs(RECOVER))("is got over by the client: %s, %s", async (client, name) => {
    const world = await openWorld(NO_RETRIES);
    world.model.fault(2, FAULTS[name]);
    const end = await run(client, world);
    expect(end).toHaveProperty("answer");
    await expectLoopDone(world, "answer" in end ? end.answer : "");
  });

  const others = CLIENTS.filter((client) => !RECOVER.includes(client));
  test.each(pairs(others))("is got over, or told by its cause: %s, %s", async (client, name) => {
    const world = await openWorld(NO_RETRIES);
    world.model.fault(2, FAULTS[name]);
    const end = await run(client, world);
    // The AI SDK asks again if the failure is among the first events that it reads at once.
    if ("answer" in end) return expectLoopDone(world, end.answer);
    expect(end.error).toMatch(OWN_WORDS[client]?.[name] ?? CAUSES[name]);
    await expectStopped(world);
  });
});

test.each(CLIENTS)("a model server that refuses is asked again before a client hears of it: %s", async (client) => {
  const world = await openWorld();
  world.model.fault(1, FAULTS["a status of 500"]);
  world.model.fault(3, FAULTS["a rate limit with Retry-After"]);
  const end = await run(client, world);
  expect(end).toHaveProperty("answer");
  await expectLoopDone(world, "answer" in end ? end.answer : "");
});

test.each(CLIENTS)(
  "a server that crashes in the middle of an answer leaves a client where it was, or able to go on: %s",
  async (client) => {
    const world = await openWorld();
    const begun = Promise.withResolvers<void>();
    world.model.fault(2, (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(block(delta({ content: "I am about " })), () => begun.resolve());
    });
    const running = run(client, world);
    await begun.promise;
    await world.server.crash();
    await world.server.again();
    const end = await running;
    // What the AI SDK's WebSocket (1.0.0) cannot tell is that its connection broke: it takes that for the end of the text.
    const isDeceived = client === "AI SDK, WebSocket";
    // Whoever asks again goes on, if the server is back by then.
    if ("answer" in end && !isDeceived) return expectLoopDone(world, end.answer);
    expect(end).toHaveProperty(isDeceived ? "answer" : "error");
    await expectStopped(world);
  },
);
