import { describe, expect, test } from "vitest";
import {
  type CaseResult,
  groups,
  junitReport,
  type Report,
  runConformance,
  textReport,
} from "../../src/conformance/index.ts";
import { badTurn, startToy } from "./toy-server.ts";

async function resultOf(url: string, id: string): Promise<CaseResult> {
  const { results } = await runConformance({ url, filter: id, timeoutMs: 500 });
  const result = results.find((one) => one.id === id);
  if (result === undefined) throw new Error(`there is no case ${id}`);
  return result;
}

describe("a server that does badly", () => {
  test("is told what was missing in its snapshots, what was sent and what came", async () => {
    const url = await startToy(() => badTurn("resp_1"));
    const { outcome, got, mend, transcript } = await resultOf(url, "snapshots.keys");
    expect(outcome).toBe("failed");
    expect(got).toContain('"created_at"');
    expect(mend).toContain("fills in every key");
    expect(transcript.some((line) => line.startsWith('ws1 → {"type":"response.create","model":"toy"'))).toBe(true);
    expect(transcript.some((line) => line.startsWith('ws1 ← {"type":"response.completed"'))).toBe(true);
  });

  test("fails in every aspect of the grammar that it breaks", async () => {
    const url = await startToy(() => badTurn("resp_1"));
    const { results, conforms } = await runConformance({ url, filter: "events", timeoutMs: 500 });
    const failed = results.filter(({ outcome }) => outcome === "failed").map(({ id }) => id);
    expect(failed).toEqual(
      expect.arrayContaining(["events.numbers", "events.fields", "events.items", "events.in-progress"]),
    );
    expect(conforms).toBe(false);
  });

  test("is told that it greets", async () => {
    const url = await startToy(() => [], { type: "session.created" });
    expect(await resultOf(url, "handshake.silent")).toMatchObject({
      outcome: "failed",
      got: expect.stringContaining("session.created"),
    });
  });

  test("is told where it fell silent", async () => {
    const url = await startToy(() => badTurn("resp_1").slice(0, 2));
    const { message } = await resultOf(url, "create.text");
    expect(message).toBe("Nothing came in 0.5 s where the end of the turn should have come.");
  });

  test("is told when it hung up", async () => {
    const url = await startToy(() => []);
    const { message, got } = await resultOf(url, "framing.invalid-json");
    expect(message).toBe("The connection was closed before the error event came.");
    expect(got).toBe("close 1006 ");
  });

  test("is told when it sent something that is no event", async () => {
    const url = await startToy(() => ["data: [DONE]"]);
    expect(await resultOf(url, "create.text")).toMatchObject({
      message: "A message of the server is not JSON.",
      got: "data: [DONE]",
    });
  });

  test("is told when it mistakes an error for an answer", async () => {
    const url = await startToy(() => [{ type: "error", message: "no" }]);
    const { message, got } = await resultOf(url, "create.text");
    expect(message).toBe("A turn that should succeed did not.");
    expect(got).toBe('{"type":"error","message":"no"}');
    expect((await resultOf(url, "errors.event-shape")).message).toBe("'status' is not an integer.");
  });

  test("is told that it continues what it does not know, and reuses ids", async () => {
    const url = await startToy(() => badTurn("resp_1"));
    expect(await resultOf(url, "continuation.unknown")).toMatchObject({ message: "What should be refused was not." });
    expect(await resultOf(url, "create.many-turns")).toMatchObject({ expected: "6", got: "1" });
  });

  test("is told that turns are mixed", async () => {
    const url = await startToy(({ metadata }, turn) =>
      turn < 3
        ? []
        : badTurn("resp_1").map((event) => ({
            ...event,
            ...("response" in event && { response: { ...(event.response as object), metadata } }),
          })),
    );
    expect((await resultOf(url, "create.in-order")).message).toContain("'metadata' of the response that began");
  });

  test("that forgets is found out by its own count of tokens", async () => {
    const url = await startToy(({ input, previous_response_id: previous }, turn) => {
      // Like some servers it looks one turn back only.
      const usage = { input_tokens: JSON.stringify(input).length + (typeof previous === "string" ? 10 : 0) };
      const response = { id: `resp_${turn}`, status: "completed", output: [], usage };
      return [{ type: "response.completed", response }];
    });
    expect(await resultOf(url, "continuation.three-turns")).toMatchObject({
      outcome: "failed",
      message: "The third turn has not seen the first.",
    });
  });

  test("whose usage is not there cannot be measured, which is no failure", async () => {
    const url = await startToy((_event, turn) => [
      { type: "response.completed", response: { id: `resp_${turn}`, status: "completed", output: [] } },
    ]);
    expect(await resultOf(url, "continuation.three-turns")).toMatchObject({ outcome: "skipped" });
  });

  test("that forgets and counts no tokens is found out by a code word", async () => {
    const said: string[] = [];
    const url = await startToy(({ input, previous_response_id: previous }, turn) => {
      said.push(JSON.stringify(input));
      // It looks one turn back only, and repeats a code word that it finds there.
      const seen = `${typeof previous === "string" ? said.at(-2) : ""} ${said.at(-1)}`;
      const text = /code word is ([a-z]+-\d+)/.exec(seen)?.[1] ?? "unknown";
      const item = { type: "message", content: [{ type: "output_text", text }] };
      return [{ type: "response.completed", response: { id: `resp_${turn}`, status: "completed", output: [item] } }];
    });
    expect(await resultOf(url, "continuation.recall")).toMatchObject({
      outcome: "failed",
      expected: "heliotrope-4417, as when everything is sent again",
      got: "unknown",
    });
  });

  test("over HTTP too", async () => {
    const url = await startToy(() => []);
    const { message, got } = await resultOf(url, "http.json");
    expect(message).toBe("A request over HTTP that should succeed did not.");
    expect(got).toBe("500 <h1>Oops</h1>");
  });
});

