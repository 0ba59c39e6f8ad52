import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RunningServer } from "../../src/server.ts";
import { ChatUpstream, answer } from "../support/chat-upstream.ts";
import { startInFrontOf } from "../support/in-front.ts";

/** Log probabilities, from a chat server that gives them to OpenAI's SDK. */

let upstream: ChatUpstream;
let server: RunningServer;
let client: OpenAI;

beforeAll(async () => {
  upstream = await ChatUpstream.start();
  server = await startInFrontOf(upstream);
  client = new OpenAI({ apiKey: "any", baseURL: `${server.url}/v1`, maxRetries: 0 });
});

afterAll(async () => {
  await server.close();
  await upstream.close();
});

const chunk = (content: string, token: string) => ({
  choices: [
    {
      delta: { content },
      logprobs: {
        content: [
          { token, logprob: -0.5, bytes: null, top_logprobs: [{ token: "No", logprob: -1, bytes: [78, 111] }] },
        ],
      },
    },
  ],
});
const shown = (token: string) => ({
  token,
  logprob: -0.5,
  bytes: [...Buffer.from(token)],
  top_logprobs: [{ token: "No", logprob: -1, bytes: [78, 111] }],
});
const ALL = [shown("Yes"), shown(""), shown("!")];

test("are in the deltas, in the text and in the item, where they were asked for; and in a replay", async () => {
  // A token without text of its own belongs to what follows.
  const end = { choices: [{ delta: {}, finish_reason: "stop" }] };
  upstream.script(answer(chunk("Yes", "Yes"), chunk("", ""), chunk("!", "!"), end));
  const stream = await client.responses.create({
    model: "m",
    input: "Is it?",
    include: ["message.output_text.logprobs"],
    top_logprobs: 1,
    stream: true,
  });
  const events: OpenAI.Responses.ResponseStreamEvent[] = [];
  for await (const event of stream) events.push(event);
  expect(upstream.calls.at(-1)?.body).toMatchObject({ logprobs: true, top_logprobs: 1 });
  const deltas = events.flatMap((event) => (event.type === "response.output_text.delta" ? [event.logprobs] : []));
  expect(deltas.flat()).toEqual(ALL);
  const done = events.find((event) => event.type === "response.output_text.done");
  expect(done?.logprobs).toEqual(ALL);
  const last = events.at(-1);
  const response = last?.type === "response.completed" ? last.response : null;
  expect(response?.output[0]).toMatchObject({ content: [{ type: "output_text", text: "Yes!", logprobs: ALL }] });

  const replay = await client.responses.retrieve(response?.id ?? "", { stream: true });
  const again: OpenAI.Responses.ResponseStreamEvent[] = [];
  for await (const event of replay) again.push(event);
  expect(again).toEqual(events);
});
