import type { RequestListener } from "node:http";
import { describe, expect, test } from "vitest";
import { checkStream, checkTools, checkToolsOverHttp, describeStream } from "../../src/doctor/checks/turns.ts";
import { accepting, apiError, brokenServer, json, visitTo } from "./broken-server.ts";

/** Times of arrival: one event each so many milliseconds. */
function every(step: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => (index + 1) * step);
}

describe("a stream", () => {
  test("that flows is fine", () => {
    expect(describeStream(every(20, 40), every(20, 40))).toMatchObject({ check: "stream", level: "ok" });
  });

  test("that comes at the end is held back", () => {
    const finding = describeStream(
      Array.from({ length: 40 }, () => 800),
      every(20, 40),
    );
    expect(finding).toMatchObject({ level: "problem" });
    expect(finding.text).toContain("all at once, at the end");
    expect(finding.advice).toContain("proxy_buffering off");
  });

  test("that comes late over a WebSocket as well is a slow model", () => {
    const late = Array.from({ length: 40 }, (_, index) => 780 + index);
    expect(describeStream(late, late)).toMatchObject({ level: "ok" });
  });

  test("that comes in heaps is held back", () => {
    const heaps = every(20, 40).map((at) => Math.ceil(at / 400) * 400);
    const finding = describeStream([1, ...heaps], every(20, 40));
    expect(finding).toMatchObject({ level: "problem" });
    expect(finding.text).toContain("in 3 heaps where a WebSocket has 40 moments");
  });

  test("that is over at once tells nothing", () => {
    expect(describeStream([5, 5, 5], [5, 6, 7])).toMatchObject({ level: "ok" });
    expect(describeStream([5, 5, 5], null).text).toContain("too quick to tell");
  });

  test("of a server that refuses it is a problem", async () => {
    const url = await brokenServer({ onRequest: json(400, apiError("model_not_found", "There is no model.")) });
    const finding = await checkStream(visitTo(url), "x", false);
    expect(finding).toMatchObject({ check: "stream", level: "problem" });
    expect(finding.text).toContain("400 model_not_found: There is no model.");
  });

  test("that ends in a failure is a problem of the model", async () => {
    const failed = { type: "response.failed", response: { error: { code: "server_error", message: "It is down." } } };
    const url = await brokenServer({ onRequest: sse([{ type: "response.created" }, failed]) });
    const finding = await checkStream(visitTo(url), "x", false);
    expect(finding).toMatchObject({ level: "problem", text: "the model does not answer (server_error: It is down.)" });
  });

  test("without events is a problem", async () => {
    const url = await brokenServer({ onRequest: sse([]) });
    expect(await checkStream(visitTo(url), "x", false)).toMatchObject({ level: "problem" });
  });
});

function sse(events: readonly object[]): RequestListener {
  return (request, response) => {
    request.resume();
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(""));
  };
}

const CALL = { type: "function_call", call_id: "call_1", name: "get_weather", arguments: "{}" };

function completed(output: readonly object[]) {
  return { id: "resp_1", status: "completed", output };
}

/** Calls a tool, and knows nothing of it the next time. */
const forgetful: RequestListener = (request, response) => {
  request.setEncoding("utf8").on("data", (text: string) => {
    const isFirst = !text.includes("previous_response_id");
    const answer = isFirst ? json(200, completed([CALL])) : json(400, apiError("previous_response_not_found", "No."));
    answer(request, response);
  });
};

describe("a tool call over HTTP", () => {
  test("makes its round, the second time with nothing but the output", async () => {
    const bodies: unknown[] = [];
    const onRequest: RequestListener = (request, response) => {
      request.setEncoding("utf8").on("data", (text: string) => bodies.push(JSON.parse(text)));
      request.on("end", () => json(200, completed(bodies.length === 1 ? [CALL] : []))(request, response));
    };
    const finding = await checkToolsOverHttp(visitTo(await brokenServer({ onRequest })), "x");
    expect(finding).toMatchObject({ check: "tools-http", level: "ok" });
    expect(bodies[1]).toMatchObject({
      model: "x",
      store: true,
      previous_response_id: "resp_1",
      input: [{ type: "function_call_output", call_id: "call_1" }],
    });
  });

  test("that is never made is a warning about the model", async () => {
    const finding = await checkToolsOverHttp(visitTo(await brokenServer({ onRequest: json(200, completed([])) })), "x");
    expect(finding).toMatchObject({ level: "warning" });
    expect(finding.advice).toContain("--enable-auto-tool-choice");
  });

  test("whose response is not found again is a problem of the store", async () => {
    const finding = await checkToolsOverHttp(visitTo(await brokenServer({ onRequest: forgetful })), "x");
    expect(finding).toMatchObject({ level: "problem" });
    expect(finding.advice).toContain("--store postgres://");
  });
});

/** Answers each message with the next of the events. */
const scripted = (...answers: readonly object[]) =>
  accepting((socket) => {
    const left = [...answers];
    socket.on("message", () => socket.send(JSON.stringify(left.shift())));
  });

describe("a tool call over WebSocket", () => {
  test("makes its round", async () => {
    const onUpgrade = scripted(
      { type: "response.completed", response: completed([CALL]) },
      { type: "response.completed", response: completed([]) },
    );
    expect(await checkTools(visitTo(await brokenServer({ onUpgrade })), "x")).toMatchObject({
      check: "tools",
      level: "ok",
    });
  });

  test("that is refused is told with the server's words", async () => {
    const onUpgrade = scripted({ type: "error", status: 400, ...apiError("model_not_found", "There is no model.") });
    const finding = await checkTools(visitTo(await brokenServer({ onUpgrade })), "x");
    expect(finding).toMatchObject({ level: "problem" });
    expect(finding.text).toContain("model_not_found: There is no model.");
  });

  test("in the middle of which the connection ends is a problem", async () => {
    const onUpgrade = accepting((socket) => socket.on("message", () => socket.terminate()));
    const finding = await checkTools(visitTo(await brokenServer({ onUpgrade })), "x");
    expect(finding).toMatchObject({ level: "problem" });
    expect(finding.text).toContain("closed in the middle of a turn (1006)");
  });
});
