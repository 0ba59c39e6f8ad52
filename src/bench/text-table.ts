import { stripVTControlCharacters } from "node:util";

/** Rows in columns as wide as they need to be: the first one to the left, the others, which are numbers, to the right. */
export function textTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => width(row[column] ?? ""))));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => {
        const fill = " ".repeat((widths[column] ?? 0) - width(cell));
        return column === 0 ? cell + fill : fill + cell;
      })
      .join("   ")
      .trimEnd();
  const rule = widths.map((count) => "─".repeat(count)).join("   ");
  return [line(header), rule, ...rows.map(line)].join("\n");
}

function width(text: string): number {
  return stripVTControlCharacters(text).length;
}
