/** What a check may be about, in the order in which they are told. */
export const CHECKS = [
  "proxy",
  "dns",
  "connect",
  "tls",
  "server",
  "clock",
  "key",
  "models",
  "upgrade",
  "deflate",
  "message",
  "body",
  "stream",
  "tools",
  "tools-http",
  "idle",
] as const;

export type CheckName = (typeof CHECKS)[number];

/** `warning`: it works, and could work better; `problem`: clients will fail. */
export type Level = "ok" | "warning" | "problem" | "skipped";

export type Finding = {
  readonly check: CheckName;
  readonly level: Level;
  /** What was seen, in one sentence. */
  readonly text: string;
  /** What to do about it. */
  readonly advice?: string;
  /** What was measured, for programs. */
  readonly data?: { readonly [name: string]: unknown };
};

export function ok(check: CheckName, text: string, data?: Finding["data"]): Finding {
  return { check, level: "ok", text, ...(data && { data }) };
}

export function warning(check: CheckName, text: string, advice: string, data?: Finding["data"]): Finding {
  return { check, level: "warning", text, advice, ...(data && { data }) };
}

export function problem(check: CheckName, text: string, advice: string, data?: Finding["data"]): Finding {
  return { check, level: "problem", text, advice, ...(data && { data }) };
}

export function skipped(check: CheckName, text: string): Finding {
  return { check, level: "skipped", text };
}
