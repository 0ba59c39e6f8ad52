import { JsonScan } from "./json-scan.ts";

/**
 * The arguments of one tool call, from pieces: most servers send what is new, some send all that there is so far each time,
 * some send everything once more at the end, some send `{}` before the real arguments.
 */
export class CallArguments {
  #text = "";
  #scan = new JsonScan();
  /** Understood, and not taken yet. */
  #fresh = "";
  /** A piece that may be new text or all that there is so far: the next piece tells. */
  #held: string | null = null;
  /** How far the arguments have been repeated since they were complete. */
  #repeated = 0;

  get text(): string {
    return this.#text;
  }

  get isEmpty(): boolean {
    return this.#text === "" && this.#held === null;
  }

  /** Whether the JSON value has ended. */
  get isComplete(): boolean {
    return this.#scan.isComplete && this.#held === null;
  }

  push(piece: string): void {
    if (piece === "") return;
    const held = this.#held;
    this.#held = null;
    if (held !== null) {
      if (piece.length >= held.length && piece.startsWith(held)) this.#replace(held);
      else this.#append(held);
    }
    if (this.#scan.isComplete) this.#pushBehindEnd(piece);
    else if (this.#mayRepeat(piece)) this.#pushRepeating(piece);
    else this.#append(piece);
  }

  /** What was understood since the last call. An empty object waits: a few servers send it before the real arguments. */
  take(): string {
    if (this.#isPlaceholder()) return "";
    const fresh = this.#fresh;
    this.#fresh = "";
    return fresh;
  }

  /** Nothing more comes: what is left. */
  end(): string {
    const held = this.#held;
    this.#held = null;
    if (held !== null) {
      if (!JsonScan.of(this.#text + held).isComplete && JsonScan.of(held).isComplete) this.#replace(held);
      else this.#append(held);
    }
    const fresh = this.#fresh;
    this.#fresh = "";
    return fresh;
  }

  /** Whether the piece says only what was said before: white space, or the arguments once more, in one piece or several. */
  repeats(piece: string): boolean {
    if (piece.trim() === "" || sameJson(piece, this.#text)) return true;
    if (!this.#text.startsWith(piece, this.#repeated)) return false;
    this.#repeated += piece.length;
    return true;
  }

  #pushBehindEnd(piece: string): void {
    if (this.#isPlaceholder() && piece.trim() !== "") {
      this.#text = "";
      this.#fresh = "";
      this.#scan = new JsonScan();
      this.#append(piece);
    } else if (!this.repeats(piece)) {
      this.#append(piece);
    }
  }

  #mayRepeat(piece: string): boolean {
    const { length } = this.#text;
    if (length === 0 || piece.length < length || this.#scan.isBroken) return false;
    return /^\s*[{[]/.test(this.#text) && piece.startsWith(this.#text);
  }

  /** A piece that begins with all that came before. Where both cannot stand behind each other, it says all so far. */
  #pushRepeating(piece: string): void {
    if (JsonScan.of(this.#text + piece).isBroken) this.#replace(piece);
    else this.#held = piece;
  }

  #replace(all: string): void {
    this.#append(all.slice(this.#text.length));
  }

  #append(piece: string): void {
    this.#text += piece;
    this.#fresh += piece;
    this.#scan.push(piece);
  }

  #isPlaceholder(): boolean {
    return this.#text.length <= 8 && this.#scan.isComplete && /^\s*\{\s*\}\s*$/.test(this.#text);
  }
}

/** Whether two JSON texts have the same value. */
export function sameJson(one: string, other: string): boolean {
  if (one === other) return true;
  try {
    return JSON.stringify(JSON.parse(one)) === JSON.stringify(JSON.parse(other));
  } catch {
    return false;
  }
}
