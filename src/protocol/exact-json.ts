/**
 * JSON whose integers are kept as they were written. Schemas of tools and sampling seeds hold integers beyond 2^53, which
 * a JavaScript number rounds; here they are values that `JSON.stringify` writes back digit by digit.
 */

/** An integer that no JavaScript number holds. */
export type RawInteger = { readonly rawJSON: string };

type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;
type ExactJson = {
  parse(text: string, reviver: Reviver): unknown;
  rawJSON(text: string): RawInteger;
  isRawJSON(value: unknown): boolean;
};
/** Part of Node.js since 21, and not in TypeScript's types yet. */
const exact = JSON as unknown as ExactJson;

/** A number of 16 digits or more. Texts may match as well, and then only cost time. */
const MAY_BE_ROUNDED = /(?:^|[:[,\s])-?\d{16}/;
const INTEGER = /^-?\d+$/;

/** @throws SyntaxError */
export function parseExactJson(text: string): unknown {
  if (!MAY_BE_ROUNDED.test(text) || !hasLargeInteger(text)) return JSON.parse(text);
  return exact.parse(text, (_key, value, { source }) =>
    typeof value === "number" && !Number.isSafeInteger(value) && source !== undefined && INTEGER.test(source)
      ? exact.rawJSON(source)
      : value,
  );
}

const QUOTE = 34;
const BACKSLASH = 92;
const [ZERO, NINE] = [48, 57];

/** Whether a large number stands outside of all texts: reading with a reviver takes ten times as long. */
function hasLargeInteger(json: string): boolean {
  let digits = 0;
  for (let at = 0; at < json.length; at++) {
    const unit = json.charCodeAt(at);
    if (unit === QUOTE) {
      for (at++; at < json.length && json.charCodeAt(at) !== QUOTE; at++) {
        if (json.charCodeAt(at) === BACKSLASH) at++;
      }
    }
    digits = unit >= ZERO && unit <= NINE ? digits + 1 : 0;
    if (digits === 16) return true;
  }
  return false;
}

export function isRawInteger(value: unknown): value is RawInteger {
  return exact.isRawJSON(value);
}
