import type { SimBackend } from "../../src/backends/sim.ts";
import { Assembler } from "../../src/core/assembler.ts";
import { responseFrame } from "../../src/core/response-frame.ts";
import { commitNode, type ResponseNode } from "../../src/core/node.ts";
import type { BackendEvent } from "../../src/core/ports.ts";
import { isItem, isToolCall, type Item, type Part } from "../../src/protocol/items.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import type { Response } from "../../src/protocol/response.ts";
import { FakeRuntime } from "../../src/testing/index.ts";
import { compactions } from "../support/compactions.ts";

type Fields = { readonly parent?: ResponseNode; readonly [field: string]: unknown };

const runtime = new FakeRuntime();

/** Everything that the backend says to one request. */
export async function listen(backend: SimBackend, { parent, ...fields }: Fields): Promise<readonly BackendEvent[]> {
  const events: BackendEvent[] = [];
  for await (const batch of open(backend, { ...(parent && { parent }), ...fields })) events.push(...batch);
  return events;
}

export function open(backend: SimBackend, { parent, ...fields }: Fields, signal = new AbortController().signal) {
  const request = parseCreateRequest({ model: "sim", previous_response_id: parent?.id, input: "Hello", ...fields });
  const { input, model, ...settings } = request;
  return backend.stream(
    { model, parent: parent ?? null, input, settings, session: {}, open: compactions.open },
    signal,
  );
}

/** One turn, committed. */
export async function turn(backend: SimBackend, fields: Fields): Promise<ResponseNode> {
  const { parent, ...body } = fields;
  const request = parseCreateRequest({ model: "sim", previous_response_id: parent?.id, input: "Hello", ...body });
  const assembler = new Assembler(responseFrame(request, runtime), runtime);
  assembler.push(await listen(backend, fields));
  const { response } = assembler.finish();
  return commitNode({ id: response.id, tenant: "acme", parent: parent ?? null, input: request.input, response });
}

export const outputOf = (response: Response): readonly Item[] => response.output;
export const callsOf = (node: ResponseNode) => outputOf(node.response).filter(isToolCall);
export const namesOf = (node: ResponseNode): readonly string[] => callsOf(node).map((call) => call.name);
export const answersTo = (node: ResponseNode): readonly Item[] =>
  callsOf(node).map(({ type, call_id }) => ({ type: `${type}_output`, call_id, output: "done" }));

export function textOf({ response }: ResponseNode): string {
  const messages = outputOf(response).filter((item) => isItem(item, "message"));
  return messages.flatMap(({ content }) => (content as readonly Part[]).map((part) => part["text"])).join("");
}

/** Turns until it answers, tool outputs in between. */
export async function converse(backend: SimBackend, fields: Fields): Promise<readonly ResponseNode[]> {
  const nodes = [await turn(backend, fields)];
  for (let last = nodes[0]; last !== undefined && callsOf(last).length > 0; last = nodes.at(-1)) {
    nodes.push(await turn(backend, { ...fields, parent: last, input: answersTo(last) }));
  }
  return nodes;
}

const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
export const weather = { type: "function", name: "weather", parameters };
export const clock = { type: "function", name: "clock" };
export const shell = { type: "custom", name: "shell" };
export const hosted = { type: "web_search" };

export function usageOf(events: readonly BackendEvent[]) {
  const found = events.find((event) => event.type === "usage");
  if (found === undefined) throw new Error("no usage");
  return found.usage;
}
