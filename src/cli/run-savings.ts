import type { EngineEvent, Observer } from "../core/ports.ts";

/**
 * What a program sent, and about what it would have sent with its whole context in every request. The size of a context is
 * known in tokens only, so turns that brought all of theirs tell how many bytes a token is.
 */
export class Savings implements Observer {
  #turns = 0;
  #continued = 0;
  #sent = 0;
  /** Of turns that brought their whole context. */
  readonly #whole = { bytes: 0, tokens: 0 };
  readonly #later: { readonly bytes: number; readonly tokens: number }[] = [];

  observe(event: EngineEvent): void {
    if (event.kind !== "turn.ended" || event.outcome === "refused") return;
    const tokens = event.usage?.input_tokens ?? 0;
    this.#turns += 1;
    this.#sent += event.bytesIn;
    if (event.previousResponseId !== null) {
      this.#continued += 1;
      this.#later.push({ bytes: event.bytesIn, tokens });
    } else if (tokens > 0) {
      this.#whole.bytes += event.bytesIn;
      this.#whole.tokens += tokens;
    }
  }

  /** One line; null when no turn ran. */
  get line(): string | null {
    if (this.#turns === 0) return null;
    const turns = `${this.#turns} ${this.#turns === 1 ? "turn" : "turns"}, ${bytes(this.#sent)} sent`;
    if (this.#continued === 0) return `${turns}; every request brought its whole context, so nothing was saved`;
    if (this.#whole.tokens === 0) return `${turns}; the model server counts no tokens, so what was saved is not known`;
    const perToken = this.#whole.bytes / this.#whole.tokens;
    const saved = this.#later.reduce((sum, turn) => sum + Math.max(0, turn.tokens * perToken - turn.bytes), 0);
    const stateless = this.#sent + saved;
    const share = ((saved / stateless) * 100).toFixed(0);
    return `${turns}; without continuation it would have been about ${bytes(stateless)}: ${share} % saved`;
  }
}

function bytes(count: number): string {
  return count < 1e6 ? `${(count / 1000).toFixed(1)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}
