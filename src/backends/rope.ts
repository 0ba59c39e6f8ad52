/**
 * UTF-8 text that only grows, as an immutable value. Appending to the newest end writes into spare room behind it, so a
 * long chain stays a few large pieces; appending to an older end (a fork) starts a piece of its own and shares what is
 * before it. Nothing is ever copied.
 */
export class Rope {
  static readonly empty = new Rope(null, 0, 0);

  /** Bytes in all. */
  readonly length: number;
  readonly #piece: Piece | null;
  readonly #end: number;

  private constructor(piece: Piece | null, end: number, length: number) {
    this.#piece = piece;
    this.#end = end;
    this.length = length;
  }

  append(text: string): Rope {
    if (text === "") return this;
    const size = Buffer.byteLength(text);
    let piece = this.#piece;
    let start = this.#end;
    if (piece === null || piece.used !== start || piece.bytes.length - start < size) {
      // Spare room in proportion to what is there already: few pieces, and never much waste. A fork may go no further.
      const isFork = piece !== null && piece.used !== start;
      const room = isFork ? SMALLEST_PIECE : Math.min(Math.max(this.length >> 2, SMALLEST_PIECE), LARGEST_SPARE_ROOM);
      piece = { before: this, bytes: Buffer.allocUnsafeSlow(size + room), used: 0 };
      start = 0;
    }
    piece.bytes.write(text, start);
    piece.used = start + size;
    return new Rope(piece, piece.used, this.length + size);
  }

  /** The last bytes, of which no more may be asked for than were appended last. They stay as they are. */
  last(bytes: number): Buffer {
    const piece = this.#piece;
    return piece === null ? Buffer.alloc(0) : piece.bytes.subarray(this.#end - bytes, this.#end);
  }

  /** The bytes, in order. */
  pieces(): readonly Uint8Array[] {
    const pieces: Uint8Array[] = [];
    let piece = this.#piece;
    let end = this.#end;
    while (piece !== null) {
      pieces.push(piece.bytes.subarray(0, end));
      end = piece.before.#end;
      piece = piece.before.#piece;
    }
    return pieces.toReversed();
  }
}

type Piece = { readonly before: Rope; readonly bytes: Buffer; used: number };

const SMALLEST_PIECE = 2 * 1024;
const LARGEST_SPARE_ROOM = 256 * 1024;
