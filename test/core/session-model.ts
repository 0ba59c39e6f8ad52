import type { BackendEvent } from "../../src/core/ports.ts";
import { contextOf, type Job, type ModelNode, type Steers, Turn } from "./session-model-turn.ts";
import { type Action, type CreateAction, ELSEWHERE, LIMITS, UNREADABLE } from "./session-world.ts";

/**
 * What one connection has to say, worked out without promises: each action happens to its end before the next. It knows
 * the rules of the protocol and nothing of how the engine is built.
 */

export class SessionModel {
  /** What each lane hears, in short. */
  readonly heard = new Map<string, string[]>();
  /** What the backend is asked, and with which context. */
  readonly asked: { readonly name: string; readonly context: readonly string[] }[] = [];
  readonly #lanes = new Map<string, { readonly waiting: Job[]; running: boolean }>();
  readonly #ready: string[] = [];
  readonly #laneNames = new Set<string>();
  readonly #running = new Map<string, Turn>();
  readonly #held = new Map<string, Steers>();
  /** Responses that resolve here, and those that can be loaded. */
  readonly #cache = new Map<string, ModelNode>();
  readonly #stored = new Map<string, ModelNode>();
  readonly #failed = new Set<string>();
  /** The lane of every response that was ever made here. */
  readonly #madeOn = new Map<string, string>();
  #inFlight = 0;
  #isDown = false;
  #holds = false;
  #goes: "no" | "refuses" | "stops" = "no";

  constructor() {
    const fields = { lane: null, parent: null, output: [], completed: true, stored: true };
    this.#stored.set(ELSEWHERE, { name: ELSEWHERE, input: [ELSEWHERE], ...fields });
  }

  act(action: Action): void {
    switch (action.act) {
      case "create":
        return this.#create(action);
      case "steer":
        return this.#steer(action.name, action.label, action.valid);
      case "interrupt":
        return this.#interrupt(action.name, action.mode);
      case "say":
        return this.#say(this.#generating(action.name), action.events);
      case "finish":
        return this.#finish(this.#generating(action.name), action.reason, action.ends);
      case "end":
      case "fail": {
        const turn = this.#generating(action.name);
        if (turn === null) return;
        if (action.act === "fail" || turn.ending === null) this.#fail(turn, "server_error");
        else this.#store(turn);
        return;
      }
      case "down":
        this.#isDown = action.is;
        return;
      case "hold":
        this.#holds = action.is;
        return;
      case "stored": {
        const turn = this.#running.get(action.name);
        if (turn?.phase !== "storing") return;
        if (action.ok) this.#keep(turn);
        else this.#fail(turn, turn.stopped === "shutting_down" ? "server_shutting_down" : "server_error");
        return;
      }
      case "keepAlive":
        for (const turn of this.#running.values()) this.#tell(turn.lane, `${turn.name} keepalive`);
        return;
      case "refuse":
        return this.#refuse();
      case "stop":
        return this.#stop();
      case "slow":
      case "close":
        throw new Error("the model knows nothing of these");
      default:
        action satisfies never;
    }
  }

  #create(create: CreateAction): void {
    const { lane, parent, name } = create;
    const known = parent === null ? undefined : this.#cache.get(parent);
    const goes = this.#goes === "no" ? null : "server_shutting_down";
    const refusal = create.model === UNREADABLE ? "invalid_value" : goes;
    const waiting = [...this.#lanes.values()].reduce((sum, each) => sum + each.waiting.length, 0);
    const waits = this.#lanes.has(lane) || this.#inFlight >= LIMITS.turnsInFlight;
    // A create that only hears no does not count as one that named its lane.
    const names = lane !== "" && refusal === null;
    if (names && !this.#laneNames.has(lane) && this.#laneNames.size >= LIMITS.laneNames) {
      return this.#tell(lane, `${name} refused websocket_stream_limit_reached`);
    }
    if (waits && waiting >= LIMITS.queuedTurns) return this.#tell(lane, `${name} refused too_many_queued_turns`);
    if (names) this.#laneNames.add(lane);
    const pinned = refusal === null && known !== undefined && known.lane !== lane ? known : null;
    this.#queue({ create, refusal, pinned, steers: null, forgets: refusal === null ? parent : null }, "last");
  }

  #queue(job: Job, place: "last" | "next"): void {
    const { lane } = job.create;
    const queue = this.#lanes.get(lane) ?? { waiting: [], running: false };
    this.#lanes.set(lane, queue);
    if (place === "last") queue.waiting.push(job);
    else queue.waiting.unshift(job);
    if (!queue.running && !this.#ready.includes(lane)) this.#ready.push(lane);
    this.#pump();
  }

  #pump(): void {
    while (this.#inFlight < LIMITS.turnsInFlight) {
      const lane = this.#ready.shift();
      if (lane === undefined) return;
      const queue = this.#lanes.get(lane);
      const job = queue?.waiting.shift();
      if (queue === undefined || job === undefined) throw new Error(`lane '${lane}' has nothing to do`);
      queue.running = true;
      this.#inFlight += 1;
      this.#begin(job);
    }
  }

