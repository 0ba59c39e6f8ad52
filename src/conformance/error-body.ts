import type { HttpAnswer } from "./http.ts";
import type { Json } from "./types.ts";
import { demand, same } from "./violation.ts";
import { isObject } from "./wire.ts";

const ERROR_KEYS = ["code", "message", "param", "type"];

/** What one transport says of an error and the other has to say too. */
export function fieldsOf(error: Json): Json {
  const { type, code, param, message } = error;
  return { type, code, param, message };
}

/** Demands that an answer is refused with this status and has the error body of the API. */
export function envelope(answer: HttpAnswer, status: number, what: string): void {
  same(answer.status, status, `The status for ${what}`);
  demand(/json/.test(String(answer.headers["content-type"])), `The answer to ${what} is not JSON.`, {
    got: answer.headers["content-type"],
  });
  const { error } = answer.json;
  demand(isObject(error), `The answer to ${what} has no 'error'.`, { got: answer.text });
  const missing = ERROR_KEYS.filter((key) => !(key in error));
  same(missing, [], `The keys that the error for ${what} lacks`);
}
