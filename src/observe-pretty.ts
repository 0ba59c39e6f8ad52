import type { ErrorLine } from "./observe-error.ts";

/** Log lines for a person at a terminal. */

type Line = { readonly [field: string]: unknown; readonly msg?: string; readonly err?: ErrorLine };

/** What is logged of a turn. */
export type TurnFields = {
  readonly responseId: string;
  readonly previousResponseId: string | null;
  readonly tenant: string;
  readonly keyName: string | null;
  readonly session: string;
  readonly requestId: string | null;
  readonly transport: string;
  readonly model: string;
  readonly outcome: string;
  readonly errorCode: string | null;
  readonly itemsIn: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly inputTokens: number | null;
  readonly cachedTokens: number | null;
  readonly outputTokens: number | null;
  readonly reasoningTokens: number | null;
  readonly compacted: boolean;
  readonly firstOutputMs: number | null;
  readonly durationMs: number;
};

/** The message of the lines that have these fields. */
export const TURN = "turn";

const HIDDEN = new Set(["level", "time", "msg", "err"]);

/** One line as text: a turn as a sentence, any other with its fields after the message; an error's stack below. */
export function formatLine(line: Line): string {
  const text = line.msg === TURN ? formatTurn(line as unknown as TurnFields) : formatFields(line);
  return printable(text) + (line.err === undefined ? "" : formatError(line.err));
}

function formatTurn(turn: TurnFields): string {
  const parts = [
    `turn ${turn.outcome}${turn.errorCode === null ? "" : ` (${turn.errorCode})`}`,
    turn.model,
    `${turn.transport}${turn.tenant === "default" ? "" : ` of ${turn.tenant}`}`,
    `${turn.itemsIn} ${turn.itemsIn === 1 ? "item" : "items"} in`,
    `${bytes(turn.bytesIn)} → ${bytes(turn.bytesOut)}`,
  ];
  if (turn.inputTokens !== null) parts.push(tokens(turn));
  if (turn.compacted) parts.push("compacted");
  if (turn.firstOutputMs !== null) parts.push(`first after ${duration(turn.firstOutputMs)}`);
  return [...parts, duration(turn.durationMs), turn.responseId].join(" · ");
}

function tokens(turn: TurnFields): string {
  const cached = turn.cachedTokens ? ` (${turn.cachedTokens} cached)` : "";
  const reasoning = turn.reasoningTokens ? ` (${turn.reasoningTokens} reasoning)` : "";
  return `${turn.inputTokens}${cached} → ${turn.outputTokens}${reasoning} tokens`;
}

function formatFields(line: Line): string {
  const fields = Object.entries(line).filter(([name]) => !HIDDEN.has(name));
  const shown = fields.map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return [line.msg ?? "", ...shown].join("  ");
}

function formatError({ type, message, stack, cause }: ErrorLine): string {
  const text = printable(stack ?? `${type}: ${message}`, "\n");
  return `\n  ${text.replaceAll("\n", "\n  ")}${cause === undefined ? "" : `\n  caused by:${formatError(cause)}`}`;
}

/** Names come from clients; a terminal must not take them for commands. */
function printable(text: string, allowed = ""): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    allowed.includes(character) ? character : "�",
  );
}

function duration(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  return count < 1_000_000 ? `${(count / 1000).toFixed(1)} kB` : `${(count / 1_000_000).toFixed(1)} MB`;
}
