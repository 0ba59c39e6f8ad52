import { shorten } from "./violation.ts";

type Entry = { readonly who: string; readonly arrow: "→" | "←" | "·"; readonly text: string; readonly kind: string };

const LONGEST_TEXT = 300;
const MOST_LINES = 14;
/** Beyond this a case's own frames are no longer kept; the beginning is cut, since what broke is at the end. */
const MOST_ENTRIES = 2000;

/** What went over the wire in one case, in order, for the message of a failure. */
export class Transcript {
  #entries: Entry[] = [];

  sent(who: string, text: string): void {
    this.#add({ who, arrow: "→", text, kind: "" });
  }

  received(who: string, text: string, kind = ""): void {
    this.#add({ who, arrow: "←", text, kind });
  }

  note(who: string, text: string): void {
    this.#add({ who, arrow: "·", text, kind: "" });
  }

  /** Takes over what another one has seen: a recording that several cases look at. */
  include(other: Transcript): void {
    this.#entries.push(...other.#entries);
  }

  /** The end of it as lines: runs of deltas are one line, and long frames are cut. */
  lines(): readonly string[] {
    const lines: string[] = [];
    for (let index = 0; index < this.#entries.length; index += 1) {
      const { who, arrow, text, kind } = this.#entries[index]!;
      let run = 1;
      while (kind.endsWith(".delta") && this.#isRun(index + run, who, kind)) run += 1;
      lines.push(`${who} ${arrow} ${shorten(text, LONGEST_TEXT)}`);
      if (run > 1) lines.push(`${who} ${arrow} … ${run - 1} more ${kind}`);
      index += run - 1;
    }
    if (lines.length <= MOST_LINES) return lines;
    // The request stands at the beginning, and what went wrong at the end.
    return [...lines.slice(0, 2), `… ${lines.length - MOST_LINES} lines`, ...lines.slice(2 - MOST_LINES)];
  }

  #isRun(index: number, who: string, kind: string): boolean {
    const next = this.#entries[index];
    return next !== undefined && next.who === who && next.kind === kind;
  }

  #add(entry: Entry): void {
    this.#entries.push(entry);
    if (this.#entries.length > MOST_ENTRIES) this.#entries = this.#entries.slice(-MOST_ENTRIES / 2);
  }
}
