/** Fields of a chunk that has no choice and is no mystery: usage, sources, and what servers send about their filters. */
const KNOWN_FIELDS = ["choices", "usage", "x_groq", "citations", "search_results", "timings", "prompt_filter_results"];
const MOST_FIELDS = 8;
const MOST_REPORTED = 32;
/** A field's name as a log may show it; another one may hold content. */
const PLAIN_NAME = /^[a-zA-Z_][\w.-]{0,39}$/;

/** Whether nothing of a chunk that has no choice was understood. */
export function isUnknownChunk(chunk: { readonly [field: string]: unknown }): boolean {
  return !KNOWN_FIELDS.some((field) => field in chunk);
}

/** Tells the operator of chunks that the server skipped, by the names of their fields: each kind once. */
export class UnknownChunks {
  readonly #reported = new Set<string>();

  report(fields: readonly string[], model: string, log: { warn(fields: object, message: string): void }): void {
    const shown = fields.slice(0, MOST_FIELDS).map((name) => (PLAIN_NAME.test(name) ? name : "(another)"));
    const kind = JSON.stringify([model, shown]);
    if (this.#reported.has(kind) || this.#reported.size >= MOST_REPORTED) return;
    this.#reported.add(kind);
    log.warn({ model, fields: shown }, "skipped a chunk of the model server's answer that is no chat completion chunk");
  }
}
