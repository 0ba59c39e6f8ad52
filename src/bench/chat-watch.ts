import { BenchError, DONE, type TurnResult, type Watch } from "./turn.ts";

type Chunk = {
  readonly id?: string;
  readonly error?: unknown;
  readonly choices?: readonly { readonly delta?: { readonly [field: string]: unknown } }[];
};

/** Watches the chunks of a chat-completions answer. After the first token they are counted, and not parsed. */
export class ChatWatch implements Watch {
  readonly #sentAt = performance.now();
  #firstDeltaAt: number | null = null;
  #id = "";
  #chunks = 0;

  read(data: string): TurnResult | null {
    const now = performance.now();
    if (data === DONE) {
      return {
        id: this.#id,
        output: [],
        events: this.#chunks,
        sentAt: this.#sentAt,
        firstDeltaAt: this.#firstDeltaAt,
        endedAt: now,
      };
    }
    this.#chunks += 1;
    if (this.#firstDeltaAt === null) this.#first(data, now);
    return null;
  }

  #first(data: string, now: number): void {
    const { id, error, choices } = JSON.parse(data) as Chunk;
    if (error !== undefined) throw new BenchError(`a turn did not complete: ${data.slice(0, 300)}`);
    this.#id = id ?? "";
    const { role: _, ...said } = choices?.[0]?.delta ?? {};
    if (Object.values(said).some((value) => value !== "" && value !== null)) this.#firstDeltaAt = now;
  }
}
