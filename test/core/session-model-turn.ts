import type { BackendEvent } from "../../src/core/ports.ts";
import type { CreateAction } from "./session-world.ts";

/** One turn of the model: what its backend has said so far, and what that amounts to. */

export type ModelNode = {
  readonly name: string;
  /** Null for one that was made on another connection. */
  readonly lane: string | null;
  readonly parent: ModelNode | null;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly completed: boolean;
  /** Whether it can be loaded from the store: with all that is before it. */
  readonly stored: boolean;
};

type Item = { readonly kind: "text" | "think" | "call"; label: string };

/** A turn that waits in its lane. */
export type Job = {
  readonly create: CreateAction;
  /** Known before it runs. */
  readonly refusal: string | null;
  readonly pinned: ModelNode | null;
  /** Those that a successor applies. */
  readonly steers: Steers | null;
  readonly forgets: string | null;
};

export type Steers = { readonly target: Turn; labels: string[] };

/** A turn that has begun. */
export class Turn {
  readonly job: Job;
  readonly name: string;
  readonly input: readonly string[];
  readonly parent: ModelNode | null;
  readonly steers: Steers = { target: this, labels: [] };
  phase: "generating" | "storing" = "generating";
  isFinished = false;
  /** Ends where the next item would begin. */
  isWanted = false;
  stopped: "interrupted" | "steered" | "shutting_down" | null = null;
  readonly done = new Map<number, string>();
  text: { readonly index: number; readonly item: Item } | null = null;
  readonly calls = new Map<number, { readonly index: number; readonly item: Item }>();
  last: Item | null = null;
  added = 0;
  /** The response, once nothing but the store can change how it ends. */
  ending: { readonly line: string; readonly node: ModelNode } | null = null;

  constructor(job: Job, parent: ModelNode | null) {
    this.job = job;
    this.name = job.create.name;
    this.parent = parent;
    const sent = [...(job.steers?.labels ?? []), ...job.create.input];
    const given = new Set(contextOf(parent));
    this.input = sent.filter((label) => {
      const isRepeated = label.startsWith("out ") && given.has(label);
      given.add(label);
      return !isRepeated;
    });
  }

  get lane(): string {
    return this.job.create.lane;
  }
  get output(): readonly string[] {
    return [...this.done].toSorted(([a], [b]) => a - b).map(([, label]) => label);
  }

  closeText(): void {
    if (this.text !== null) this.done.set(this.text.index, this.text.item.label);
    this.text = null;
  }

  /** Takes in what the backend says; true when a steer has cut it. */
  hear(event: BackendEvent): boolean {
    const kind = event.type === "text.delta" ? "text" : event.type === "reasoning.delta" ? "think" : event.type;
    const opens = kind === "call" || ((kind === "text" || kind === "think") && this.text?.item.kind !== kind);
    if (this.isWanted && opens && this.calls.size === 0) return true;
    if (opens) this.closeText();
    if (event.type === "text.delta" || event.type === "reasoning.delta") {
      this.text ??= { index: this.added++, item: { kind: kind as "text" | "think", label: "" } };
      this.text.item.label += event.delta;
      this.last = this.text.item;
    } else if (event.type === "call") {
      const item: Item = { kind: "call", label: `call ${event.callId}` };
      this.calls.set(event.key, { index: this.added++, item });
      this.last = item;
    } else if (event.type === "call.delta") this.last = this.calls.get(event.key)?.item ?? this.last;
    return false;
  }
}

/** What the model sees of a chain. */
export function contextOf(node: ModelNode | null): readonly string[] {
  return node === null ? [] : [...contextOf(node.parent), ...node.input, ...node.output];
}
