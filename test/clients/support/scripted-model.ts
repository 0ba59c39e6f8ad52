import { isDeepStrictEqual } from "node:util";
import { block, ChatUpstream, delta, type UpstreamCall, type UpstreamStep } from "../../support/chat-upstream.ts";

/** What the model says in one turn. */
export type Step = {
  readonly reasoning?: string;
  readonly text?: string;
  readonly calls?: readonly { readonly name: string; readonly input: unknown }[];
};

type Message = UpstreamCall["body"]["messages"][number];
type ToolCall = {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
};
type Answer = { readonly call: UpstreamCall; readonly step: Step };

const TASK = /\[task:([\w-]+)\]/;

/**
 * A chat-completions server that works through plans. A user message with `[task:name]` starts the plan of that name, and
 * the step to take is told by the context alone: one for each thing that the model has said since. A context that has lost
 * something is therefore answered by a step that was taken before, and the client does it twice. Besides, every context is
 * held against what the model said and against the context before it; what is not as it must be is in `wrong`.
 */
export class ScriptedModel {
  readonly upstream: ChatUpstream;
  /** The requests that belong to plans, in their order. */
  readonly calls: UpstreamCall[] = [];
  /** Requests without a task, such as one for a title. */
  readonly asides: UpstreamCall[] = [];
  /** What was not as it must be. */
  readonly wrong: string[] = [];
  readonly #plans = new Map<string, readonly Step[]>();
  readonly #faults = new Map<number, UpstreamStep>();
  readonly #arrivals = new Map<number, () => void>();
  #last: Answer | null = null;

  private constructor(upstream: ChatUpstream) {
    this.upstream = upstream;
    upstream.otherwise((response, call) => this.#answer(response, call));
  }

  static async start(plans: Readonly<Record<string, readonly Step[]>> = {}): Promise<ScriptedModel> {
    const model = new ScriptedModel(await ChatUpstream.start());
    for (const [name, steps] of Object.entries(plans)) model.plan(name, steps);
    return model;
  }

  plan(name: string, steps: readonly Step[]): void {
    this.#plans.set(name, steps);
  }

  /** The request with this number, counted from 0 over all plans, ends like this instead. */
  fault(index: number, step: UpstreamStep): void {
    this.#faults.set(index, step);
  }

  /** Resolves when the request with this number is there. */
  arrival(index: number): Promise<void> {
    if (this.calls.length > index) return Promise.resolve();
    return new Promise((resolve) => this.#arrivals.set(index, resolve));
  }

  /** The messages of a request, the last one without a number. */
  messages(index = -1): readonly Message[] {
    return this.calls.at(index)?.body.messages ?? [];
  }

  /** What the tools gave, as the last request shows it. */
  outputs(): readonly string[] {
    return this.messages()
      .filter(({ role }) => role === "tool")
      .map(contentOf);
  }

  async close(): Promise<void> {
    await this.upstream.close();
  }

  #answer(response: Parameters<UpstreamStep>[0], call: UpstreamCall): void | Promise<void> {
    const at = this.#position(call.body.messages);
    if (at === null) {
      this.asides.push(call);
      return stream(response, { text: "Some words" }, "aside");
    }
    const index = this.calls.push(call) - 1;
    this.#arrivals.get(index)?.();
    const fault = this.#faults.get(index);
    if (fault !== undefined) return fault(response, call);
    this.#compare(call);
    const step = this.#plans.get(at.task)?.[at.step];
    if (step === undefined) {
      this.wrong.push(`request ${index} goes on after the end of the plan '${at.task}'`);
      return stream(response, { text: "There is nothing left to do." }, "end");
    }
    this.#last = { call, step };
    return stream(response, step, `${at.task}_${at.step}`);
  }

  /** Walks through a context and finds out where it stands. */
  #position(messages: readonly Message[]): { readonly task: string; readonly step: number } | null {
    let at: { task: string; step: number } | null = null;
    let open: string[] = [];
    for (const [index, message] of messages.entries()) {
      const where = `message ${index} of request ${this.calls.length}`;
      if (message.role === "tool") {
        const id = message["tool_call_id"] as string;
        if (open[0] === id) open = open.slice(1);
        else this.wrong.push(`${where} is an output of ${id}, and ${open[0] ?? "none"} was due`);
        continue;
      }
      if (open.length > 0) this.wrong.push(`${where} stands where an output of ${open[0]} was due`);
      open = [];
      if (message.role === "user") {
        const task = TASK.exec(contentOf(message))?.[1];
        if (task !== undefined) at = { task, step: 0 };
      } else if (message.role === "assistant" && at !== null) {
        const step: Step | undefined = this.#plans.get(at.task)?.[at.step];
        const said = step && saidAs(step, `${at.task}_${at.step}`);
        if (said === undefined || !saysTheSame(message, said)) {
          this.wrong.push(`${where} is ${JSON.stringify(message)}, and was ${JSON.stringify(said)}`);
        }
        open = (said?.tool_calls ?? []).map(({ id }) => id);
        at.step += 1;
      }
    }
    if (open.length > 0) this.wrong.push(`request ${this.calls.length} has no output of ${open.join(", ")}`);
    return at;
  }

