import { stripVTControlCharacters, styleText } from "node:util";

/** A heading, what the figures below it are, and these. */
export function textSection(title: string, body: string, note = ""): string {
  return [styleText("bold", title), ...(note === "" ? [] : [styleText("dim", note)]), body].join("\n");
}

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
