import { setImmediate } from "node:timers/promises";

/** Encodings of OpenAI's: exact for its models, and close for most others on text of the same kind. */
export type Encoding = "o200k_base" | "cl100k_base";

type CountText = (text: string) => number;

/** Characters that are counted before others have their turn. */
const SLICE = 16 * 1024;
/** What a text costs beside its characters, in characters. */
const PER_TEXT = 64;
/** The encoder's time grows with the square of a run that has no natural end. Cutting it costs one token per cut at most. */
const LONGEST_RUN = 256;
const LONG_RUN = new RegExp(`\\s{${LONGEST_RUN + 1},}|[^\\s\\d]{${LONGEST_RUN + 1},}`, "g");

/** Counts tokens; its tables are loaded when they are first needed. */
export class Tokenizer {
  readonly #encoding: Encoding;
  #loaded: Promise<CountText> | undefined;
  /** Characters that were counted since others last had their turn, in however many texts. */
  #unpaused = 0;

  constructor(encoding: Encoding) {
    this.#encoding = encoding;
  }

  /** The tokens of a text, special tokens read as the characters that they are written with. */
  async count(text: string): Promise<number> {
    this.#loaded ??= load(this.#encoding);
    const countText = await this.#loaded;
    let tokens = 0;
    for (let at = 0; at < text.length; at += SLICE) {
      const slice = text.slice(at, at + SLICE);
      this.#unpaused += slice.length + PER_TEXT;
      if (this.#unpaused > SLICE) {
        this.#unpaused = 0;
        await setImmediate();
      }
      for (const piece of withoutLongRuns(slice)) tokens += countText(piece);
    }
    return tokens;
  }
}

async function load(encoding: Encoding): Promise<CountText> {
  const { countTokens } =
    encoding === "o200k_base"
      ? await import("gpt-tokenizer/encoding/o200k_base")
      : await import("gpt-tokenizer/encoding/cl100k_base");
  const options = { disallowedSpecial: new Set<string>() };
  return (text) => countTokens(text, options);
}

function* withoutLongRuns(text: string): Iterable<string> {
  let done = 0;
  for (const { 0: run, index } of text.matchAll(LONG_RUN)) {
    if (index > done) yield text.slice(done, index);
    for (let at = 0; at < run.length; at += LONGEST_RUN) yield run.slice(at, at + LONGEST_RUN);
    done = index + run.length;
  }
  if (done < text.length) yield text.slice(done);
}
