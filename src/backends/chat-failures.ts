import { type Fields, isFields } from "./call-pieces.ts";

/** Texts in which servers say what went wrong, in chunks that are no part of an answer. */
const ERROR_TEXTS = [
  "message",
  "msg",
  "detail",
  "error_msg",
  "error_message",
  "errmsg",
  "err_msg",
  "status_msg",
] as const;

/**
 * The failure that a chunk reports, in the server's own form; undefined where it reports none. Servers have many envelopes,
 * and fill some of them with nothing when all is well.
 */
export function failureIn(chunk: Fields, eventName: string | null): unknown {
  const { error, errors, object, type, base_resp: base, success, choices } = chunk;
  if (isMeant(error)) return error;
  if (eventName === "error" || object === "error" || type === "error" || success === false) return chunk;
  if (isMeant(errors)) return chunk;
  // MiniMax
  if (isFields(base) && isMeant(base["status_code"])) return base;
  // An event of a name of its own is a heartbeat.
  if ((Array.isArray(choices) && choices.length > 0) || (eventName !== null && eventName !== "message"))
    return undefined;
  // A list of details is FastAPI's.
  const says = ERROR_TEXTS.some((field) => typeof chunk[field] === "string" && chunk[field] !== "");
  return says || Array.isArray(chunk["detail"]) || isErrorStatus(chunk["status"]) ? chunk : undefined;
}

/** The failure of one choice. */
export function failureOf({ error }: Fields): unknown {
  return isMeant(error) ? error : undefined;
}

/** Whether a value says something: not null, empty, zero or false, and no object of such values. */
function isMeant(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(isMeant);
  if (isFields(value)) return Object.values(value).some(isMeant);
  return value !== undefined && value !== null && value !== "" && value !== 0 && value !== "0" && value !== false;
}

function isErrorStatus(status: unknown): boolean {
  return typeof status === "number" && status >= 400;
}
