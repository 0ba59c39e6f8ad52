/** Log lines for a person at a terminal. */

type Line = { readonly [field: string]: unknown };

const HIDDEN = new Set(["level", "time", "msg", "err"]);

/** One line as text: a turn as a sentence, any other with its fields after the message; an error's stack below. */
export function formatLine(line: Line): string {
  const text = line["msg"] === "turn" ? formatTurn(line) : formatFields(line);
  return printable(text) + formatError(line["err"]);
}

function formatTurn(line: Line): string {
  const outcome = line["errorCode"] === null ? line["outcome"] : `${line["outcome"]} (${line["errorCode"]})`;
  const parts = [
    `turn ${outcome}`,
    `${line["model"]}`,
    `${line["transport"]}${line["tenant"] === "default" ? "" : ` of ${line["tenant"]}`}`,
    `${plural(line["itemsIn"], "item")} in`,
    `${bytes(line["bytesIn"])} → ${bytes(line["bytesOut"])}`,
  ];
  if (line["inputTokens"] !== null) parts.push(tokens(line));
  if (line["firstOutputMs"] !== null) parts.push(`first after ${duration(line["firstOutputMs"])}`);
  parts.push(duration(line["durationMs"]), `${line["responseId"]}`);
  return parts.join(" · ");
}

function tokens(line: Line): string {
  const cached = line["cachedTokens"] ? ` (${line["cachedTokens"]} cached)` : "";
  const reasoning = line["reasoningTokens"] ? ` (${line["reasoningTokens"]} reasoning)` : "";
  return `${line["inputTokens"]}${cached} → ${line["outputTokens"]}${reasoning} tokens`;
}

function formatFields(line: Line): string {
  const fields = Object.entries(line).filter(([name]) => !HIDDEN.has(name));
  const shown = fields.map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return [line["msg"] ?? "", ...shown].join("  ");
}

function formatError(error: unknown): string {
  if (typeof error !== "object" || error === null) return "";
  const { type, message, stack, cause } = error as { readonly [field: string]: unknown };
  const text = printable(String(stack ?? `${String(type)}: ${String(message)}`), "\n");
  return `\n  ${text.replaceAll("\n", "\n  ")}${cause === undefined ? "" : `\n  caused by:${formatError(cause)}`}`;
}

/** Names come from clients; a terminal must not take them for commands. */
function printable(text: string, allowed = ""): string {
  return text.replaceAll(/\p{Cc}/gu, (character) => (allowed.includes(character) ? character : "�"));
}

function plural(count: unknown, noun: string): string {
  return `${String(count)} ${noun}${count === 1 ? "" : "s"}`;
}

function duration(milliseconds: unknown): string {
  const value = Number(milliseconds);
  return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}

function bytes(count: unknown): string {
  const value = Number(count);
  if (value < 1000) return `${value} B`;
  return value < 1_000_000 ? `${(value / 1000).toFixed(1)} kB` : `${(value / 1_000_000).toFixed(1)} MB`;
}
