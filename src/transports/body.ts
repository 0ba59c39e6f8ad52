import { parseJson } from "../protocol/codec.ts";
import { ApiError } from "../protocol/errors.ts";
import { finish } from "../protocol/input.ts";
import { checkJsonLimits, jsonInSteps, type JsonLimits } from "../protocol/json-steps.ts";
import { longWork } from "./long-work.ts";
import { LARGE_MESSAGE_BYTES } from "./reader.ts";

/**
 * What the body of a request says. A large one is read in steps, between which other clients have their turn.
 * @param meaning reads the value of the JSON, in steps as well
 * @throws ApiError `invalid_json`, and what `meaning` throws
 */
export async function readBody<Result>(
  body: unknown,
  limits: JsonLimits,
  meaning: (value: unknown) => Generator<void, Result>,
): Promise<Result> {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
  if (bytes.length >= LARGE_MESSAGE_BYTES) return longWork.run(read(bytes, limits, meaning));
  checkJsonLimits(bytes, limits);
  return finish(meaning(parseJson(decodeUtf8(bytes))));
}

function* read<Result>(
  bytes: Buffer,
  limits: JsonLimits,
  meaning: (value: unknown) => Generator<void, Result>,
): Generator<void, Result> {
  return yield* meaning(yield* jsonInSteps(bytes, limits));
}

/** For bodies whose meaning takes no steps. @throws ApiError `invalid_json` */
export function parseBody(body: unknown, limits: JsonLimits): Promise<unknown> {
  return readBody(body, limits, itself);
}

/** What takes one step: none of it is read here. */
function* itself(value: unknown): Generator<void, unknown> {
  yield;
  return value;
}

function decodeUtf8(body: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch (error) {
    throw new ApiError("invalid_json", "The body of a request must be JSON in UTF-8.", { cause: error });
  }
}
