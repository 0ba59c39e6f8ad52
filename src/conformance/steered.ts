import { RECITE, SAY_OK } from "./prompts.ts";
import { idOf, isDelta, isOf, isTerminal, until } from "./reading.ts";
import type { Socket } from "./socket.ts";
import type { Recording } from "./trial.ts";
import type { Frame, Json, Turn, WireResponse } from "./types.ts";
import { demand, skip } from "./violation.ts";
import { asResponse, object } from "./wire.ts";

/** Turns that are steered or interrupted while they run. */

/** So many events after an interrupt are no longer those that were on their way. */
const MUCH = 50;
const TOO_FAST = "the model is too fast: the response had ended before";

/** A response that is at work; what it has said so far is in `frames`. */
export type Running = { readonly id: string; readonly frames: readonly Frame[] };

/** Begins a turn and waits until the model is at work on it. */
export async function begin(socket: Socket, fields: Json): Promise<Running> {
  socket.create({ store: false, input: RECITE, ...fields });
  const frames = await until(socket, (frame) => isDelta(frame) || ends(frame), "the first piece of output");
  const [created] = frames;
  demand(created?.type === "response.created", "The turn was refused.", { expected: "response.created", got: created });
  return { id: idOf(created), frames };
}

function ends(frame: Frame): boolean {
  return isTerminal(frame) || frame.type === "error";
}

/** What steering came to: the target until its end and its answers, and those that were not taken. */
export type Steering = {
  readonly target: WireResponse;
  readonly last: Frame;
  readonly accepted: readonly Frame[];
  /** All events of the target and about it. */
  readonly frames: readonly Frame[];
};

/** Sends steers for a running response, and reads until it has ended and each of them is answered. */
export async function steer(socket: Socket, running: Running, ...inputs: readonly unknown[]): Promise<Steering> {
  for (const input of inputs) socket.send({ type: "response.steer", previous_response_id: running.id, input });
  const frames = [...running.frames];
  const isAnswer = isOf("response.steer.accepted", "response.steer.failed");
  while (frames.filter(isAnswer).length < inputs.length || !frames.some(ends)) {
    frames.push(await socket.frame(undefined, "the answer to response.steer, and the end of its response"));
  }
  const failed = frames.find(isOf("response.steer.failed"));
  if (failed !== undefined) {
    const code = object(failed["error"], "'error' of response.steer.failed")["code"];
    if (code === "steering_not_supported") skip("the server does not offer steering for this model");
    const isLate = code === "response_already_completed" || code === "response_not_active";
    if (isLate) skip(`${TOO_FAST} it was steered`);
  }
  demand(failed === undefined, "A steer for a running response was not taken.", { got: failed });
  const last = frames.find(ends);
  demand(last !== undefined && isTerminal(last), "The steered turn ended in an error event.", { got: last });
  const target = asResponse(last["response"], `'response' of ${last.type}`);
  return { target, last, frames, accepted: frames.filter(isOf("response.steer.accepted")) };
}

/** `steer` of a steering event. */
export function steerOf(frame: Frame): Json {
  return object(frame["steer"], `'steer' of ${frame.type}`);
}

/** One response that was steered, the one that succeeded it, and a turn that continues that. */
export const STEERED_TURN: Recording<Steering & { readonly successor: Turn; readonly next: Turn }> = {
  make: async (trial) => {
    const socket = await trial.connect();
    const running = await begin(socket, {
      instructions: "Do what the latest message says.",
      metadata: { kind: "steered" },
      prompt_cache_key: "conformance",
    });
    const steering = await steer(socket, running, SAY_OK);
    const successor = await socket.rest();
    const next = await socket.turn({ input: SAY_OK, store: false, previous_response_id: successor.response?.id });
    return { ...steering, successor, next };
  },
};

/** What an interrupt came to: all events of the response. */
export type Interruption = {
  readonly frames: readonly Frame[];
  readonly last: Frame;
  readonly response: WireResponse;
};

/** Interrupts a running response and reads to its end; skips the case when it ended without having heard of it. */
export async function interrupt(
  socket: Socket,
  running: Running,
  type: "response.interrupt" | "response.cancel" = "response.interrupt",
): Promise<Interruption> {
  const { id } = running;
  if (running.frames.some(ends)) skip(`${TOO_FAST} it was interrupted`);
  const mode = type === "response.interrupt" ? { mode: "discard_partial_items" } : {};
  socket.send({ type, response_id: id, ...mode });
  await socket.ping();
  const before = socket.messages.length;
  const rest = await until(socket, ends, "the end of the interrupted response");
  const frames = [...running.frames, ...rest];
  const last = frames.at(-1);
  if (frames.some(isOf("response.interrupt.failed"))) skip("the server refuses interrupts");
  demand(last !== undefined && isTerminal(last), `A ${type} was answered by an error event.`, { got: last });
  if (last.type === "response.completed" && !frames.some(isOf("response.interrupt.accepted"))) {
    const ignored = socket.messages.length - before;
    demand(ignored < MUCH, `The response ran on after a ${type}.`, { got: `${ignored} more events after it was read` });
    skip(`${TOO_FAST} it was interrupted`);
  }
  return { frames, last, response: asResponse(last["response"], `'response' of ${last.type}`) };
}

/** One response that was interrupted, and a turn that continues it. */
export const INTERRUPTED_TURN: Recording<Interruption & { readonly id: string; readonly next: Turn }> = {
  make: async (trial) => {
    const socket = await trial.connect();
    const running = await begin(socket, {});
    const ended = await interrupt(socket, running);
    const next = await socket.turn({ input: SAY_OK, store: false, previous_response_id: running.id });
    return { ...ended, next, id: running.id };
  },
};
