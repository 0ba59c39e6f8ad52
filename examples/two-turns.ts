import { sseEvents, WebSocketSession } from "./conversation.ts";

// Two turns over each way in, the second of them with nothing but its new words. That the answer to it makes sense shows
// that the server kept the first one.
//
//   node examples/two-turns.ts                                          (a server on this machine)
//   TURNWIRE_URL=https://… TURNWIRE_KEY=… TURNWIRE_MODEL=… node examples/two-turns.ts

const FIRST = "My name is Alice.";
const SECOND = "What is my name?";

const url = process.env["TURNWIRE_URL"] ?? "http://127.0.0.1:4400";
const key = process.env["TURNWIRE_KEY"];
const headers = { "content-type": "application/json", ...(key !== undefined && { authorization: `Bearer ${key}` }) };
const model = process.env["TURNWIRE_MODEL"] ?? (await firstModel());
console.log(`${model} at ${url}`);

type Answer = { readonly id: string; readonly output: readonly { readonly content?: readonly { text?: string }[] }[] };

console.log("\nHTTP, stored by the server");
const first = await create(FIRST, null);
console.log(`> ${FIRST}\n${text(first)}`);
console.log(`> ${SECOND}\n${text(await create(SECOND, first.id))}`);

console.log("\nSSE, from the same first turn");
process.stdout.write(`> ${SECOND}\n`);
const reply = await post({ input: SECOND, previous_response_id: first.id, stream: true });
for await (const event of sseEvents(reply.body as ReadableStream<Uint8Array>)) {
  if (event.type === "response.output_text.delta") process.stdout.write(event.delta ?? "");
}

console.log("\n\nWebSocket, stored nowhere");
const session = await WebSocketSession.open({ url, key, model, temperature: 0, tools: [] });
for (const words of [FIRST, SECOND]) {
  process.stdout.write(`> ${words}\n`);
  await session.send([{ type: "message", role: "user", content: words }], (delta) => process.stdout.write(delta));
  process.stdout.write("\n");
}
session.close();

console.log(`\nThe same question with no first turn\n> ${SECOND}\n${text(await create(SECOND, null))}`);

async function create(input: string, previous_response_id: string | null): Promise<Answer> {
  return (await (await post({ input, previous_response_id })).json()) as Answer;
}

async function post(body: object): Promise<globalThis.Response> {
  const answer = await fetch(`${url}/v1/responses`, {
    method: "POST",
    headers,
    body: JSON.stringify({ model, temperature: 0, ...body }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

async function firstModel(): Promise<string> {
  const answer = await fetch(`${url}/v1/models`, { headers });
  if (!answer.ok) throw new Error(await answer.text());
  const list = (await answer.json()) as { data: readonly { id: string }[] };
  return list.data[0]?.id ?? "sim";
}

function text({ output }: Answer): string {
  return output.flatMap(({ content }) => content?.map((part) => part.text ?? "") ?? []).join("");
}
