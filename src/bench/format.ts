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
