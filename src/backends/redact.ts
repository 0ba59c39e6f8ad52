import { setImmediate } from "node:timers/promises";

/**
 * Cuts from another server's words what quotes a request or an answer, by comparison with their bytes. Both sides are compared
 * in a folded form, in which only letters and digits count, so that a quotation is found however it was escaped, cut or
 * wrapped. The work is linear in what is compared, and others have their turn between its steps.
 */

/** So many letters and digits in a row that also stand in the content are a quotation. */
const RUN = 8;
/** Content beyond this is not compared: the words are left out instead. */
const LARGEST_CONTENT = 8 * 1024 * 1024;
const SLICE_BYTES = 256 * 1024;
/** The longest escape that a slice must not be cut in. */
const ESCAPE_BYTES = 12;
const CUT = "…";

/** @param content what may have been quoted: the request as it was sent, and the answer so far */
export async function redact(words: string, content: readonly Uint8Array[]): Promise<string> {
  if (content.reduce((sum, piece) => sum + piece.byteLength, 0) > LARGEST_CONTENT) return CUT;
  const bytes = Buffer.from(words);
  const wanted = new Map<number, number[]>();
  const places: number[] = [];
  const own = new RollingHash();
  fold(bytes, 0, bytes.byteLength, (byte, at) => {
    places.push(at);
    if (!own.push(byte)) return;
    const starts = wanted.get(own.value);
    if (starts === undefined) wanted.set(own.value, [places.length - RUN]);
    else starts.push(places.length - RUN);
  });
  const masked = new Uint8Array(bytes.byteLength);
  maskIdentifiers(bytes, masked);
  const other = new RollingHash();
  const compare = (byte: number): void => {
    if (!other.push(byte)) return;
    const starts = wanted.get(other.value);
    if (starts === undefined) return;
    wanted.delete(other.value);
    for (const start of starts) masked.fill(1, places[start], (places[start + RUN - 1] ?? 0) + 1);
  };
  for (const piece of content) {
    for (let from = 0; from < piece.byteLength && wanted.size > 0; ) {
      const to = endOfSlice(piece, from);
      fold(piece, from, to, compare);
      from = to;
      if (from < piece.byteLength) await setImmediate();
    }
    // Nothing of one piece runs on in the next.
    other.reset();
  }
  return withoutMasked(bytes, masked);
}

/** The last `RUN` bytes as a number. Two runs of one number would only cut too much. */
class RollingHash {
  value = 0;
  readonly #window = new Uint8Array(RUN);
  #count = 0;

  /** Whether there are enough bytes for a value. */
  push(byte: number): boolean {
    const at = this.#count % RUN;
    const leaving = this.#count < RUN ? 0 : (this.#window[at] ?? 0);
    this.value = (Math.imul(this.value, FACTOR) + byte - Math.imul(leaving, LEAVING)) | 0;
    this.#window[at] = byte;
    this.#count += 1;
    return this.#count >= RUN;
  }

  reset(): void {
    this.value = 0;
    this.#count = 0;
  }
}

const FACTOR = 0x01_00_01_93;
let power = 1;
for (let index = 0; index < RUN; index += 1) power = Math.imul(power, FACTOR);
const LEAVING = power;

/** Where a slice may end: no escape crosses the cut. */
function endOfSlice(bytes: Uint8Array, from: number): number {
  const end = from + SLICE_BYTES;
  if (end >= bytes.byteLength) return bytes.byteLength;
  for (let cut = end; cut > end - 4096; cut -= 1) {
    const before = bytes.subarray(cut - ESCAPE_BYTES, cut);
    if (!before.includes(BACKSLASH) && !before.includes(PERCENT) && !before.includes(AMPERSAND)) return cut;
  }
  return end;
}

const BACKSLASH = 0x5c;
const PERCENT = 0x25;
const AMPERSAND = 0x26;
const SEMICOLON = 0x3b;

