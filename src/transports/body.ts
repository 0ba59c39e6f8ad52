import { setImmediate } from "node:timers/promises";
import { parseJson } from "../protocol/codec.ts";
import { ApiError } from "../protocol/errors.ts";
import { LARGE_MESSAGE_BYTES } from "./reader.ts";

/**
 * What the body of a request says. A large one is read in steps, between which other clients have their turn.
 * @throws ApiError `invalid_json`
 */
export async function parseBody(body: unknown): Promise<unknown> {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
  if (bytes.length < LARGE_MESSAGE_BYTES) return parseJson(decodeUtf8(bytes));
  await setImmediate();
  const text = decodeUtf8(bytes);
  await setImmediate();
  const value = parseJson(text);
  await setImmediate();
  return value;
}

function decodeUtf8(body: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch (error) {
    throw new ApiError("invalid_json", "The body of a request must be JSON in UTF-8.", { cause: error });
  }
}
