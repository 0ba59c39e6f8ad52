import { ApiError } from "./errors.ts";
import { parseExactJson } from "./exact-json.ts";

/** Reads JSON in steps, so that a large message holds up nothing else, and no further than its limits. */

export type JsonLimits = {
  /** Levels of arrays and objects inside of each other. */
  readonly maxDepth: number;
  /** Arrays, objects and their members in all: a value takes far more memory than its text. */
  readonly maxValues: number;
};

/** Bytes that are parsed at once … */
const PIECE_BYTES = 64 * 1024;
/** … and that are looked through between two steps. */
const STEP_BYTES = 256 * 1024;

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const LETTER_U = 0x75;

/**
 * Looks through JSON for what goes beyond the limits, and does nothing else.
 * @throws ApiError `invalid_value`, `request_too_large`
 */
export function checkJsonLimits(bytes: Uint8Array, limits: JsonLimits): void {
  let depth = 0;
  let values = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      for (at += 1; at < bytes.length && bytes[at] !== QUOTE; at += 1) if (bytes[at] === BACKSLASH) at += 1;
    } else if (byte === COMMA) {
      values += 1;
    } else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
      values += 1;
      depth += 1;
      if (depth > limits.maxDepth) throw tooDeep(limits);
    } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
      depth -= 1;
    }
  }
  if (values > limits.maxValues) throw tooManyValues(limits);
}

function tooDeep({ maxDepth }: JsonLimits): ApiError {
  return new ApiError("invalid_value", `The request is nested too deeply: it may have ${maxDepth} levels.`);
}

function tooManyValues({ maxValues }: JsonLimits): ApiError {
  return new ApiError("request_too_large", `The JSON of a request may have at most ${maxValues} values.`);
}

type Members = unknown[] | Record<string, unknown>;

/** An array or object whose end has not been reached. */
type Open = {
  readonly isObject: boolean;
  /** Where its bracket is. */
  readonly start: number;
  /** What it holds so far; null while it may still be small enough to be parsed in one piece. */
  members: Members | null;
  /** Where the members begin that are not parsed yet. */
  rest: number;
  /** The last comma between its members; -1 before the first. */
  comma: number;
  /** Whether the member before `rest` was parsed by itself, so that only a comma or the end may follow. */
  isAfterMember: boolean;
};

/**
 * The value of JSON text in UTF-8, as `parseExactJson` gives it. Containers that are larger than a piece are put together from
 * their members, and long texts from their parts; everything else is parsed in pieces.
 * @param pieceBytes what is parsed at once
 * @throws ApiError `invalid_json`, `invalid_value`, `request_too_large`
 */
export function* jsonInSteps(
  bytes: Uint8Array,
  limits: JsonLimits,
  pieceBytes = PIECE_BYTES,
): Generator<void, unknown> {
  try {
    return yield* new JsonReader(bytes, limits, pieceBytes).read();
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError("invalid_json", "We could not parse the JSON of your request.", { cause: error });
  }
}

class JsonReader {
  readonly #bytes: Uint8Array;
  readonly #limits: JsonLimits;
  readonly #pieceBytes: number;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  readonly #open: Open[] = [];
  #values = 0;
  #at = 0;
  #stepAt = STEP_BYTES;
  #root: { readonly value: unknown } | null = null;

  constructor(bytes: Uint8Array, limits: JsonLimits, pieceBytes: number) {
    // The mark that some programs write before UTF-8 is no part of the text.
    const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
    this.#bytes = hasMark ? bytes.subarray(3) : bytes;
    this.#limits = limits;
    this.#pieceBytes = pieceBytes;
  }

  *read(): Generator<void, unknown> {
    const { length } = this.#bytes;
    for (; this.#at < length; this.#at += 1) {
      const byte = this.#bytes[this.#at];
      if (byte === QUOTE) yield* this.#string();
      else if (byte === COMMA) yield* this.#comma();
      else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) this.#begin(byte === OPEN_OBJECT);
      else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) this.#end(byte === CLOSE_OBJECT);
      if (this.#at < this.#stepAt) continue;
      this.#stepAt = this.#at + STEP_BYTES;
      yield;
    }
    if (this.#open.length > 0) throw new SyntaxError("the text ends too early");
    // What is neither array nor object is a single value.
    return this.#root === null ? parseExactJson(this.#text(0, length)) : this.#root.value;
  }