/** Letters in lower case and digits, as bytes of UTF-8, with the place where each was found; escapes as what they mean. */
function fold(bytes: Uint8Array, from: number, to: number, emit: (byte: number, at: number) => void): void {
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte === BACKSLASH) at = foldEscape(bytes, at, to, emit);
    else if (byte === PERCENT && hex(bytes, at + 1, 2) >= 0 && at + 2 < to) {
      emitLetter(hex(bytes, at + 1, 2), at, emit);
      at += 2;
    } else if (byte === AMPERSAND) at = endOfEntity(bytes, at, to);
    else emitLetter(byte, at, emit);
  }
}

/** Any number of backslashes, and what they escape: text is quoted in quotations. Returns where it ends. */
function foldEscape(bytes: Uint8Array, start: number, to: number, emit: (byte: number, at: number) => void): number {
  let at = start;
  while (at + 1 < to && bytes[at + 1] === BACKSLASH) at += 1;
  if (at + 1 >= to) return at;
  const letter = String.fromCharCode(bytes[at + 1] ?? 0);
  if ("nrtbf".includes(letter)) return at + 1;
  const length = { u: 4, x: 2 }[letter];
  if (length === undefined) return at;
  let code = hex(bytes, at + 2, length);
  if (code < 0) return at;
  let end = at + 1 + length;
  if (code >= 0xd800 && code < 0xdc00) {
    let low = end + 1;
    while (bytes[low] === BACKSLASH) low += 1;
    const second = bytes[low] === 0x75 ? hex(bytes, low + 1, 4) : -1;
    if (second >= 0xdc00 && second < 0xe000) {
      code = 0x1_0000 + ((code - 0xd800) << 10) + (second - 0xdc00);
      end = low + 4;
    }
  }
  // Bytes that are written one by one, as Python does, are bytes of UTF-8 already.
  if (letter === "x") emitLetter(code, start, emit);
  else for (const byte of Buffer.from(String.fromCodePoint(code))) emitLetter(byte, start, emit);
  return end;
}

/** The end of `&quot;` and its like; where none begins, the ampersand itself. */
function endOfEntity(bytes: Uint8Array, at: number, to: number): number {
  for (let end = at + 1; end < Math.min(to, at + 9); end += 1) {
    const byte = bytes[end] ?? 0;
    if (byte === SEMICOLON && end > at + 1) return end;
    if (!isAlphanumeric(byte) && byte !== 0x23) break;
  }
  return at;
}

function emitLetter(byte: number, at: number, emit: (byte: number, at: number) => void): void {
  if (byte >= 0x80 || isAlphanumeric(byte)) emit(byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte, at);
}

function isAlphanumeric(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
}

/** The number that so many hexadecimal digits write; -1 where others stand. */
function hex(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let index = at; index < at + length; index += 1) {
    const digit = Number.parseInt(String.fromCharCode(bytes[index] ?? 0), 16);
    if (Number.isNaN(digit)) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/** Words of letters and digits are names of something, and may be too short to be found as a quotation. */
function maskIdentifiers(bytes: Uint8Array, masked: Uint8Array): void {
  for (const { index, 0: word } of Buffer.from(bytes)
    .toString("latin1")
    .matchAll(/[A-Za-z0-9]{3,}/g)) {
    if (/[A-Za-z]/.test(word) && /[0-9]/.test(word)) masked.fill(1, index, index + word.length);
  }
}

/** The words with one mark for each stretch that is masked; a word of which a part is masked goes as a whole. */
function withoutMasked(bytes: Buffer, masked: Uint8Array): string {
  const isWord = (at: number): boolean => {
    const byte = bytes[at] ?? 0;
    return isAlphanumeric(byte) || byte >= 0x80 || byte === BACKSLASH || byte === 0x2d || byte === 0x5f;
  };
  for (let at = 1; at < masked.length; at += 1) {
    if (masked[at - 1] === 1 && isWord(at) && isWord(at - 1)) masked[at] = 1;
  }
  for (let at = masked.length - 2; at >= 0; at -= 1) {
    if (masked[at + 1] === 1 && isWord(at) && isWord(at + 1)) masked[at] = 1;
  }
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    let end = at;
    while (end < bytes.length && masked[end] === masked[at]) end += 1;
    text += masked[at] === 1 ? CUT : bytes.subarray(at, end).toString("utf8");
    at = end;
  }
  return text;
}