  /** A context is the one before it, what was said to that, and what is new. */
  #compare({ body: { messages } }: UpstreamCall): void {
    const before = this.#last?.call.body.messages ?? [];
    const index = before.findIndex((message, at) => !isDeepStrictEqual(message, messages[at]));
    if (index < 0) return;
    const [was, is] = [before[index], messages[index]].map((message) => JSON.stringify(message)?.slice(0, 400));
    this.wrong.push(`message ${index} of request ${this.calls.length - 1} is ${is}, and was ${was} before`);
  }
}

/** The text of a message, whose content may be in parts. */
export function contentOf(message: Message): string {
  const { content } = message as { readonly content?: unknown };
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part: { readonly text?: string }) => part.text ?? "").join("");
}

function toolCalls(step: Step, name: string): readonly ToolCall[] {
  return (step.calls ?? []).map((call, index) => ({
    id: `call_${name}_${index}`,
    type: "function",
    function: {
      name: call.name,
      arguments: typeof call.input === "string" ? call.input : JSON.stringify(call.input),
    },
  }));
}

function saidAs(step: Step, name: string) {
  return { content: step.text ?? "", tool_calls: toolCalls(step, name) };
}

function saysTheSame(message: Message, said: ReturnType<typeof saidAs>): boolean {
  const { tool_calls = [] } = message as { readonly tool_calls?: readonly ToolCall[] };
  return contentOf(message) === said.content && isDeepStrictEqual(tool_calls, said.tool_calls);
}

/** Streams a step in small pieces; the arguments of parallel calls come mixed. */
function stream(response: Parameters<UpstreamStep>[0], step: Step, name: string): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const chunk of chunksOf(step, name)) response.write(block(chunk));
  response.write(block({ choices: [], usage: usageOf(step) }));
  response.end(block("[DONE]"));
}

function* chunksOf(step: Step, name: string): Generator<object> {
  yield delta({ role: "assistant", content: "" });
  for (const reasoning_content of pieces(step.reasoning ?? "")) yield delta({ reasoning_content });
  for (const content of pieces(step.text ?? "")) yield delta({ content });
  const calls = toolCalls(step, name);
  for (const [index, call] of calls.entries()) {
    yield delta({ tool_calls: [{ ...call, index, function: { ...call.function, arguments: "" } }] });
  }
  const cut = calls.map((call) => pieces(call.function.arguments));
  for (let piece = 0; piece < 3; piece += 1) {
    for (const [index, parts] of cut.entries()) {
      if (parts[piece]) yield delta({ tool_calls: [{ index, function: { arguments: parts[piece] } }] });
    }
  }
  yield delta({}, calls.length > 0 ? "tool_calls" : "stop");
}

function usageOf(step: Step) {
  const completion_tokens = Math.ceil(JSON.stringify(step).length / 4);
  return { prompt_tokens: 1000, completion_tokens, total_tokens: 1000 + completion_tokens };
}

/** A text in three pieces. */
function pieces(text: string): readonly string[] {
  const size = Math.ceil(text.length / 3);
  return [text.slice(0, size), text.slice(size, 2 * size), text.slice(2 * size)].filter((piece) => piece !== "");
}

/** Streams the beginning of a step, and then the connection is cut. */
export function cutIn(step: Step): UpstreamStep {
  return async (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const chunks = [...chunksOf(step, "cut")];
    for (const chunk of chunks.slice(0, -2)) {
      await new Promise<void>((resolve) => response.write(block(chunk), () => resolve()));
    }
    response.destroy();
  };
}