  #text(from: number, to: number): string {
    return this.#decoder.decode(this.#bytes.subarray(from, to));
  }

  #begin(isObject: boolean): void {
    this.#count();
    if (this.#open.length >= this.#limits.maxDepth) throw tooDeep(this.#limits);
    if (this.#open.length === 0 && (this.#root !== null || this.#text(0, this.#at).trim() !== "")) {
      throw new SyntaxError("there is more than one value");
    }
    const start = this.#at;
    this.#open.push({ isObject, start, members: null, rest: start + 1, comma: -1, isAfterMember: false });
  }

  #count(): void {
    this.#values += 1;
    if (this.#values > this.#limits.maxValues) throw tooManyValues(this.#limits);
  }

  /** Reads over a string; a long one that is a value is taken out in parts. */
  *#string(): Generator<void> {
    const start = this.#at;
    const cuts = [start + 1];
    let cutAt = start + this.#pieceBytes;
    for (this.#at += 1; ; this.#at += 1) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) throw new SyntaxError("a string has no end");
      if (byte === QUOTE) break;
      // Not inside of a character or an escape.
      if (this.#at >= cutAt && (byte & 0xc0) !== 0x80) {
        cuts.push(this.#at);
        cutAt = this.#at + this.#pieceBytes;
        if (this.#at >= this.#stepAt) {
          this.#stepAt = this.#at + STEP_BYTES;
          yield;
        }
      }
      if (byte === BACKSLASH) this.#at += this.#bytes[this.#at + 1] === LETTER_U ? 5 : 1;
    }
    const owner = this.#open.at(-1);
    if (cuts.length === 1 || owner === undefined || this.#isKey(owner, start)) return;
    const end = this.#at;
    this.#unfold(this.#open.length - 1);
    const key = this.#nameOf(owner, start);
    let text = "";
    for (const [index, cut] of cuts.entries()) {
      text += JSON.parse(`"${this.#text(cut, cuts[index + 1] ?? end)}"`) as string;
      yield;
    }
    this.#add(owner, key, text, end);
  }

  #isKey(owner: Open, start: number): boolean {
    return owner.isObject && !owner.isAfterMember && this.#text(this.#lastPlace(owner), start).trim() === "";
  }

  /** Where the newest member of a container begins. */
  #lastPlace({ comma, rest }: Open): number {
    return Math.max(comma + 1, rest);
  }

  *#comma(): Generator<void> {
    const owner = this.#open.at(-1);
    if (owner === undefined) throw new SyntaxError("there is more than one value");
    this.#count();
    const isDue = owner.isAfterMember || this.#at - owner.rest >= this.#pieceBytes;
    if (isDue) {
      this.#unfold(this.#open.length - 1);
      this.#parseRest(owner, this.#at, false);
    }
    owner.comma = this.#at;
    if (isDue) yield;
  }

  #end(isObject: boolean): void {
    const owner = this.#open.pop();
    if (owner === undefined || owner.isObject !== isObject) throw new SyntaxError("brackets do not match");
    const parent = this.#open.at(-1);
    if (owner.members !== null) this.#parseRest(owner, this.#at, true);
    else if (parent === undefined) {
      this.#root = { value: parseExactJson(this.#text(0, this.#at + 1)) };
      this.#checkEnd();
    }
    if (owner.members === null) return;
    if (parent === undefined) {
      this.#root = { value: owner.members };
      this.#checkEnd();
    } else {
      this.#add(parent, this.#nameOf(parent, owner.start), owner.members, this.#at);
    }
  }

  #checkEnd(): void {
    if (this.#text(this.#at + 1, this.#bytes.length).trim() !== "") {
      throw new SyntaxError("there is more than one value");
    }
  }

  /**
   * Has a container, and those that it stands in, put together from their members from now on, and parses those before the
   * newest.
   */
  #unfold(level: number): void {
    for (const owner of this.#open.slice(0, level + 1)) {
      owner.members ??= owner.isObject ? {} : [];
      if (owner.comma >= owner.rest) this.#parseRest(owner, owner.comma, false);
    }
  }

  /** Parses the members up to there, which is a comma or the end. */
  #parseRest(owner: Open, to: number, isEnd: boolean): void {
    const text = this.#text(owner.rest, to);
    const isFirst = owner.rest === owner.start + 1;
    owner.rest = to + 1;
    if (owner.isAfterMember) {
      owner.isAfterMember = false;
      if (text.trim() !== "") throw new SyntaxError("a member ends in the middle");
      return;
    }
    const parsed = parseExactJson(owner.isObject ? `{${text}}` : `[${text}]`) as Members;
    const names = Object.keys(parsed);
    if (names.length === 0 && !(isEnd && isFirst)) throw new SyntaxError("a member is missing");
    for (const name of names) put(owner.members, name, (parsed as Record<string, unknown>)[name]);
  }

  /** The key of a member that begins there, with what is written before it; null in an array. */
  #nameOf(owner: Open, start: number): string | null {
    const before = this.#text(this.#lastPlace(owner), start);
    if (owner.isAfterMember) throw new SyntaxError("a comma is missing");
    if (owner.isObject) {
      const names = Object.keys(JSON.parse(`{${before}0}`) as object);
      if (names[0] !== undefined && names.length === 1) return names[0];
    } else if (before.trim() === "") return null;
    throw new SyntaxError("a member begins in the middle");
  }

  /** Takes a member that was read by itself. */
  #add(owner: Open, key: string | null, value: unknown, end: number): void {
    put(owner.members, key, value);
    owner.rest = end + 1;
    owner.isAfterMember = true;
  }
}

function put(members: Members | null, name: string | null, value: unknown): void {
  if (Array.isArray(members)) members.push(value);
  // As JSON.parse has it: a field like any other.
  else if (members !== null && name === "__proto__") {
    Object.defineProperty(members, name, { value, enumerable: true, configurable: true, writable: true });
  } else if (members !== null && name !== null) members[name] = value;
}
