/** One event of an event stream: its name, where it has one, and its data. */
export type SseEvent = { readonly name: string | null; readonly data: string };

const SPACE = 32;
const LINE_FEED = 10;

/**
 * Cuts a byte stream into the events of the event-stream standard: lines end with CR, LF or both, a byte order mark is
 * skipped, and an event whose data is empty is no event. A chunk may split a line or a UTF-8 sequence anywhere. A line
 * costs time in proportion to its length, however many chunks bring it.
 */
export class SseDecoder {
  readonly #decoder = new TextDecoder();
  readonly #maxEventLength: number;
  /** The line that has not ended yet, in the pieces in which it came. */
  #pieces: string[] = [];
  #piecesLength = 0;
  #name: string | null = null;
  #data: string[] | null = null;
  #dataLength = 0;
  /** The last chunk ended with a CR: a LF that follows belongs to it. */
  #endedWithCr = false;

  /** @param maxEventLength characters that one event may have before it ends; a stream without line ends stops here */
  constructor(maxEventLength: number) {
    this.#maxEventLength = maxEventLength;
  }

  /** The events that these bytes complete. @throws RangeError when one event is longer than the limit */
  push(bytes: Uint8Array): readonly SseEvent[] {
    const events: SseEvent[] = [];
    this.#read(this.#decoder.decode(bytes, { stream: true }), events);
    if (this.#piecesLength + this.#dataLength > this.#maxEventLength) {
      throw new RangeError(`an SSE event is longer than ${this.#maxEventLength} characters`);
    }
    return events;
  }

  /** The event that the end of the stream completes: some servers leave out the last empty line. */
  end(): readonly SseEvent[] {
    const events: SseEvent[] = [];
    this.#read(`${this.#decoder.decode()}\n\n`, events);
    return events;
  }

  #read(text: string, events: SseEvent[]): void {
    let start = 0;
    if (this.#endedWithCr && text !== "") {
      this.#endedWithCr = false;
      if (text.charCodeAt(0) === LINE_FEED) start = 1;
    }
    let feed = text.indexOf("\n", start);
    let carriage = text.indexOf("\r", start);
    while (feed !== -1 || carriage !== -1) {
      const isCarriage = feed === -1 || (carriage !== -1 && carriage < feed);
      const end = isCarriage ? carriage : feed;
      this.#line(this.#whole(text.slice(start, end)), events);
      start = end + 1;
      if (isCarriage) {
        if (start === text.length) this.#endedWithCr = true;
        else if (text.charCodeAt(start) === LINE_FEED) start += 1;
      }
      if (feed !== -1 && feed < start) feed = text.indexOf("\n", start);
      if (carriage !== -1 && carriage < start) carriage = text.indexOf("\r", start);
    }
    if (start === text.length) return;
    this.#pieces.push(start === 0 ? text : text.slice(start));
    this.#piecesLength += text.length - start;
  }

  #whole(last: string): string {
    if (this.#pieces.length === 0) return last;
    const line = this.#pieces.join("") + last;
    this.#pieces = [];
    this.#piecesLength = 0;
    return line;
  }

  #line(line: string, events: SseEvent[]): void {
    if (line === "") {
      const data = this.#data?.join("\n") ?? "";
      if (data !== "") events.push({ name: this.#name, data });
      this.#name = null;
      this.#data = null;
      this.#dataLength = 0;
    } else if (line.startsWith("data:")) {
      this.#addData(valueOf(line, "data:".length));
    } else if (line === "data") {
      this.#addData("");
    } else if (line.startsWith("event:")) {
      this.#name = valueOf(line, "event:".length) || null;
    }
  }

  #addData(value: string): void {
    this.#dataLength += value.length + 1;
    if (this.#data === null) this.#data = [value];
    else this.#data.push(value);
  }
}

/** The value behind the colon, without the one space that may precede it. */
function valueOf(line: string, start: number): string {
  return line.slice(line.charCodeAt(start) === SPACE ? start + 1 : start);
}
