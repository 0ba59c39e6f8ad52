import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningServer, startServer } from "../../src/server.ts";
import { type RawAnswer, RawModel, type RawRequest } from "../support/raw-model.ts";
import { HttpClient } from "../support/http-client.ts";
import { type Frame, WsClient } from "../support/ws-client.ts";
import { ELSEWHERE, EXPECTED, pattern, SECOND_TURN } from "./upstream-habits-expected.ts";

/**
 * Recorded habits of chat-completions servers, byte by byte, on every transport, with a second turn behind each. The
 * recordings stand beside the project, in TURNWIRE_CASES or in `shared/cases`; what is right stands here.
 */

const FILE = resolve(
  process.env["TURNWIRE_CASES"] ?? resolve(import.meta.dirname, "../../../shared/cases"),
  "upstream-habits.json",
);
const MISSING = existsSync(FILE) ? null : "the recorded habits are not here: set TURNWIRE_CASES";

type Habit = {
  readonly id: string;
  readonly answer: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
    readonly ended: boolean;
    readonly notes?: readonly string[];
  };
  readonly request?: object;
  readonly now: "wrong" | "fine";
  readonly seen?: string;
};

const HABITS = MISSING === null ? (JSON.parse(readFileSync(FILE, "utf8")) as readonly Habit[]) : [];
const PLAYED = HABITS.filter(({ id }) => !ELSEWHERE.has(id));

let model: RawModel;
let server: RunningServer;

beforeAll(async () => {
  model = await RawModel.start();
  const settings = { store: "memory:", logLevel: "silent", maxLoopDelayMs: 0, backendRetries: 0 } as const;
  server = await startServer({ port: 0, backend: model.url, ...settings });
});

afterAll(async () => {
  await server.close();
  await model.close();
});

/** Bodies of bytes that are no UTF-8 were recorded as one character a byte. */
function bytesOf(body: string): Buffer {
  return Buffer.from(body, body.split("").every((unit) => unit.charCodeAt(0) < 256) ? "latin1" : "utf8");
}

const HELLO = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: "hello" }, finish_reason: "stop" }] })}\n\ndata: [DONE]\n\n`;

function played({ answer }: Habit, pieces: number): RawAnswer {
  const { status, headers, body, ended, notes = [] } = answer;
  const isReset = notes.some((note) => note.startsWith("callback after this byte"));
  // Two recordings hold nothing but what their names say.
  const isEmpty = body === "" && !ended;
  const ending = isEmpty || ended ? "end" : isReset ? "reset" : "hang";
  return { status, headers, body: isEmpty ? Buffer.from(HELLO) : bytesOf(body), ending, pieces };
}

function texts(value: unknown): string {
  return ((value ?? []) as readonly Frame[]).map((part) => String(part["text"] ?? part["refusal"])).join("");
}

/** A turn as one line, in the words of the recordings. */
function lineOf({ status, incomplete_details, output }: NonNullable<Frame["response"]>): string {
  const reason = incomplete_details === null ? "" : ` ${incomplete_details.reason}`;
  const items = (output as unknown as readonly Frame[]).map((item) => {
    if (item.type === "message") return `msg(${texts(item["content"])})${sources(item)}`;
    if (item.type === "reasoning") return `think(${texts(item["content"])})`;
    const id = String(item["call_id"]).replace(/^call_[0-9a-f]{32}$/, "ours");
    return `call ${String(item["name"])}[${id}] ${JSON.stringify(item["arguments"])}`;
  });
  return `${status}${reason}${items.length === 0 ? "" : ` ${items.join(" ; ")}`}`;
}

function sources(item: Frame): string {
  const parts = item["content"] as readonly { readonly annotations?: readonly object[] }[];
  const all = parts.flatMap(({ annotations = [] }) => annotations);
  return all.length === 0 ? "" : JSON.stringify(all);
}

type Outcome = { readonly line: string; readonly id: string | null; readonly calls: readonly string[] };

function outcomeOf(last: Frame | NonNullable<Frame["response"]>): Outcome {
  const response = "output" in last ? (last as NonNullable<Frame["response"]>) : last.response;
  const error = response?.error ?? (last as Frame).error;
  if (response === undefined || error) return { line: `${error?.code}: ${error?.message}`, id: null, calls: [] };
  const calls = (response.output as unknown as readonly Frame[]).flatMap((item) =>
    typeof item["call_id"] === "string" ? item["call_id"] : [],
  );
  return { line: lineOf(response), id: response.id, calls };
}

type Ask = (fields: object) => Promise<Outcome>;

const TOOLS = ["get_weather", "now"].map((name) => ({ type: "function", name, parameters: { type: "object" } }));

const TRANSPORTS: readonly (readonly [string, number, () => Promise<Ask>])[] = [
  [
    "JSON",
    Number.POSITIVE_INFINITY,
    async () => {
      const client = new HttpClient(server.url);
      return async (fields) => outcomeOf((await client.create(fields)).json as unknown as Frame);
    },
  ],
  [
    "SSE",
    97,
    async () => {
      const client = new HttpClient(server.url);
      return async (fields) => {
        const { frames, json } = await client.stream(fields);
        return outcomeOf(frames.at(-1) ?? (json as unknown as Frame));
      };
    },
  ],
  [
    "WebSocket",
    31,
    async () => {
      const client = await WsClient.open(`${server.url.replace("http", "ws")}/v1/responses`);
      return async (fields) => outcomeOf((await client.turn({ ...fields, store: false })).last);
    },
  ],
];

describe.skipIf(MISSING !== null)("a recorded habit of model servers", () => {
  describe.each(TRANSPORTS)("over %s", (_, pieces, open) => {
    test.each(PLAYED.map((habit) => [habit.id, habit] as const))("%s", async (id, habit) => {
      model.requests.length = 0;
      model.script(played(habit, Math.min(pieces, 1e9)));
      const ask = await open();
      const request = { model: "m", input: "hi", tools: TOOLS, ...habit.request };
      const first = await ask(request);
      const { seen = "" } = habit;
      expect(first.line).toMatch(EXPECTED[id] ?? pattern(seen.replaceAll(/call_[0-9a-f]{32}/g, "ours")));
      model.script({ status: 200, headers: {}, body: Buffer.from(HELLO), ending: "end" });
      const input = [
        ...first.calls.map((call_id) => ({ type: "function_call_output", call_id, output: "done" })),
        { role: "user", content: "go on" },
      ];
      const second = await ask({ ...request, input, previous_response_id: first.id });
      expect(second.line).toBe("completed msg(hello)");
      const messages = model.requests[1]?.body.messages ?? [];
      expect(callIds(messages)).toEqual(first.calls);
      SECOND_TURN[id]?.(JSON.stringify(messages));
    });
  });
});

/** Ids of the calls, each of which has its answer. */
function callIds(messages: NonNullable<RawRequest["body"]["messages"]>): readonly string[] {
  const made = messages.flatMap(({ tool_calls: calls }) => (calls ?? []) as readonly { readonly id: string }[]);
  const answered = messages.flatMap(({ role, tool_call_id: id }) => (role === "tool" ? String(id) : []));
  expect(made.map(({ id }) => id)).toEqual(answered);
  return answered;
}
