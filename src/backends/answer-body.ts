import { type SseEvent, SseDecoder } from "../protocol/sse-decoder.ts";

/** What a body turned out to be, by how it begins: content types are often wrong or missing. */
type Form =
  | { readonly kind: "unknown"; readonly begun: readonly Uint8Array[] }
  | { readonly kind: "events"; readonly decoder: SseDecoder }
  /** JSON, either one value or one on each line: the first line tells. */
  | { readonly kind: "json"; readonly text: JsonText };

const LONGEST_QUOTE = 2000;

/** Cuts the body of an answer into chunks: an event stream, JSON values on lines, or one JSON value. */
export class AnswerBody {
  readonly #maxEventLength: number;
  #form: Form = { kind: "unknown", begun: [] };
  #hasEvents = false;
  /** The beginning, for the log, as long as nothing was understood. */
  #beginning: Uint8Array[] = [];
  #beginningLength = 0;

  constructor(maxEventLength: number) {
    this.#maxEventLength = maxEventLength;
  }

  /** What the body began with, where no event has been found in it; null once one has. */
  get strange(): string | null {
    return this.#hasEvents ? null : Buffer.concat(this.#beginning).subarray(0, LONGEST_QUOTE).toString("utf8");
  }

  /** The chunks that these bytes complete. @throws RangeError when one is too long */
  push(bytes: Uint8Array): readonly SseEvent[] {
    const events = this.#read(bytes);
    if (events.length > 0) {
      this.#hasEvents = true;
      this.#beginning = [];
    } else if (!this.#hasEvents && this.#beginningLength < LONGEST_QUOTE) {
      this.#beginning.push(bytes.subarray(0, LONGEST_QUOTE));
      this.#beginningLength += bytes.length;
    }
    return events;
  }

  /** What the end of the body completes. */
  end(): readonly SseEvent[] {
    const form = this.#form;
    const events = form.kind === "events" ? form.decoder.end() : form.kind === "json" ? form.text.end() : [];
    if (events.length > 0) this.#hasEvents = true;
    return events;
  }

  #read(bytes: Uint8Array): readonly SseEvent[] {
    const form = this.#form;
    if (form.kind === "events") return form.decoder.push(bytes);
    if (form.kind === "json") return form.text.push(bytes);
    const begun = [...form.begun, bytes];
    const first = bytes.find((byte) => !isBlank(byte));
    if (first === undefined) {
      this.#form = { kind: "unknown", begun };
      return [];
    }
    const isJson = first === OPEN_OBJECT || first === OPEN_LIST;
    if (isJson) this.#form = { kind: "json", text: new JsonText(this.#maxEventLength) };
    else this.#form = { kind: "events", decoder: new SseDecoder(this.#maxEventLength) };
    return begun.flatMap((piece) => this.#read(piece));
  }
}

const OPEN_OBJECT = 123;
const OPEN_LIST = 91;

/** White space, and the bytes of a byte order mark. */
function isBlank(byte: number): boolean {
  return byte === 32 || (byte >= 9 && byte <= 13) || byte === 0xef || byte === 0xbb || byte === 0xbf;
}

/** JSON text, in one value or in one value a line. */
class JsonText {
  readonly #decoder = new TextDecoder();
  readonly #maxLength: number;
  #pieces: string[] = [];
  #length = 0;
  /** Undefined until the first line has ended. */
  #isLines: boolean | undefined;
  #lines = 0;

  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  push(bytes: Uint8Array): readonly SseEvent[] {
    const text = this.#decoder.decode(bytes, { stream: true });
    this.#pieces.push(text);
    this.#length += text.length;
    if (this.#length > this.#maxLength) {
      throw new RangeError(`a JSON answer is longer than ${this.#maxLength} characters`);
    }
    return this.#isLines === false || !text.includes("\n") ? [] : this.#cutLines();
  }

  /** A server that sent one value has ended its answer with it, whatever it says of its end. */
  end(): readonly SseEvent[] {
    this.#pieces.push(this.#decoder.decode());
    const rest = this.#pieces.join("").trim();
    this.#pieces = [];
    const events = rest === "" ? [] : [eventOf(rest)];
    return this.#lines + events.length === 1 ? [...events, eventOf("[DONE]")] : events;
  }

  #cutLines(): readonly SseEvent[] {
    const lines = this.#pieces.join("").split("\n");
    const [first = ""] = lines;
    this.#isLines ??= isJson(first);
    if (!this.#isLines) return [];
    const rest = lines.pop() ?? "";
    this.#pieces = [rest];
    this.#length = rest.length;
    const events = lines.flatMap((line) => (line.trim() === "" ? [] : eventOf(line)));
    this.#lines += events.length;
    return events;
  }
}

function eventOf(data: string): SseEvent {
  return { name: null, data };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