  /** The lane is free for its next turn. */
  #proceed(lane: string): void {
    const queue = this.#lanes.get(lane);
    this.#inFlight -= 1;
    if (queue !== undefined) queue.running = false;
    if (queue !== undefined && queue.waiting.length > 0) this.#ready.push(lane);
    else this.#lanes.delete(lane);
    this.#pump();
  }

  #begin(queued: Job): void {
    const { create } = queued;
    const { lane, parent: parentName } = create;
    const isSuccessor = queued.steers !== null;
    const held = this.#held.get(lane);
    const claims = queued.refusal === null && held !== undefined && held.target.name === parentName;
    if (claims) this.#held.delete(lane);
    const job = claims ? { ...queued, steers: held } : queued;
    const known = parentName === null ? undefined : (this.#cache.get(parentName) ?? this.#stored.get(parentName));
    const parent = job.pinned ?? known ?? null;
    const why = this.#whyNot(job, parent);
    if (why !== null) {
      this.#giveBack(job.steers);
      if (why === "tool_call_not_found") this.#forget(job.forgets, lane);
      if (!isSuccessor) this.#tell(lane, `${create.name} refused ${why}`);
      return this.#proceed(lane);
    }
    const turn = new Turn(job, parent);
    this.#running.set(turn.name, turn);
    this.#madeOn.set(turn.name, lane);
    this.asked.push({ name: turn.name, context: [...contextOf(parent), ...turn.input] });
    this.#tell(lane, `${turn.name} created`);
    if (create.generate) return;
    turn.isFinished = true;
    this.#commit(turn, "completed");
  }

  #whyNot({ create, refusal }: Job, parent: ModelNode | null): string | null {
    if (refusal !== null) return refusal;
    if (this.#goes === "stops") return "server_shutting_down";
    if (create.parent !== null && parent === null) return "previous_response_not_found";
    const given = [...contextOf(parent)];
    const open = [...callsOf(parent)];
    for (const label of create.input) {
      if (!label.startsWith("out ")) continue;
      const index = open.indexOf(label.slice("out ".length));
      // An output that was given is taken again, and is there once.
      if (index === -1 && !given.includes(label)) return "tool_call_not_found";
      if (index !== -1) open.splice(index, 1);
      given.push(label);
    }
    if (open.length > 0) return "tool_output_missing";
    if (create.model !== "m") return "model_not_found";
    return this.#isDown && create.generate ? "upstream_unavailable" : null;
  }

  #generating(name: string): Turn | null {
    const turn = this.#running.get(name);
    return turn?.phase === "generating" ? turn : null;
  }

  #say(turn: Turn | null, events: readonly BackendEvent[]): void {
    for (const event of events) {
      if (turn?.hear(event)) return this.#cut(turn, "steered");
    }
  }

  #finish(turn: Turn | null, reason: string, ends: boolean): void {
    if (turn === null) return;
    turn.isFinished = true;
    const { last } = turn;
    turn.closeText();
    for (const { index, item } of turn.calls.values()) {
      // A call that was cut off is not handed out.
      if (reason === "stop" || item !== last) turn.done.set(index, item.label);
    }
    this.#end(turn, reason === "stop" ? "completed" : `incomplete ${reason}`);
    if (ends) this.#store(turn);
  }

  #cut(turn: Turn, reason: "steered" | "interrupted"): void {
    turn.closeText();
    turn.stopped = reason;
    this.#commit(turn, `incomplete ${reason}`);
  }

  #commit(turn: Turn, line: string): void {
    this.#end(turn, line);
    this.#store(turn);
  }

  #end(turn: Turn, line: string): void {
    const { name, lane, parent, input, output } = turn;
    const stored = turn.job.create.store && (parent?.stored ?? true);
    turn.ending = { line, node: { name, lane, parent, input, output, completed: line === "completed", stored } };
  }

  #store(turn: Turn): void {
    turn.phase = "storing";
    if (!this.#holds || !turn.job.create.store) this.#keep(turn);
  }

  #keep(turn: Turn): void {
    const { ending, lane, name, steers } = turn;
    if (ending === null) throw new Error(`${name} has not ended`);
    this.#cache.set(name, ending.node);
    if (ending.node.stored) this.#stored.set(name, ending.node);
    this.#tell(lane, `${name} ${ending.line}`);
    this.#running.delete(name);
    if (steers.labels.length > 0) this.#settle(turn, ending.node);
    this.#proceed(lane);
  }

  #settle({ steers, lane, stopped, job }: Turn, node: ModelNode): void {
    const swallows = this.#isContinued(steers);
    if (stopped === "interrupted" || (this.#goes !== "no" && !swallows)) return this.#giveBack(steers);
    if (swallows || callsOf(node).length > 0) {
      this.#giveBack(this.#held.get(lane) ?? null);
      this.#held.set(lane, steers);
      if (swallows) return;
      for (const label of steers.labels) this.#tell(lane, `${node.name} waits ${label} ${callsOf(node).join()}`);
      return;
    }
    const create = { ...job.create, name: `${node.name}+`, parent: node.name, input: [] };
    this.#queue({ create, refusal: null, pinned: node, steers, forgets: null }, "next");
  }

  #fail(turn: Turn, code: string): void {
    this.#tell(turn.lane, `${turn.name} failed ${code}`);
    this.#running.delete(turn.name);
    this.#failed.add(turn.name);
    this.#giveBack(turn.steers);
    this.#forget(turn.job.forgets, turn.lane);
    this.#proceed(turn.lane);
  }

  /** Only a continuation on the lane that made a response makes it unknown. */
  #forget(name: string | null, lane: string): void {
    if (name !== null && this.#cache.get(name)?.lane === lane) this.#cache.delete(name);
  }

  #giveBack(steers: Steers | null): void {
    if (steers === null) return;
    for (const label of steers.labels) this.#tell(steers.target.lane, `${steers.target.name} returns ${label}`);
    steers.labels = [];
  }

  #isContinued({ target }: Steers): boolean {
    const jobs = this.#lanes.get(target.lane)?.waiting ?? [];
    return jobs.some((job) => job.refusal === null && job.steers === null && job.create.parent === target.name);
  }

  #steer(name: string, label: string, valid: boolean): void {
    const turn = this.#running.get(name);
    const node = this.#cache.get(name);
    const lane = this.#madeOn.get(name) ?? "";
    const refuse = (code: string): void => this.#tell(lane, `${name} takes no steer: ${code}`);
    if (turn === undefined) {
      if (this.#failed.has(name)) return refuse("response_not_active");
      if (node === undefined) return refuse("response_not_found");
      if (!valid) return refuse("invalid_input");
      return refuse(node.completed ? "response_already_completed" : "response_not_active");
    }
    if (!valid) return refuse("invalid_input");
    if (turn.job.create.compacts) return refuse("steering_not_supported");
    if (turn.steers.labels.length >= LIMITS.pendingSteers) return refuse("too_many_pending_steers");
    if (turn.stopped === "interrupted" || turn.stopped === "shutting_down") return refuse("response_not_active");
    if (this.#goes !== "no") return refuse("response_not_active");
    turn.steers.labels.push(label);
    this.#tell(lane, `${name} accepts ${label}`);
    if (turn.isFinished || turn.phase === "storing") return;
    if (turn.text === null && turn.calls.size === 0) this.#cut(turn, "steered");
    else turn.isWanted = true;
  }

  #interrupt(name: string | null, mode: string | null): void {
    const onDefault = [...this.#running.values()].find(({ lane }) => lane === "");
    const turn = name === null ? onDefault : this.#running.get(name);
    if (turn === undefined) return;
    if (mode === "other") return this.#tell(turn.lane, `${turn.name} interrupt.failed`);
    if (turn.isFinished || turn.phase === "storing") return;
    this.#tell(turn.lane, `${turn.name} interrupt.accepted`);
    const open = turn.calls.size + (turn.text === null ? 0 : 1);
    for (let count = 0; count < open; count++) this.#tell(turn.lane, `${turn.name} output_item.interrupted`);
    turn.text = null;
    this.#cut(turn, "interrupted");
  }

  #refuse(): void {
    if (this.#goes === "no") this.#goes = "refuses";
    for (const [lane, steers] of this.#held) {
      if (this.#isContinued(steers)) continue;
      this.#held.delete(lane);
      this.#giveBack(steers);
    }
  }

  /** The server cannot wait: it refuses, and ends all that is not on its way to a good end already. */
  #stop(): void {
    this.#refuse();
    this.#goes = "stops";
    for (const turn of this.#running.values()) {
      if (turn.stopped === null) turn.stopped = "shutting_down";
      if (turn.phase === "generating") this.#fail(turn, "server_shutting_down");
    }
  }

  #tell(lane: string, line: string): void {
    this.heard.set(lane, [...(this.heard.get(lane) ?? []), line]);
  }
}

function callsOf(node: ModelNode | null): readonly string[] {
  const calls = (node?.output ?? []).filter((label) => label.startsWith("call "));
  return calls.map((label) => label.slice("call ".length));
}
