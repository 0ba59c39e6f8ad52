import type { IncomingHttpHeaders } from "node:http";
import type { Transform } from "node:stream";
import { constants, createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import type { Dispatcher } from "undici";

export type AnswerHead = { readonly status: number; readonly headers: IncomingHttpHeaders };

/** Is given what has come, null at the end; or why nothing more will. Called once. */
export type Taker = (chunks: readonly Uint8Array[] | null, error: Error | null) => void;

/** How many bytes of an answer may wait for their reader before no more are taken from the network. */
const HIGH_WATER_BYTES = 64 * 1024;

/**
 * One request to a model server and its answer, taken from the client library below its streams: an answer comes in many
 * small chunks, and a stream costs each of them as much as all that is done with it here.
 */
export class UpstreamCall {
  /** Rejects when there is no answer. */
  readonly head: Promise<AnswerHead>;
  readonly #head = Promise.withResolvers<AnswerHead>();
  #controller: Dispatcher.DispatchController | null = null;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #end: { readonly error: Error | null } | null = null;
  /** Whoever waits for the next chunk. */
  #taker: Taker | null = null;
  #isDiscarding = false;
  #drain: NodeJS.Timeout | undefined;
  #decoding: Transform | null = null;

  /** Sends a request. */
  constructor(pool: Pick<Dispatcher, "dispatch">, request: Dispatcher.DispatchOptions) {
    this.head = this.#head.promise;
    // Whoever waits for it hears of a failure; nobody may.
    this.head.catch(() => undefined);
    try {
      pool.dispatch(request, this.#handler());
    } catch (error) {
      this.#finish(error as Error);
    }
  }

  /** The chunks that have come since the last call, in order; null at the end. Rejects when the answer breaks off. */
  read(): Promise<readonly Uint8Array[] | null> {
    return new Promise((resolve, reject) => {
      this.take((chunks, error) => (error === null ? resolve(chunks) : reject(error)));
    });
  }

  /** The same without a promise: at once, or when the next chunk comes, and then before the network goes on. */
  take(taker: Taker): void {
    this.#taker = taker;
    if (this.#chunks.length > 0 || this.#end !== null) this.#serve();
  }

  /**
   * Drops what still comes, so that the connection can be used again. A server that does not end its answer in time loses
   * the connection.
   */
  discard(milliseconds: number): void {
    this.#isDiscarding = true;
    this.#chunks = [];
    if (this.#end !== null) return;
    this.#drain = setTimeout(() => this.abort(), milliseconds);
    if (this.#controller?.paused) this.#controller.resume();
  }

  /** Ends the call, its answer and its connection, wherever it is. */
  abort(): void {
    // The connection may be somebody else's by now.
    if (this.#end !== null) return;
    const error = new Error("The call was ended.");
    this.#controller?.abort(error);
    this.#finish(error);
  }

  /** Gives what there is to whoever waits for it. */
  #serve(): void {
    const taker = this.#taker;
    if (taker === null) return;
    this.#taker = null;
    const chunks = this.#chunks;
    if (chunks.length === 0) return taker(null, this.#end?.error ?? null);
    this.#chunks = [];
    this.#bytes = 0;
    if (this.#controller?.paused) this.#controller.resume();
    taker(chunks, null);
  }

  #handler(): Dispatcher.DispatchHandler {
    return {
      onRequestStart: (controller) => {
        this.#controller = controller;
        if (this.#end !== null) controller.abort(new Error("The call was ended."));
      },
      onResponseStart: (_controller, status, headers) => {
        if (status < 200) return;
        this.#decoding = this.#decode(headers["content-encoding"]);
        this.#head.resolve({ status, headers });
      },
      onResponseData: (_controller, chunk) => {
        if (this.#isDiscarding) return;
        if (this.#decoding === null) this.#receive(chunk);
        else this.#decoding.write(chunk);
      },
      onResponseEnd: () => {
        if (this.#decoding === null || this.#isDiscarding) this.#finish(null);
        else this.#decoding.end();
      },
      onResponseError: (_controller, error) => this.#finish(error),
    };
  }

  #receive(chunk: Uint8Array): void {
    if (this.#isDiscarding) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > HIGH_WATER_BYTES) this.#controller?.pause();
    this.#serve();
  }

  /** What decodes the body, though nobody asked for an encoding; null where there is none to undo. */
  #decode(encoding: string | string[] | undefined): Transform | null {
    const decoder = decoderOf(
      String(encoding ?? "")
        .trim()
        .toLowerCase(),
    );
    decoder?.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    decoder?.on("end", () => this.#finish(null));
    decoder?.on("error", (error) => {
      this.#controller?.abort(error);
      this.#finish(error);
    });
    return decoder;
  }

  #finish(error: Error | null): void {
    if (this.#end !== null) return;
    this.#end = { error };
    clearTimeout(this.#drain);
    // An answer that has ended had a head; rejecting what has resolved does nothing.
    if (error !== null) this.#head.reject(error);
    this.#serve();
  }
}

/** Decoders that hand on what has come, also in the middle of a block. */
function decoderOf(encoding: string): Transform | null {
  switch (encoding) {
    case "gzip":
    case "x-gzip":
      return createGunzip({ flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH });
    case "deflate":
      return createInflate({ flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH });
    case "br":
      return createBrotliDecompress({ flush: constants.BROTLI_OPERATION_FLUSH });
    default:
      return null;
  }
}
