import { parseCreateRequest } from "../protocol/request.ts";
import { Assembler } from "./assembler.ts";
import { commitNode, NO_MODEL, type ResponseNode } from "./node.ts";
import type { Runtime } from "./ports.ts";
import { responseFrame } from "./response-frame.ts";

const NOTHING = parseCreateRequest({ model: "-", input: [], store: true });

/** A node for items that somebody has added by hand: it has no output, and no model has seen it. */
export function addedNode(runtime: Runtime, fields: Pick<ResponseNode, "tenant" | "parent" | "input">): ResponseNode {
  const { response } = new Assembler(responseFrame(NOTHING, runtime), runtime).finishWarmUp();
  return commitNode({ ...fields, id: response.id, response: Object.freeze({ ...response, model: NO_MODEL }) });
}
