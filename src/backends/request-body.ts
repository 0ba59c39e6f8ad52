import type { ChatHead } from "./chat-request.ts";
import type { Dialect } from "./dialect.ts";
import { withInstructions } from "./instructions.ts";
import type { Rope } from "./rope.ts";

/** The body of a chat-completions request. */

/** Below this one copy is cheaper than several writes. */
const SMALL_BODY = 128 * 1024;

export type RequestBody = {
  readonly bytes: Uint8Array | readonly Uint8Array[];
  readonly headers: { readonly "content-type": string; readonly "content-length": string };
};

/** The head, then the messages as they are: what was serialised once is only copied to the socket. */
export function requestBody(head: ChatHead, messages: Rope, dialect: Dialect): RequestBody {
  const pieces = requestPieces(head, messages, dialect);
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return {
    bytes: length <= SMALL_BODY ? Buffer.concat(pieces, length) : pieces,
    headers: { "content-type": "application/json", "content-length": String(length) },
  };
}

export function requestPieces(
  { json, instructions }: Pick<ChatHead, "json" | "instructions">,
  messages: Rope,
  { system }: Dialect,
): readonly Uint8Array[] {
  return [
    Buffer.from(json),
    ...withInstructions(instructions, messages.pieces(), system !== "none"),
    Buffer.from("]}"),
  ];
}

export function contentOf({ bytes }: RequestBody): readonly Uint8Array[] {
  return bytes instanceof Uint8Array ? [bytes] : bytes;
}

export function isSameBody(one: RequestBody, other: RequestBody): boolean {
  if (one.headers["content-length"] !== other.headers["content-length"]) return false;
  return Buffer.concat(contentOf(one)).equals(Buffer.concat(contentOf(other)));
}
