import { isTerminal } from "../../src/protocol/events.ts";
import type { Item } from "../../src/protocol/items.ts";
import { checkGrammar } from "../support/grammar.ts";
import { labelOf, LIMITS, type World } from "./session-world.ts";

/** The rules that hold for every connection, whatever was done to it: checked on all that its client and its backend saw. */

/** @throws Error that says which rule is broken, and where */
export function checkWorld(world: World, isClosed: boolean): void {
  for (const [name, events] of world.events) {
    const isWhole = events.some(isTerminal);
    if (isWhole) checkGrammar(events);
    else demand(isClosed, `${name} has no terminal event`);
    for (const [index, event] of events.entries()) demand(event.sequence_number === index, `${name} skips ${index}`);
  }
  demand(world.turnsOpen === 0, `${world.turnsOpen} turns are left`);
  demand(world.generating.length === 0, `backends are left: ${world.generating.join()}`);
  for (const { name, frozen } of world.asked) demand(frozen, `${name} stands on what is not frozen`);
  checkOrder(world, isClosed);
  checkContexts(world);
  checkSteers(world, isClosed);
}

/** Lanes run one turn at a time, in order, and no more at once than may; every turn has one end. */
function checkOrder(world: World, isClosed: boolean): void {
  const running = new Map<string, string>();
  const begun = new Map<string, number>();
  const ends = new Map<string, number>();
  for (const { lane, line } of world.history) {
    const [name = "", word = "", code = ""] = line.split(" ");
    if (word === "created") {
      demand(!running.has(lane), `${name} begins while ${running.get(lane)} runs`);
      running.set(lane, name);
      demand(running.size <= LIMITS.turnsInFlight, `${name} is one too many`);
    }
    if (word === "created" || (word === "refused" && !NOT_QUEUED.has(code))) {
      const place = world.created.findIndex((create) => create.name === name.replaceAll("+", ""));
      demand(place >= (begun.get(lane) ?? -1), `${name} comes too late`);
      begun.set(lane, place);
    }
    if (ENDS.has(word)) {
      demand(word === "refused" || running.get(lane) === name, `${name} ends and did not run`);
      if (word !== "refused") running.delete(lane);
      ends.set(name, (ends.get(name) ?? 0) + 1);
    }
  }
  for (const [name, count] of ends) demand(count === 1, `${name} has ${count} ends`);
  if (isClosed) return;
  for (const { name } of world.created) demand(ends.has(name), `${name} has no end`);
}

const NOT_QUEUED = new Set(["too_many_queued_turns", "websocket_stream_limit_reached"]);
const ENDS = new Set(["completed", "incomplete", "failed", "refused"]);

/** The backend sees the chain of the parent, the steers of the parent in their order, and the new input. */
function checkContexts(world: World): void {
  for (const { name, context } of world.asked) {
    const { parent, chain, steers, input } = partsOf(world, name, context);
    const expected = [...chain, ...steers, ...input].join();
    demand(context.join() === expected, `${name} is asked with ${context.join()} and should be with ${expected}`);
    const accepted = parent === null ? [] : labelsOf(world, "accepts", parent);
    const isAll = steers.length === 0 || steers.join() === accepted.join();
    demand(isAll, `${name} applies ${steers.join()} of ${accepted.join()}`);
    demand(!name.endsWith("+") || steers.length > 0, `${name} begins for no steer`);
  }
}

/** A steer that was taken is applied, or comes back, or is known to wait; it is lost only with the connection. */
function checkSteers(world: World, isClosed: boolean): void {
  const begun = world.asked.filter(({ name }) => world.events.has(name));
  const applied = begun.flatMap(({ name, context }) => partsOf(world, name, context).steers);
  for (const label of labelsOf(world, "accepts")) {
    const ends = count(applied, label) + count(labelsOf(world, "returns"), label);
    const waits = count(labelsOf(world, "waits"), label);
    demand(ends <= 1 && waits <= 1, `${label} has ${ends} ends and was pending ${waits} times`);
    demand(isClosed || ends + waits > 0, `${label} is lost`);
  }
}

function count(labels: readonly string[], label: string): number {
  return labels.filter((each) => each === label).length;
}

/** What the context of a response is made of. */
function partsOf(world: World, name: string, context: readonly string[]) {
  const create = world.created.find((each) => each.name === name.replaceAll("+", ""));
  const isSuccessor = name.endsWith("+");
  const parent = isSuccessor ? name.slice(0, -1) : (create?.parent ?? null);
  const sent = isSuccessor ? [] : (create?.input ?? []);
  const before = world.asked.findLast((each) => each.name === parent)?.context ?? [parent];
  const output: readonly Item[] = (parent === null ? undefined : world.response(parent))?.output ?? [];
  const chain = parent === null ? [] : [...before, ...output.map(labelOf)];
  // An output that is sent twice is there once.
  const input = sent.filter((label, index) => !label.startsWith("out ") || sent.indexOf(label) === index);
  return { parent, chain, steers: context.slice(chain.length, context.length - input.length), input };
}

/** Labels of steers of which this was said. */
function labelsOf(world: World, word: string, name?: string): readonly string[] {
  return world.history.flatMap(({ line }) => {
    const [told, said, label = ""] = line.split(" ");
    return said === word && (name === undefined || told === name) ? label : [];
  });
}

function demand(holds: boolean, message: string): void {
  if (!holds) throw new Error(message);
}
