import { createHash } from "node:crypto";
import { parseExactJson } from "../protocol/exact-json.ts";
import type { ResponseNode } from "../core/node.ts";
import type { JsonValue, StoredResponse } from "../core/ports.ts";
import { keepOpaqueList, opaqueList } from "../protocol/opaque.ts";
import type { Response } from "../protocol/response.ts";

/**
 * What a row keeps of a node: its input and its response. Clients repeat their instructions and tools every turn, often
 * more than all the rest, so a row whose parent has the same leaves them out.
 */

/** What a row may leave to an ancestor. */
export type Head = Pick<Response, "instructions" | "tools">;

const NO_HEAD: Head = { instructions: null, tools: [] };

/** Whether a row of the node can leave its head to its parent. */
export function sharesHead({ parent, response }: ResponseNode): boolean {
  if (parent === null || (response.tools.length === 0 && response.instructions === null)) return false;
  const above = parent.response;
  return (
    response.instructions === above.instructions &&
    // Within a session equal tools are one array.
    (response.tools === above.tools || JSON.stringify(response.tools) === JSON.stringify(above.tools))
  );
}

/** What is kept beside the items of a node. */
type KeptOpaque = { readonly [Side in "input" | "output"]?: ReturnType<typeof opaqueList> };

/**
 * What a content says of the row that holds it, so that encryption authenticates it too. Rows that were written unlisted may
 * be listed later, and say nothing of when.
 */
export type Link = {
  readonly parent: string | null;
  readonly whole: boolean;
  /** Digest of what the row leaves to an ancestor; null when it leaves nothing. */
  readonly head: string | null;
  readonly storedAt: number | null;
};

const digests = new WeakMap<object, { readonly instructions: string | null; readonly digest: string }>();

export function digestOf({ instructions, tools }: Head): string {
  const known = digests.get(tools);
  if (known !== undefined && known.instructions === instructions) return known.digest;
  const digest = createHash("sha256")
    .update(JSON.stringify([instructions, tools]))
    .digest("base64");
  digests.set(tools, { instructions, digest });
  return digest;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encodeContent({ input, response }: StoredResponse, leavesHead: boolean, link?: Link): Uint8Array {
  const opaque = { input: opaqueList(input), output: opaqueList(response.output) };
  const kept = opaque.input === undefined && opaque.output === undefined ? undefined : opaque;
  const own = leavesHead ? { ...response, ...NO_HEAD } : response;
  return encoder.encode(JSON.stringify({ input, response: own, opaque: kept, link }));
}

/**
 * @param head what the row has left to an ancestor; null when it has left nothing
 * @param check looks at what the content says of its row; rows of earlier versions say nothing
 */
export function decodeContent(
  content: Uint8Array | string,
  head: Head | null,
  check?: (link: Link) => void,
): StoredResponse {
  const text = typeof content === "string" ? content : decoder.decode(content);
  const { input, response, opaque, link } = parseExactJson(text) as StoredResponse & {
    readonly opaque?: KeptOpaque;
    readonly link?: Link;
  };
  if (link !== undefined) check?.(link);
  keepOpaqueList(input, opaque?.input);
  keepOpaqueList(response.output, opaque?.output);
  if (head === null) return { input, response };
  return { input, response: { ...response, instructions: head.instructions, tools: head.tools } };
}

export function encodeRecording(recording: JsonValue): Uint8Array {
  return encoder.encode(JSON.stringify(recording));
}

export function decodeRecording(content: Uint8Array | string): JsonValue {
  return parseExactJson(typeof content === "string" ? content : decoder.decode(content)) as JsonValue;
}
