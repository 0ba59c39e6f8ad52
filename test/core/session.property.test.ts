import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { settled } from "./harness.ts";
import { SessionModel } from "./session-model.ts";
import { checkWorld } from "./session-rules.ts";
import { actionOf, anyRoughStep, anyStep } from "./session-steps.ts";
import { type Action, World } from "./session-world.ts";

/** How much is tried; more of it with other seeds is a matter of `PROPERTY_RUNS=10000 npx vitest run session.property`. */
const RUNS = Number(process.env["PROPERTY_RUNS"] ?? 1_000);
const SEED = process.env["PROPERTY_SEED"];
const options = { numRuns: RUNS, ...(SEED === undefined ? {} : { seed: Number(SEED) }) };
const TIMEOUT = 60_000 + RUNS * 50;

/** Lets everything come to its end: the client reads, the store stores, the backend finishes. */
async function runOut(world: World, act: (action: Action) => Promise<void>): Promise<void> {
  await act({ act: "hold", is: false });
  for (;;) {
    const [storing] = world.storing;
    const [name] = world.generating;
    if (storing !== undefined) await act({ act: "stored", name: storing, ok: true });
    else if (name === undefined) return;
    else if (world.isFinished(name)) await act({ act: "end", name });
    else await act({ act: "finish", name, reason: "stop", ends: true });
  }
}

describe("a connection", () => {
  test("says what the protocol's model says, whatever is done in whatever order", { timeout: TIMEOUT }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyStep, { maxLength: 50, size: "max" }),
        fc.constantFrom("runs out", "drains", "closes"),
        async (steps, finale) => {
          const world = await World.open();
          const model = new SessionModel();
          const done: Action[] = [];
          const compare = async (): Promise<void> => {
            await settled();
            for (const [lane, lines] of model.heard)
              expect([lane, world.heard(lane), done]).toEqual([lane, lines, done]);
            expect(world.history.length).toBe([...model.heard.values()].flat().length);
            expect(world.asked.map(({ name, context }) => ({ name, context }))).toEqual(model.asked);
          };
          const act = async (action: Action): Promise<void> => {
            done.push(action);
            world.act(action);
            model.act(action);
            await compare();
          };
          for (const [index, step] of steps.entries()) {
            const action = actionOf(step, index, world);
            if (action !== null) await act(action);
          }
          if (finale === "drains") {
            const drained = world.drain();
            model.act({ act: "stop" });
            await compare();
            await runOut(world, act);
            await drained;
          } else if (finale === "closes") {
            world.act({ act: "close" });
            await runOut(world, async (action) => world.act(action));
            await world.session.idle();
            // Nothing was said, so the model still agrees.
            await compare();
          } else await runOut(world, act);
          checkWorld(world, finale === "closes");
        },
      ),
      options,
    );
  });

  test("keeps every rule when things happen at any moment, also from within each other, and its client is slow or leaves", {
    timeout: TIMEOUT,
  }, async () => {
    const moment = fc.record({
      step: anyRoughStep,
      hops: fc.nat({ max: 12 }),
      within: fc.option(anyRoughStep, { freq: 8 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(moment, { maxLength: 60, size: "max" }), async (moments) => {
        const world = await World.open();
        let saidBeforeTheEnd: number | null = null;
        const act = (action: Action | null): void => {
          if (action === null) return;
          world.act(action);
          if (action.act === "close") saidBeforeTheEnd ??= world.history.length;
        };
        for (const [index, { step, hops, within }] of moments.entries()) {
          // The next write makes something else happen, in the middle of what is happening.
          world.onWrite = () => {
            world.onWrite = () => undefined;
            if (within !== null) act(actionOf(within, index + 1_000, world));
          };
          act(actionOf(step, index, world));
          if (hops > 10) await settled();
          for (let count = 0; count < hops; count++) await Promise.resolve();
        }
        world.onWrite = () => undefined;
        const finish = async (action: Action): Promise<void> => {
          world.act(action);
          await settled();
        };
        await finish({ act: "slow", is: false });
        await runOut(world, finish);
        await world.session.idle();
        expect(world.history.length).toBe(saidBeforeTheEnd ?? world.history.length);
        checkWorld(world, saidBeforeTheEnd !== null);
      }),
      options,
    );
  });
});
