import type { Item } from "../../protocol/items.ts";
import type { RecordedTurn, Recording } from "../recording.ts";

type OpenTurn = { readonly input: Item[]; readonly output: Item[]; readonly request: string | undefined };

/**
 * Makes recordings of items in the order in which they were logged. A turn ends where new input follows output; where the
 * log says which request of the model an output belongs to, that counts instead.
 */
export class RunBuilder {
  model = "unknown";
  instructions = "";
  tools: readonly object[] = [];
  readonly #id: string;
  readonly #done: Recording[] = [];
  #turns: OpenTurn[] = [];
  #input: Item[] = [];

  constructor(id: string) {
    this.#id = id;
  }

  input(...items: readonly Item[]): void {
    this.#input.push(...items);
  }

  /** @param request which request of the model it came from, if the log knows */
  output(item: Item, request?: string): void {
    const last = this.#turns.at(-1);
    // Some logs put a call's output before the next call of the same answer.
    const isSame = request !== undefined && request === last?.request;
    if (last !== undefined && (isSame || (this.#input.length === 0 && request === last.request))) {
      last.output.push(item);
      return;
    }
    this.#turns.push({ input: this.#input, output: [item], request });
    this.#input = [];
  }

  /** The context was replaced, as a compaction does: what follows is a run of its own, which begins with these items. */
  restart(items: readonly Item[]): void {
    this.#close();
    this.#input = [...items];
  }

  /** Everything so far. Input that no turn followed is left out. */
  finish(): readonly Recording[] {
    this.#close();
    return this.#done;
  }

  #close(): void {
    if (this.#turns.length > 0) {
      const part = this.#done.length === 0 ? "" : `#${this.#done.length + 1}`;
      const { model, instructions, tools } = this;
      this.#done.push({ id: this.#id + part, model, instructions, tools, turns: paired(this.#turns) });
    }
    this.#turns = [];
    this.#input = [];
  }
}

const OUTPUT_OF: { readonly [type: string]: string } = { custom_tool_call: "custom_tool_call_output" };

/**
 * Servers refuse a call without its output, and an output without its call; logs of runs that were interrupted have both.
 * A missing output is filled in as clients do, and one too many is dropped.
 */
function paired(turns: readonly OpenTurn[]): readonly RecordedTurn[] {
  const known = new Set<unknown>();
  return turns.map(({ input, output }, index) => {
    for (const item of input) if (isCall(item)) known.add(item["call_id"]);
    const kept = input.filter((item) => !isOutput(item) || known.has(item["call_id"]));
    const answered = new Set(kept.filter(isOutput).map((item) => item["call_id"]));
    const open = (turns[index - 1]?.output ?? []).filter((item) => isCall(item) && !answered.has(item["call_id"]));
    for (const item of output) if (isCall(item)) known.add(item["call_id"]);
    return { input: [...open.map(aborted), ...kept], output };
  });
}

function isCall({ type, call_id: id }: Item): boolean {
  return typeof id === "string" && type.endsWith("_call");
}

function isOutput({ type, call_id: id }: Item): boolean {
  return typeof id === "string" && type.endsWith("_output");
}

function aborted({ type, call_id }: Item): Item {
  return { type: OUTPUT_OF[type] ?? "function_call_output", call_id, output: "aborted" };
}
