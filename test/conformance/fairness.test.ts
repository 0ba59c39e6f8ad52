import { describe, expect, test } from "vitest";
import { cases, groups, type Report, runConformance, textReport } from "../../src/conformance/index.ts";
import { type Habits, startSmallServer } from "./small-server.ts";

/** Each case that once accused the wrong server: it fails a server with that flaw, and no server with another habit. */

async function run(habits: Habits, filter: string, timeoutMs = 5000): Promise<Report> {
  const url = await startSmallServer(habits);
  return runConformance({ url, filter, key: "key-one", secondKey: "key-two", timeoutMs });
}

async function resultOf(id: string, habits: Habits) {
  const { results } = await run(habits, id);
  const { outcome, message, got } = results.find((result) => result.id === id) ?? {};
  return { outcome, said: `${message ?? ""} ${got ?? ""}` };
}

describe.each([
  { id: "tenancy.items", flaw: { sharesItems: true }, innocent: { ignoresMissingItems: true } },
  {
    id: "tenancy.items",
    flaw: { sharesItems: true, ignoresMissingItems: true },
    innocent: { namesRequests: true },
  },
  { id: "tenancy.continue-http", flaw: { sharesResponses: true }, innocent: { namesRequests: true } },
  { id: "tenancy.continue", flaw: { sharesResponses: true }, innocent: { namesRequests: true } },
  { id: "robustness.twenty-connections", flaw: { mixesClients: true }, innocent: { lacks: ["metadata"] } },
  { id: "warmup.usage", flaw: { warmUpOutput: 3 }, innocent: { lacks: ["usage"] } },
  {
    id: "http.large-body",
    flaw: { bodyLimit: { bytes: 1 << 20, status: 413 } },
    innocent: { ignoresMissingParents: true },
  },
  {
    id: "http.large-body",
    flaw: { bodyLimit: { bytes: 1 << 20, status: 400 } },
    innocent: { namesRequests: true },
  },
  {
    id: "errors.unknown-model",
    flaw: { unknownModel: "There is no such model." },
    innocent: { namesRequests: true },
  },
] satisfies readonly { id: string; flaw: Habits; innocent: Habits }[])("$id", ({ id, flaw, innocent }) => {
  test("passes a server that has no flaw", async () => {
    expect(await resultOf(id, {})).toMatchObject({ outcome: "passed" });
  });

  test(`fails one with the flaw ${JSON.stringify(flaw)}`, async () => {
    const { outcome, said } = await resultOf(id, flaw);
    expect({ outcome, said }).toMatchObject({ outcome: "failed", said: expect.not.stringContaining("broke") });
  });

  test(`passes one with the habit ${JSON.stringify(innocent)}`, async () => {
    expect(await resultOf(id, innocent)).toMatchObject({ outcome: "passed" });
  });
});

describe("a leak is told apart from another flaw", () => {
  const ids = ["tenancy.continue", "tenancy.continue-http", "tenancy.fork", "tenancy.owner"];

  test.each(ids)("%s does not call a server leaky that takes an unknown parent for none", async (id) => {
    expect((await resultOf(id, { ignoresMissingParents: true })).outcome).not.toBe("failed");
  });

  test("a leak is named as that, with the status of the answer", async () => {
    const { said } = await resultOf("tenancy.continue-http", { sharesResponses: true });
    expect(said).toContain("The other key has continued the response.");
    expect(said).toMatch(/ 200 \{/);
  });

  test("errors.unknown-model is skipped where any model is served", async () => {
    expect(await resultOf("errors.unknown-model", { unknownModel: null })).toMatchObject({ outcome: "skipped" });
  });
});

describe("a feature whose probe breaks", () => {
  test("is one that the server does not offer, with the reason, and no case fails for it", async () => {
    const { results } = await run({ hangsUpAt: ({ type }) => type === "response.steer" }, "steering,queues");
    expect(results.length).toBeGreaterThan(5);
    const accused = results.filter(({ outcome, message }) => outcome === "failed" && message?.includes("steer"));
    expect(accused).toEqual([]);
    const reasons = results.filter(({ outcome }) => outcome === "skipped").map(({ message }) => message);
    expect(reasons).toContain(
      "the server does not offer steering (it does not answer response.steer): the probe failed: " +
        "The connection was closed before an event came. (close 1006 )",
    );
  });
});

describe("a server without WebSocket", () => {
  test("is told so by one case; all others that need it are skipped for one reason", async () => {
    const report = await run({ webSocket: false }, "", 500);
    const failed = report.results.filter(({ outcome }) => outcome === "failed");
    expect(failed.filter(({ message }) => /upgrade|WebSocket/i.test(message ?? "")).map(({ id }) => id)).toEqual([
      "handshake.upgrade",
    ]);
    const text = textReport(report, groups);
    const reason = "the server has no WebSocket at /responses (it answered the upgrade with 404: Not Found)";
    expect(text.split("\n").filter((line) => line.includes(reason)).length).toBe(1);
    expect(report.conforms).toBe(false);
  }, 60_000);
});

describe("responses that lack a field", () => {
  const fields = ["metadata", "usage", "model", "object", "output"];

  test.each(fields)(
    "without '%s' no case breaks",
    async (field) => {
      const { results } = await run({ lacks: [field] }, "!conversations", 500);
      expect(results.length).toBeGreaterThan(cases.length / 2);
      expect(results.flatMap(({ message }) => (message?.includes("the case itself broke") ? [message] : []))).toEqual(
        [],
      );
    },
    60_000,
  );
});
