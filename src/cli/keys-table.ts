import type { ListedKey } from "../server.ts";

/** Keys as a person reads them, a line each. */

const HEAD = ["id", "tenant", "name", "key", "models", "limits", "created", "expires"] as const;

/** @param now milliseconds since 1970 */
export function keysTable(keys: readonly ListedKey[], now: number): string {
  const rows = keys.map((key) => [
    key.id,
    key.tenant,
    key.name,
    `tw_…${key.lastFour}`,
    key.models?.join(",") ?? "all",
    limitsOf(key),
    day(key.createdAt),
    expiryOf(key, now),
  ]);
  const widths = HEAD.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)));
  return [HEAD, ...rows]
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function limitsOf({ turnsPerMinute, tokensPerMinute, connections }: ListedKey): string {
  const limits = [
    ...(turnsPerMinute === null ? [] : [`${turnsPerMinute} turns/min`]),
    ...(tokensPerMinute === null ? [] : [`${tokensPerMinute} tokens/min`]),
    ...(connections === null ? [] : [`${connections} connections`]),
  ];
  return limits.length === 0 ? "none" : limits.join(", ");
}

function expiryOf({ expiresAt }: ListedKey, now: number): string {
  if (expiresAt === null) return "never";
  return expiresAt <= now ? `${day(expiresAt)}: over` : day(expiresAt);
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 16).replace("T", " ");
}
