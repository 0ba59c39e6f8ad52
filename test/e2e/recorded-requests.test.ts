import { existsSync, readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningServer } from "../../src/server.ts";
import type { Item } from "../../src/protocol/items.ts";
import { ChatUpstream, text } from "../support/chat-upstream.ts";
import { HttpClient } from "../support/http-client.ts";
import { startInFrontOf } from "../support/in-front.ts";

/**
 * Requests that were recorded in front of real Responses endpoints, where they lie beside the project. What was taken there
 * is taken here, all of its texts reach the model or are named, and what was answered there is taken back as input.
 */

const FOLDER = new URL("../../../shared/cases/responses/", import.meta.url);
const IS_MISSING = existsSync(FOLDER) ? false : "there are no recordings beside the project";

type Fields = { readonly [field: string]: unknown };
type Exchange = {
  readonly name: string;
  readonly path: string;
  readonly status: number;
  readonly request: Fields | null;
  readonly response: unknown;
};

const exchanges: readonly Exchange[] = IS_MISSING
  ? []
  : readdirSync(FOLDER)
      .filter((name) => name.endsWith(".json"))
      .map((name) => ({
        ...(JSON.parse(readFileSync(new URL(name, FOLDER), "utf8")) as Omit<Exchange, "name">),
        name,
      }));
const taken = exchanges.filter(
  ({ status, request, path }) => status === 200 && request !== null && path.endsWith("/responses"),
);

let upstream: ChatUpstream;
let server: RunningServer;

beforeAll(async () => {
  upstream = await ChatUpstream.start();
  upstream.otherwise(text("ok"));
  // Tools for MCP servers were run there; here they can only be left out.
  server = await startInFrontOf(upstream, { mcpTools: "omit" });
});

afterAll(async () => {
  await server.close();
  await upstream.close();
});

/** The request without ids that only their own server knows, and without the wish to have the context summarised. */
function ownTerms(recorded: Fields): Fields {
  const { previous_response_id: _, conversation: __, prompt: ___, context_management: ____, ...request } = recorded;
  const { input } = request;
  const items = Array.isArray(input) ? (input as readonly Item[]).filter(({ type }) => type !== "compaction") : input;
  return { ...request, input: items, stream: false, model: "m" };
}

/** Items by which outputs of a response that is not here are answered. */
function withCalls(items: readonly Item[]): readonly Item[] {
  const known = new Set(items.map((item) => ("call_id" in item && !("output" in item) ? item["call_id"] : undefined)));
  return items.flatMap((item) => {
    if (item.type !== "function_call_output" || known.has(item["call_id"])) return [item];
    return [{ type: "function_call", call_id: item["call_id"], name: "f", arguments: "{}" }, item];
  });
}

const TEXTS = new Set([
  "text",
  "output",
  "arguments",
  "instructions",
  "refusal",
  "filename",
  "file_id",
  "file_url",
  "code",
]);

/** What stands beside words and is no word itself; tools come to the model as tools. */
const UNSEEN = new Set(["tools", "annotations", "results"]);

/** The words of an item that a model is to read. */
function wordsOf(value: unknown, field = ""): readonly string[] {
  if (typeof value === "string") return TEXTS.has(field) || field === "content" ? [value] : [];
  if (Array.isArray(value)) return value.flatMap((each) => wordsOf(each, typeof each === "string" ? field : ""));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) => (UNSEEN.has(name) ? [] : wordsOf(member, name)));
}

/** Where the words have to be: in the JSON of the messages, or in JSON that one of them holds as text. */
function isIn(raw: string, words: string): boolean {
  const json = JSON.stringify(words).slice(1, -1);
  return raw.includes(json) || raw.includes(JSON.stringify(json).slice(1, -1));
}

async function ask(fields: Fields): Promise<string> {
  const { status, text: said } = await new HttpClient(server.url).create(fields);
  expect([status, status === 200 ? "" : said]).toEqual([200, ""]);
  return upstream.calls.at(-1)?.raw ?? "";
}

describe.skipIf(IS_MISSING !== false)(`recorded requests${IS_MISSING ? `: ${IS_MISSING}` : ""}`, () => {
  test.each(taken.map((exchange) => [exchange.name, exchange] as const))(
    "%s is taken whole",
    async (_, { request }) => {
      const fields = ownTerms(request ?? {});
      const sent =
        typeof fields["input"] === "string" ? fields["input"] : withCalls((fields["input"] ?? []) as readonly Item[]);
      const raw = await ask({ ...fields, input: sent });
      const instructions = typeof fields["instructions"] === "string" ? [fields["instructions"]] : [];
      const words = [...(typeof sent === "string" ? [sent] : wordsOf(sent)), ...instructions];
      expect(words.filter((each) => each !== "" && !isIn(raw, each))).toEqual([]);
    },
  );

  test.each(taken.map((exchange) => [exchange.name, exchange] as const))(
    "what %s was answered is taken back",
    async (_, { response }) => {
      const { output } = (response ?? {}) as { readonly output?: readonly Item[] };
      if (!Array.isArray(output)) return;
      const answers = (output as readonly Item[]).flatMap((item) =>
        item.type === "function_call" || item.type === "custom_tool_call"
          ? [{ type: `${item.type}_output`, call_id: item["call_id"], output: "done" }]
          : [],
      );
      const raw = await ask({ model: "m", input: [{ role: "user", content: "go" }, ...output, ...answers] });
      const said = wordsOf(output.filter(({ type }) => type !== "compaction"));
      expect(said.filter((each) => each !== "" && !isIn(raw, each))).toEqual([]);
    },
  );

  test("these are most of what was recorded", () => {
    expect(taken.length).toBeGreaterThan(200);
  });
});
