/** One block of an SSE stream, with every field that it had. */
export type SseBlock = {
  readonly event: string | null;
  /** The lines of `data`, joined; null when the block has none. */
  readonly data: string | null;
  readonly dataLines: number;
  readonly id: string | null;
  readonly isComment: boolean;
};

/** Cuts the text of a whole SSE stream into its blocks. It keeps what a client would not look at. */
export function splitSse(text: string): readonly SseBlock[] {
  return text
    .split(/\r\n\r\n|\n\n|\r\r/)
    .filter((block) => block.trim() !== "")
    .map(readBlock);
}

function readBlock(block: string): SseBlock {
  const lines = block.split(/\r\n|\n|\r/).filter((line) => line !== "");
  const values = (name: string): readonly string[] =>
    lines
      .filter((line) => line === name || line.startsWith(`${name}:`))
      .map((line) => line.slice(name.length + 1).replace(/^ /, ""));
  const data = values("data");
  return {
    event: values("event").at(-1) ?? null,
    data: data.length === 0 ? null : data.join("\n"),
    dataLines: data.length,
    id: values("id").at(-1) ?? null,
    isComment: lines.every((line) => line.startsWith(":")),
  };
}
