import { Assembler } from "../../src/core/assembler.ts";
import { responseFrame } from "../../src/core/response-frame.ts";
import { commitNode, type ResponseNode } from "../../src/core/node.ts";
import type { BackendEvent } from "../../src/core/ports.ts";
import type { Item } from "../../src/protocol/items.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";

type NodeFields = {
  readonly parent?: ResponseNode | null;
  readonly tenant?: string;
  readonly input?: readonly unknown[];
  readonly output?: readonly BackendEvent[];
  /** Fields of the request that made it. */
  readonly request?: object;
};

/** A node as a turn commits it. */
export function makeNode(id: string, fields: NodeFields = {}): ResponseNode {
  const {
    parent = null,
    tenant = "acme",
    input = [{ type: "message", role: "user", content: `input of ${id}` }],
  } = fields;
  const request = parseCreateRequest({ model: "m", input, previous_response_id: parent?.id, ...fields.request });
  let ids = 0;
  const newId = (kind: string): string => (kind === "response" ? id : `${kind}_${id}_${ids++}`);
  const runtime = { now: () => 1_700_000_000_000, newId };
  const assembler = new Assembler(responseFrame(request, runtime), runtime);
  assembler.push(fields.output ?? [{ type: "text.delta", delta: `output of ${id}` }]);
  assembler.push([{ type: "finish", reason: "stop" }]);
  return commitNode({ id, tenant, parent, input: request.input, response: assembler.finish().response });
}

/** A node of a chosen size. */
export function nodeOfBytes(id: string, parent: ResponseNode | null, bytes: number): ResponseNode {
  return Object.freeze({ ...TEMPLATE, id, parent, bytes });
}

const TEMPLATE = makeNode("resp_template");

/** The chain that ends in the node, root first. */
export function chainOf(node: ResponseNode | undefined): readonly ResponseNode[] {
  return node === undefined ? [] : [...chainOf(node.parent ?? undefined), node];
}

/** The items of the chain, as a backend would see them. */
export function contextOf(node: ResponseNode | undefined): readonly Item[] {
  return chainOf(node).flatMap(({ input, response }) => [...input, ...(response.output as readonly Item[])]);
}
