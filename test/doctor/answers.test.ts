import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { examine } from "../../src/doctor/index.ts";
import { cutOff, failureOf } from "../../src/doctor/peer.ts";

test.each([
  [404, "text/html", "404"],
  [405, "application/json", "405"],
  [200, "text/html; charset=utf-8", "a web page"],
])("a URL without the API is told in one line (%s, %s)", async (status, type, said) => {
  const server = createServer((_request, response) => {
    response.writeHead(status, { "content-type": type }).end("<h1>Hello</h1>");
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { findings, isWell } = await examine({ url, timeoutMs: 5000 });
  expect(isWell).toBe(false);
  const told = findings.filter(({ level }) => level === "problem").map(({ text }) => text);
  expect(told).toEqual([`no Responses API at this URL: POST ${url}/v1/responses is answered with ${said}`]);
});

test("an answer that was cut off is no failure, and its reason is known", () => {
  const response = { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } };
  expect(failureOf({ type: "response.incomplete", response })).toBe(null);
  expect(cutOff(response)).toBe("max_output_tokens");
  expect(cutOff({ status: "completed" })).toBe(null);
  expect(failureOf({ type: "response.failed", response: { error: { code: "a", message: "b" } } })).toBe("a: b");
});
