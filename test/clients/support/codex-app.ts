import type { Codex } from "./codex.ts";
import type { Program } from "./program.ts";

type Message = {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly turn?: Turn; readonly item?: Item; readonly delta?: string };
  readonly result?: { readonly thread?: { readonly id: string }; readonly turn?: Turn };
  readonly error?: { readonly message: string };
};

type Item = { readonly type: string; readonly text?: string };

export type Turn = {
  readonly id: string;
  readonly status: "completed" | "interrupted" | "failed" | "inProgress";
  readonly error: { readonly message: string } | null;
};

/** One thread of `codex app-server`: the same process for all of its turns, as in the editors that use it. */
export class CodexApp {
  readonly #program: Program;
  readonly #seen: Message[] = [];
  #thread = "";
  #lines = 0;
  #requests = 0;

  private constructor(program: Program) {
    this.#program = program;
  }

  static async open(codex: Codex): Promise<CodexApp> {
    const app = new CodexApp(codex.startAppServer());
    await app.#request("initialize", { clientInfo: { name: "test", title: null, version: "0" }, capabilities: null });
    app.#send({ method: "initialized" });
    const { thread } = await app.#request("thread/start", { cwd: codex.work });
    app.#thread = thread?.id ?? "";
    return app;
  }

  /** Starts a turn. */
  async start(text: string): Promise<Turn> {
    const input = [{ type: "text", text, text_elements: [] }];
    return (await this.#request("turn/start", { threadId: this.#thread, input })).turn as Turn;
  }

  /** Runs a turn to its end. */
  async turn(text: string): Promise<Turn> {
    await this.start(text);
    return this.ended();
  }

  /** The next turn that ends. */
  async ended(): Promise<Turn> {
    return (await this.notice("turn/completed")).params?.turn as Turn;
  }

  async interrupt({ id }: Turn): Promise<void> {
    await this.#request("turn/interrupt", { threadId: this.#thread, turnId: id });
  }

  /** What the user's `/compact` does. */
  async compact(): Promise<Turn> {
    await this.#request("thread/compact/start", { threadId: this.#thread });
    return this.ended();
  }

  /** Waits for the next notification of that name. */
  notice(method: string): Promise<Message> {
    return this.#next((message) => message.method === method);
  }

  async itemStarted(type: string): Promise<void> {
    await this.#next(({ method, params }) => method === "item/started" && params?.item?.type === type);
  }

  /** All that the assistant has said. */
  get said(): readonly string[] {
    const items = this.#seen.filter(({ method }) => method === "item/completed").map(({ params }) => params?.item);
    return items.flatMap((item) => (item?.type === "agentMessage" ? [item.text ?? ""] : []));
  }

  /** Warnings and errors that the user was shown. */
  get complaints(): readonly Message[] {
    return this.#seen.filter(({ method }) => method === "error");
  }

  #send(message: object): void {
    this.#program.write(`${JSON.stringify(message)}\n`);
  }

  async #request(method: string, params: object): Promise<NonNullable<Message["result"]>> {
    const id = this.#requests;
    this.#requests += 1;
    this.#send({ id, method, params });
    const { result, error } = await this.#next((message) => message.id === id && message.method === undefined);
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }

  async #next(isWanted: (message: Message) => boolean): Promise<Message> {
    for (;;) {
      const { text } = await this.#program.line(() => true, this.#lines);
      this.#lines += 1;
      const message = JSON.parse(text) as Message;
      this.#seen.push(message);
      if (isWanted(message)) return message;
    }
  }
}
