import type { ResponseNode } from "../../src/core/node.ts";
import { makeNode } from "./nodes.ts";

/** The nodes that a lane of the writer stores, one after another: the same for whoever counts along. */
export function laneNodes(run: string, lane: number, count: number): readonly ResponseNode[] {
  const nodes: ResponseNode[] = [];
  while (nodes.length < count) nodes.push(nextNode(run, lane, nodes));
  return nodes;
}

export function nextNode(run: string, lane: number, nodes: readonly ResponseNode[]): ResponseNode {
  const turn = nodes.length;
  const back = turn % 7 === 3 ? 3 : 1;
  const parent = turn % 50 === 0 ? null : (nodes[turn - back] ?? null);
  const content = `${run} ${lane} ${turn} `.repeat(turn % 11 === 5 ? 20_000 : 100);
  return makeNode(`${run}.${lane}.${turn}`, {
    parent,
    tenant: `tenant${lane % 3}`,
    input: [{ type: "message", role: "user", content }],
    request: { instructions: turn % 20 < 10 ? "Be brief." : "Be exact." },
  });
}

/** Which turn of the lane a writer deletes after this one; null when none. */
export function deletedAfter(turn: number): number | null {
  return turn % 10 === 9 ? turn - 5 : null;
}
