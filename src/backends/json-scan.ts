const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const OPEN_LIST = 91;
const BACKSLASH = 92;
const CLOSE_LIST = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

type State =
  /** Before a value. */
  | "value"
  /** Behind `[`: a value or the end of the list. */
  | "first"
  /** Behind `{`: a key or the end of the object. */
  | "firstKey"
  | "key"
  | "colon"
  /** Behind a value inside a list or an object. */
  | "next"
  | "string"
  | "escape"
  /** A number or a word. */
  | "scalar"
  | "complete"
  | "broken";

/** Follows JSON text that comes in pieces: whether it can still become JSON, and whether its value is complete. */
export class JsonScan {
  #state: State = "value";
  readonly #open: number[] = [];
  #isKey = false;

  static of(text: string): JsonScan {
    const scan = new JsonScan();
    scan.push(text);
    return scan;
  }

  /** Whether the value has ended. A number at the top never does: more digits may come. */
  get isComplete(): boolean {
    return this.#state === "complete";
  }

  /** Whether no further text can make it JSON. */
  get isBroken(): boolean {
    return this.#state === "broken";
  }

  push(text: string): void {
    for (let index = 0; index < text.length && this.#state !== "broken"; index += 1) this.#read(text.charCodeAt(index));
  }

  #read(code: number): void {
    const state = this.#state;
    if (state === "string") {
      if (code === BACKSLASH) this.#state = "escape";
      else if (code === QUOTE) this.#endString();
    } else if (state === "escape") {
      this.#state = "string";
    } else if (state === "scalar") {
      if (isScalar(code)) return;
      this.#endValue();
      this.#read(code);
    } else if (state !== "broken" && !isSpace(code)) {
      this.#readToken(state, code);
    }
  }

  #readToken(state: Exclude<State, "string" | "escape" | "scalar" | "broken">, code: number): void {
    switch (state) {
      case "value":
        return this.#beginValue(code);
      case "first":
        return code === CLOSE_LIST ? this.#close(OPEN_LIST) : this.#beginValue(code);
      case "firstKey":
        return code === CLOSE_OBJECT ? this.#close(OPEN_OBJECT) : this.#beginKey(code);
      case "key":
        return this.#beginKey(code);
      case "colon":
        this.#state = code === COLON ? "value" : "broken";
        return;
      case "next":
        if (code === COMMA) this.#state = this.#open.at(-1) === OPEN_OBJECT ? "key" : "value";
        else this.#close(code === CLOSE_LIST ? OPEN_LIST : code === CLOSE_OBJECT ? OPEN_OBJECT : null);
        return;
      case "complete":
        this.#state = "broken";
        return;
      default:
        state satisfies never;
    }
  }

  #beginValue(code: number): void {
    if (code === OPEN_OBJECT || code === OPEN_LIST) {
      this.#open.push(code);
      this.#state = code === OPEN_OBJECT ? "firstKey" : "first";
    } else if (code === QUOTE) {
      this.#isKey = false;
      this.#state = "string";
    } else {
      this.#state = isScalar(code) ? "scalar" : "broken";
    }
  }

  #beginKey(code: number): void {
    this.#isKey = true;
    this.#state = code === QUOTE ? "string" : "broken";
  }

  #endString(): void {
    if (this.#isKey) this.#state = "colon";
    else this.#endValue();
  }

  #close(opened: number | null): void {
    if (opened === null || this.#open.pop() !== opened) this.#state = "broken";
    else this.#endValue();
  }

  #endValue(): void {
    this.#state = this.#open.length === 0 ? "complete" : "next";
  }
}

function isSpace(code: number): boolean {
  return code === 32 || code === 10 || code === 13 || code === 9;
}

/** Letters, digits, signs and dots: what numbers and words consist of. */
function isScalar(code: number): boolean {
  return (
    (code >= 48 && code <= 57) ||
    (code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) ||
    code === 45 ||
    code === 46 ||
    code === 43
  );
}
