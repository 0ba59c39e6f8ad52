import Type from "typebox";
import { ApiError } from "./errors.ts";
import { ID_PREFIX } from "./ids.ts";
import { parseItems } from "./input.ts";
import type { Item } from "./items.ts";
import { MetadataSchema } from "./request.ts";
import { compileCheck, nullable } from "./validation.ts";

/** Conversations as clients see them, and the bodies that they send about them. */

export type Metadata = { readonly [key: string]: string };

export type Conversation = {
  readonly id: string;
  readonly object: "conversation";
  /** Seconds since 1970. */
  readonly created_at: number;
  readonly metadata: Metadata;
};

/** What remains of a conversation that was deleted. */
export type ConversationDeleted = {
  readonly id: string;
  readonly object: "conversation.deleted";
  readonly deleted: true;
};

/** How many items one request may bring. */
const MOST_ITEMS = 20;

const ItemsSchema = Type.Array(Type.Object({}));
const checkNew = compileCheck(Type.Object({ items: nullable(ItemsSchema), metadata: nullable(MetadataSchema) }));
const checkMetadata = compileCheck(Type.Object({ metadata: Type.Union([MetadataSchema, Type.Null()]) }));
const checkItems = compileCheck(Type.Object({ items: ItemsSchema }));

/** The body of `POST /v1/conversations`, which may be left out. @throws ApiError */
export function parseNewConversation(value: unknown): { readonly items: readonly Item[]; readonly metadata: Metadata } {
  const body = value === undefined ? {} : objectOf(value);
  checkNew(body, "");
  return { items: itemsOf(body["items"] ?? []), metadata: (body["metadata"] ?? {}) as Metadata };
}

/** The metadata that take the place of those that are there. @throws ApiError */
export function parseConversationUpdate(value: unknown): Metadata {
  const body = objectOf(value);
  checkMetadata(body, "");
  return (body["metadata"] ?? {}) as Metadata;
}

/** The items that are to be added. @throws ApiError */
export function parseConversationItems(value: unknown): readonly Item[] {
  const body = objectOf(value);
  checkItems(body, "");
  return itemsOf(body["items"]);
}

function objectOf(value: unknown): { readonly [field: string]: unknown } {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ApiError("invalid_type", "The request body must be a JSON object.");
}

/** What the id of an item begins with, by its type; ids of other types may be anything. */
const ID_PREFIXES = new Map<string, string>([
  ["message", ID_PREFIX.message],
  ["function_call", ID_PREFIX.functionCall],
  ["custom_tool_call", ID_PREFIX.customToolCall],
  ["reasoning", ID_PREFIX.reasoning],
]);

function checkId({ type, id }: Item, index: number): void {
  const prefix = ID_PREFIXES.get(type);
  if (prefix === undefined || typeof id !== "string" || id.startsWith(prefix)) return;
  const param = `items[${index}].id`;
  const message = `Invalid '${param}': '${shortened(id)}'. Expected an ID that begins with '${prefix}'.`;
  throw new ApiError("invalid_value", message, { param });
}

function shortened(id: string): string {
  return id.length > 64 ? `${id.slice(0, 61)}...` : id;
}

function itemsOf(items: unknown): readonly Item[] {
  const list = items as readonly object[];
  if (list.length <= MOST_ITEMS) {
    const parsed = parseItems(list, "items");
    parsed.forEach(checkId);
    return parsed;
  }
  const message = `Invalid 'items': expected at most ${MOST_ITEMS} items, but got ${list.length} instead.`;
  throw new ApiError("invalid_value", message, { param: "items" });
}