async function badReport(): Promise<Report> {
  const url = await startToy(() => badTurn("resp_<&\"'\u0001>"));
  return runConformance({ url, filter: "snapshots,events,handshake", timeoutMs: 500 });
}

describe("the report of a broken server", () => {
  test("shows groups, failures with their advice, and one line for all", async () => {
    const text = textReport(await badReport(), groups);
    expect(text).toContain("✗ snapshots");
    expect(text).toContain("✗ snapshots.keys (must) Every snapshot has all 31 keys");
    expect(text).toMatch(/ {2}mend {6}Build snapshots from one function/);
    expect(text.split("\n").at(-1)).toMatch(/^Responses API, WebSocket mode: does not conform · \d+\/\d+ must/);
  });

  test("is well-formed XML for CI, and only a must is a failure there", async () => {
    const result = await badReport();
    const xml = junitReport(result);
    expectWellFormed(xml);
    expect(xml.match(/<testcase /g)?.length).toBe(result.results.length);
    expect(xml.match(/<failure /g)?.length).toBe(result.counts.must.failed);
    expect(xml).toContain(`failures="${result.counts.must.failed}"`);
    expect(xml).not.toContain("\u0001");
  });
});

/** Tags that match, attributes in quotes, and nothing else: as far as a report can go wrong. */
function expectWellFormed(xml: string): void {
  const body = xml.replace(/^<\?xml [^?]*\?>\n/, "");
  const open: string[] = [];
  const unmatched: string[] = [];
  const rest = body.replaceAll(
    /<(\/?)([a-z-]+)((?: [a-z]+="[^"<]*")*)(\/?)>/g,
    (tag, end: string, name: string, _attributes, empty: string) => {
      if (end === "" && empty === "") open.push(name);
      if (end === "/" && open.pop() !== name) unmatched.push(tag);
      return "";
    },
  );
  expect({ open, unmatched }).toEqual({ open: [], unmatched: [] });
  expect(rest).not.toMatch(/[<>]/);
  expect(xml.replaceAll(/&(amp|lt|gt|quot|#10);/g, "")).not.toContain("&");
}
