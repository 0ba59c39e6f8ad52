import type { LinkSpec } from "./link.ts";

/** Numbers as people read them, in tables and in plots. */

/** `812 B`, `76.4 KB`, `75.0 MB`: powers of a thousand. */
export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  if (bytes < 999_500) return `${significant(bytes / 1000)} KB`;
  return `${significant(bytes / 1e6)} MB`;
}

/** Three figures, without a power of ten. */
export function significant(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : value.toFixed(Math.min(3, digits));
}

export function percentText(share: number): string {
  const percent = share * 100;
  if (percent >= 99.95) return "100 %";
  return `${percent < 10 ? percent.toFixed(2) : percent.toFixed(1)} %`;
}

export function millisecondsText(ms: number): string {
  return `${significant(ms)} ms`;
}

/** A number as it is written, for the marks of an axis. */
export function plain(value: number): string {
  return value >= 1000 ? value.toLocaleString("en") : String(Number(value.toPrecision(3)));
}

/** Bytes for the marks of an axis: `100 KB`, `2.5 MB`. */
export function roundBytes(bytes: number): string {
  if (bytes < 1000) return `${plain(bytes)} B`;
  return bytes < 1e6 ? `${plain(bytes / 1000)} KB` : `${plain(bytes / 1e6)} MB`;
}

/** A link in words: `60 ms, 20 Mbit/s up, 100 down`. */
export function linkText(link: Pick<LinkSpec, "rttMs" | "upBitsPerSecond" | "downBitsPerSecond"> | null): string {
  if (link === null) return "loopback";
  const rate = (bits: number | null): string =>
    bits === null || bits === Infinity ? "unbounded" : `${plain(bits / 1e6)} Mbit/s`;
  return `${plain(link.rttMs)} ms, ${rate(link.upBitsPerSecond)} up, ${rate(link.downBitsPerSecond)} down`;
}
