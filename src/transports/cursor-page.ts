import { ApiError } from "../protocol/errors.ts";

/** Which part of a list a client asks for. */
export type PageQuery = {
  /** How many items at most, 1 to 100. */
  readonly limit: number;
  readonly order: "asc" | "desc";
  /** The id of the item that the page begins behind, in the order that is asked for; */
  readonly after: string | null;
  /** … and of the one that it ends before. */
  readonly before: string | null;
};

export type Page<T> = {
  readonly object: "list";
  readonly data: readonly T[];
  readonly first_id: string | null;
  readonly last_id: string | null;
  readonly has_more: boolean;
};

const DEFAULT_LIMIT = 20;
const MOST = 100;

/** Reads the query of a list. @throws ApiError `invalid_value`, with `param` */
export function parsePageQuery(query: unknown): PageQuery {
  const { limit, order, after, before } = query as { readonly [name: string]: unknown };
  return { limit: parseLimit(limit), order: parseOrder(order), after: name(after), before: name(before) };
}

function parseLimit(value: unknown): number {
  if (value === undefined || value === "") return DEFAULT_LIMIT;
  const limit = Number(value);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MOST) return limit;
  throw new ApiError("invalid_value", `Invalid value for 'limit': expected an integer from 1 to ${MOST}.`, {
    param: "limit",
  });
}

function parseOrder(value: unknown): "asc" | "desc" {
  if (value === undefined || value === "") return "desc";
  if (value === "asc" || value === "desc") return value;
  throw new ApiError("invalid_value", "Invalid value for 'order': supported values are 'asc' and 'desc'.", {
    param: "order",
  });
}

function name(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/**
 * The page of a list that is there as a whole, oldest item first.
 * @throws ApiError `item_not_found` when a cursor is no item of the list
 */
export function pageOf<T extends { readonly id: string }>(items: readonly T[], query: PageQuery): Page<T> {
  const ordered = query.order === "asc" ? items : items.toReversed();
  const start = query.after === null ? 0 : find(ordered, query.after, "after") + 1;
  const end = query.before === null ? ordered.length : find(ordered, query.before, "before");
  const data = ordered.slice(start, Math.min(end, start + query.limit));
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: start + data.length < end,
  };
}

function find(items: readonly { readonly id: string }[], id: string, param: "after" | "before"): number {
  const index = items.findIndex((item) => item.id === id);
  if (index !== -1) return index;
  throw new ApiError("item_not_found", `No item found with id '${id}'`, { param });
}
