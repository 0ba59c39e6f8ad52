import Type from "typebox";
import { ApiError } from "./errors.ts";
import { type Item, PART_SCHEMAS } from "./items.ts";
import { compileCheck } from "./validation.ts";

/** `response.steer`: new words for a response that is running. */

const FIELDS: ReadonlySet<string> = new Set(["type", "previous_response_id", "input"]);
const MESSAGE_FIELDS: ReadonlySet<string> = new Set(["type", "role", "content"]);
const PARTS: ReadonlySet<string> = new Set(["input_text", "input_image", "input_file"]);

/** How deep the input of a steer may be nested. Whatever is taken may have to be written back. */
const MAX_NESTING = 64;

export type SteerRequest = {
  /** The response to steer. */
  readonly previous_response_id: string;
  /** What the client sent, to be given back if it cannot be applied; null when it is nested too deeply for that. */
  readonly input: unknown;
  /** The same as items; null when it is not what a steer may say. */
  readonly items: readonly Item[] | null;
};

const checkTarget = compileCheck(Type.Object({ previous_response_id: Type.String() }));
const checkText = compileCheck(PART_SCHEMAS.input_text);

/** Reads a steer. Input that is not allowed is no error here: it is answered by `response.steer.failed`. @throws ApiError */
export function parseSteer(value: object): SteerRequest {
  checkTarget(value, "");
  const { previous_response_id, input, ...rest } = value as { previous_response_id: string; input?: unknown };
  if (isDeeper(input, MAX_NESTING)) return { previous_response_id, input: null, items: null };
  const isExact = Object.keys(rest).every((field) => FIELDS.has(field));
  return { previous_response_id, input: input ?? null, items: isExact ? steerItems(input) : null };
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((member) => isDeeper(member, levels - 1));
}

function steerItems(input: unknown): readonly Item[] | null {
  if (typeof input === "string") return input === "" ? null : [{ type: "message", role: "user", content: input }];
  if (!Array.isArray(input) || input.length === 0) return null;
  const messages = input.map(userMessage);
  return messages.every((message) => message !== null) ? messages : null;
}

function userMessage(value: unknown): Item | null {
  if (typeof value !== "object" || value === null) return null;
  const message = value as { readonly type?: unknown; readonly role?: unknown; readonly content?: unknown };
  const isExact = Object.keys(message).every((field) => MESSAGE_FIELDS.has(field));
  if (!isExact || message.role !== "user" || (message.type ?? "message") !== "message") return null;
  const { content } = message;
  const isAllowed = typeof content === "string" || (Array.isArray(content) && content.every(isSteerPart));
  return isAllowed ? { type: "message", role: "user", content } : null;
}

function isSteerPart(part: unknown): boolean {
  const { type } = (part ?? {}) as { readonly type?: unknown };
  if (typeof type !== "string" || !PARTS.has(type)) return false;
  if (type !== "input_text") return true;
  try {
    checkText(part, "");
    return true;
  } catch (error) {
    if (error instanceof ApiError) return false;
    throw error;
  }
}
