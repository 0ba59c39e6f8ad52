/** The instructions of a request, and how they are put before its messages, which are the same under any instructions. */

/** How the messages begin where the system has the first word. */
export const LEAD = ',{"role":"system","content":"';
/** What stands between the texts of the first message. */
export const LEAD_SEPARATOR = "\\n\\n";

/** How the user shows words of the system that may have no message of the system's. */
export function asUsersText(text: string): string {
  return `<system>\n${text}\n</system>`;
}

const LEAD_BYTES = Buffer.from(LEAD);
/** How a first message of the user begins, with a text or with parts. */
const USER_TEXT = Buffer.from(',{"role":"user","content":"');
const USER_PARTS = Buffer.from(',{"role":"user","content":[');

/**
 * The instructions and the messages behind them, as the elements of a JSON array.
 * @param messages each behind a comma
 * @param isSystem whether the model takes a system message; without one the user shows the instructions
 */
export function withInstructions(
  instructions: string | null,
  messages: readonly Uint8Array[],
  isSystem: boolean,
): readonly Uint8Array[] {
  const [first, ...others] = messages;
  if (instructions === null) return first === undefined ? [] : [first.subarray(1), ...others];
  if (isSystem) {
    const text = `{"role":"system","content":${JSON.stringify(instructions)}`;
    if (first === undefined || !startsWith(first, LEAD_BYTES)) return [Buffer.from(`${text}}`), ...messages];
    // The instructions are the beginning of the message with which the system goes on.
    return [Buffer.from(text.slice(0, -1) + LEAD_SEPARATOR), first.subarray(LEAD_BYTES.length), ...others];
  }
  const shown = asUsersText(instructions);
  if (first !== undefined && startsWith(first, USER_TEXT)) {
    const text = `{"role":"user","content":${JSON.stringify(shown).slice(0, -1)}${LEAD_SEPARATOR}`;
    return [Buffer.from(text), first.subarray(USER_TEXT.length), ...others];
  }
  if (first !== undefined && startsWith(first, USER_PARTS)) {
    const text = `{"role":"user","content":[${JSON.stringify({ type: "text", text: shown })},`;
    return [Buffer.from(text), first.subarray(USER_PARTS.length), ...others];
  }
  return [Buffer.from(JSON.stringify({ role: "user", content: shown })), ...messages];
}

function startsWith(bytes: Uint8Array, beginning: Buffer): boolean {
  return beginning.equals(bytes.subarray(0, beginning.length));
}
