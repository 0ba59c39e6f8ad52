import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningServer, startServer } from "../../src/server.ts";
import { HttpClient } from "../support/http-client.ts";
import { RawModel } from "../support/raw-model.ts";
import { type Frame, WsClient } from "../support/ws-client.ts";

/** Recorded streams of hosted chat-completions APIs: what they say arrives complete on each transport. */

const FOLDER = resolve(
  process.env["TURNWIRE_CASES"] ?? resolve(import.meta.dirname, "../../../shared/cases"),
  "chat-streams",
);
const MISSING = existsSync(FOLDER) ? null : "the recorded streams are not here: set TURNWIRE_CASES";

type Delta = {
  readonly content?: string | readonly Part[] | null;
  readonly reasoning_content?: string | null;
  readonly reasoning?: string | null;
  readonly tool_calls?:
    | readonly { readonly function?: { readonly name?: string; readonly arguments?: string } }[]
    | null;
};
type Part = { readonly text?: string; readonly thinking?: readonly { readonly text: string }[] };
type Chunk = {
  readonly choices?: readonly { readonly delta: Delta; readonly finish_reason?: string | null }[];
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
};

type Recording = { readonly name: string; readonly chunks: readonly Chunk[]; readonly lines: readonly string[] };

function read(name: string): Recording {
  const text = readFileSync(resolve(FOLDER, name), "utf8");
  const lines = text
    .split("\n")
    .map((line) => line.replace(/^data: /, "").trim())
    .filter((line) => line !== "" && line !== "[DONE]");
  return { name, lines, chunks: lines.map((line) => JSON.parse(line) as Chunk) };
}

const all = MISSING === null ? readdirSync(FOLDER).map(read) : [];
const isChat = ({ chunks }: Recording): boolean => chunks.every(({ choices }) => choices !== undefined);

function parts(content: Delta["content"], pick: (part: Part) => string): string {
  return Array.isArray(content) ? (content as readonly Part[]).map(pick).join("") : "";
}

/** What the recording says, read in the plainest way. */
function told({ chunks }: Recording) {
  const deltas = chunks.flatMap(({ choices = [] }) => choices.map(({ delta }) => delta));
  const calls = deltas.flatMap(({ tool_calls: pieces }) => pieces ?? []);
  const { usage } = chunks.findLast((chunk) => chunk.usage) ?? {};
  return {
    text: deltas
      .map(({ content }) => (typeof content === "string" ? content : parts(content, ({ text = "" }) => text)))
      .join(""),
    reasoning: deltas
      .map(({ content, reasoning_content: own, reasoning }) => {
        const thinking = parts(content, (part) => (part.thinking ?? []).map(({ text }) => text).join(""));
        return (own ?? reasoning ?? "") + thinking;
      })
      .join(""),
    names: calls.flatMap((piece) => piece.function?.name || []),
    arguments: calls.map((piece) => piece.function?.arguments ?? "").join(""),
    usage: usage && { input: usage.prompt_tokens, output: usage.completion_tokens },
    status: chunks.some(({ choices = [] }) => choices.some(({ finish_reason: reason }) => reason === "length"))
      ? "incomplete"
      : "completed",
  };
}

function heard({ output, usage, status }: NonNullable<Frame["response"]>): ReturnType<typeof told> {
  const items = output as unknown as readonly Frame[];
  const textOf = (type: string): string =>
    items
      .filter((item) => item.type === type)
      .flatMap((item) => item["content"] as readonly { readonly text: string }[])
      .map(({ text }) => text)
      .join("");
  const calls = items.filter(({ type }) => type === "function_call");
  return {
    text: textOf("message"),
    reasoning: textOf("reasoning"),
    names: calls.map((call) => String(call["name"])),
    arguments: calls.map((call) => String(call["arguments"])).join(""),
    usage: usage === null ? undefined : { input: usage.input_tokens, output: usage.output_tokens },
    status,
  };
}

let model: RawModel;
let server: RunningServer;

beforeAll(async () => {
  model = await RawModel.start();
  server = await startServer({ port: 0, backend: model.url, store: "memory:", logLevel: "silent", maxLoopDelayMs: 0 });
});

afterAll(async () => {
  await server.close();
  await model.close();
});

function script({ lines }: Recording): void {
  const body = Buffer.from([...lines, "[DONE]"].map((line) => `data: ${line}\n\n`).join(""));
  model.script({ status: 200, headers: {}, body, ending: "end", pieces: 1000 });
}

describe.skipIf(MISSING !== null)("a recorded stream", () => {
  test.each(all.filter(isChat).map((each) => [each.name, each] as const))("%s is told completely", async (_, each) => {
    const expected = told(each);
    expect([expected.text, expected.reasoning, ...expected.names].join("")).not.toBe("");
    const request = { model: "m", input: "hi" };
    const http = new HttpClient(server.url);
    script(each);
    const json = await http.create(request);
    expect(heard(json.json as unknown as NonNullable<Frame["response"]>)).toEqual(expected);
    script(each);
    const { frames } = await http.stream(request);
    expect(heard(frames.at(-1)?.response as NonNullable<Frame["response"]>)).toEqual(expected);
    script(each);
    const socket = await WsClient.open(`${server.url.replace("http", "ws")}/v1/responses`);
    expect(heard((await socket.turn({ ...request, store: false })).response)).toEqual(expected);
  });

  test.each(all.filter((each) => !isChat(each)).map((each) => [each.name, each] as const))(
    "%s of another API is a failure that says so",
    async (_, each) => {
      script(each);
      const { status, json } = await new HttpClient(server.url).create({ model: "m", input: "hi" });
      expect(status).toBe(500);
      expect(json.error?.message).toBe("The model server answered with nothing that a chat completion has.");
    },
  );
});
