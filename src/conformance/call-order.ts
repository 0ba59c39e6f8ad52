import type { Frame } from "./types.ts";
import { demand } from "./violation.ts";

/** Each item is done before the next begins: clients run a call as soon as it is done. */
export function demandOneByOne(frames: readonly Frame[]): void {
  const open = new Set<unknown>();
  for (const { type, output_index: index } of frames) {
    if (type === "response.output_item.done") open.delete(index);
    if (type !== "response.output_item.added") continue;
    demand(open.size === 0, "An item began before the one before it was done.", { got: [...open, index] });
    open.add(index);
  }
}
