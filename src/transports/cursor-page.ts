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
 * The page of a list of which all items are at hand, oldest first; only those of the page are shown.
 * @throws ApiError `item_not_found` when a cursor is no item of the list
 */
export function pageOf<T extends Listed, S extends Listed>(
  items: readonly T[],
  { limit, order, after, before }: PageQuery,
  show: (item: T) => S,
): Page<S> {
  const { length } = items;
  const place = (index: number): number => (order === "asc" ? index : length - 1 - index);
  const find = (id: string, param: "after" | "before"): number => place(placeOf(items, id, param));
  const start = after === null ? 0 : find(after, "after") + 1;
  const end = before === null ? length : find(before, "before");
  const data: S[] = [];
  for (let index = start; index < Math.min(end, start + limit); index++) {
    const item = items[place(index)];
    if (item !== undefined) data.push(show(item));
  }
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: start + data.length < end,
  };
}

type Listed = { readonly id: string };

function placeOf(items: readonly Listed[], id: string, param: "after" | "before"): number {
  const index = items.findIndex((item) => item.id === id);
  if (index !== -1) return index;
  throw new ApiError("item_not_found", `No item found with id '${id}'`, { param });
}
