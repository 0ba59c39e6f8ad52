import { readFileSync } from "node:fs";
import pino from "pino";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  cases,
  groups,
  type Level,
  type Report,
  runConformance,
  scoreboard,
  selectCases,
} from "../../src/conformance/index.ts";
import { startServer } from "../../src/server.ts";
import type { Config } from "../../src/settings.ts";

async function serve(settings: Partial<Config> = {}): Promise<string> {
  const server = await startServer({ port: 0, store: "memory:", ...settings }, { log: pino({ level: "silent" }) });
  onTestFinished(() => server.close());
  return server.url;
}

function broken(report: Report): readonly string[] {
  return report.results
    .filter(({ outcome, level }) => outcome === "failed" && level === "must")
    .map(({ id, message, expected, got }) => `${id}: ${message} expected ${expected}, got ${got}`);
}

function outcomes({ results }: Report): unknown {
  return results.map(({ id, outcome }) => [id, outcome]);
}

function idsOf(filter: string): readonly string[] {
  return selectCases(cases, { filter }).map(({ id }) => id);
}

function levelsOf(level: Level): readonly string[] {
  return [...new Set(selectCases(cases, { level }).map((one) => one.level))].toSorted();
}

describe("against our own server", () => {
  test("every must holds, with keys of two tenants", async () => {
    const apiKeys = [
      { tenant: "one", key: "key-number-one-of-two" },
      { tenant: "two", key: "key-number-two-of-two" },
    ];
    // At a rate that leaves time to do something while a turn runs.
    const url = await serve({ apiKeys, simRate: 500 });
    const report = await runConformance({ url, key: "key-number-one-of-two", secondKey: "key-number-two-of-two" });
    expect(broken(report)).toEqual([]);
    expect(report.conforms).toBe(true);
    expect(report.results.map(({ id }) => id)).toEqual(cases.map(({ id }) => id));
    expect(scoreboard(report)).toMatch(/^Responses API, WebSocket mode: conforms · \d+\/\d+ must/);
  }, 60_000);

  test("every must holds without keys, as fast as it can", async () => {
    const report = await runConformance({ url: await serve() });
    expect(broken(report)).toEqual([]);
    expect(report.results.filter(({ id }) => id === "handshake.missing-key").map(({ outcome }) => outcome)).toEqual([
      "skipped",
    ]);
  }, 60_000);

  test("cases do not lean on each other: one at a time they give the same result", async () => {
    const url = await serve();
    const selection = { url, filter: "events,continuation,eviction", level: "must" } as const;
    const together = await runConformance({ ...selection, concurrency: 16 });
    const apart = await runConformance({ ...selection, concurrency: 1 });
    expect(outcomes(apart)).toEqual(outcomes(together));
  }, 60_000);

  test("each result is told when it is there", async () => {
    const told: string[] = [];
    const report = await runConformance({
      url: await serve(),
      filter: "handshake.upgrade,handshake.silent",
      onResult: ({ id }, { done, total }) => told.push(`${id} ${done}/${total}`),
    });
    expect(told.length).toBe(2);
    expect(told.at(-1)).toContain("2/2");
    expect(report.model).toBe("sim");
  });
});

describe("the list of cases", () => {
  test("every id is of its group, in kebab-case, and there once", () => {
    for (const { name, cases: own } of groups) {
      for (const { id } of own) expect(id).toMatch(new RegExp(`^${name}\\.[a-z0-9]+(-[a-z0-9]+)*$`));
    }
    expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
    expect(new Set(groups.map(({ name }) => name)).size).toBe(groups.length);
  });

  test("there are at least 120 cases", () => {
    expect(cases.length).toBeGreaterThanOrEqual(120);
  });

  test("every case says its rule, where that comes from, and how to mend it, in sentences", () => {
    for (const { id, title, from, mend } of cases) {
      for (const text of [title, mend]) expect(`${id}: ${text}`).toMatch(/[.)]$/);
      expect(from).not.toBe("");
    }
  });

  test("PROTOCOL.md has under each rule the cases that name it, and no others", () => {
    const named = cases.flatMap(({ id, rule }) => (rule === undefined ? [] : [`${rule} ${id}`]));
    expect(named.toSorted()).toEqual(casesOfPage().toSorted());
  });

  test("every case has a rule, since this server offers all that the suite knows", () => {
    expect(cases.filter(({ rule }) => rule === undefined).map(({ id }) => id)).toEqual([]);
  });
});

/** `rule case` for every case that the page lists. */
function casesOfPage(): readonly string[] {
  const page = readFileSync(new URL("../../PROTOCOL.md", import.meta.url), "utf8");
  return page.split(/^(?=\*\*[A-Z]+\d+\*\*)/m).flatMap((section) => {
    const rule = /^\*\*([A-Z]+\d+)\*\*/.exec(section)?.[1];
    const list = /^- ⇄.*(?:\n {2}.*)*/m.exec(section)?.[0] ?? "";
    return [...list.matchAll(/`([\w.-]+)`/g)].map(([, id]) => `${rule} ${id}`);
  });
}

describe("a selection", () => {
  test("takes part of an id, a pattern, and several of them", () => {
    expect(idsOf("handshake.upgrade")).toEqual(["handshake.upgrade"]);
    expect(idsOf("eviction.*")).toEqual(idsOf("eviction"));
    expect(idsOf("EVICTION, handshake.upgrade")).toEqual(["handshake.upgrade", ...idsOf("eviction")]);
    expect(idsOf("*.keys")).toEqual(["snapshots.keys"]);
  });

  test("leaves out what has a ! before it", () => {
    expect(idsOf("eviction,!eviction.recovery")).toEqual(idsOf("eviction").filter((id) => id !== "eviction.recovery"));
    expect(idsOf("!eviction").some((id) => id.startsWith("eviction"))).toBe(false);
  });

  test("takes the levels down to the one that is named", () => {
    expect(levelsOf("must")).toEqual(["must"]);
    expect(levelsOf("should")).toEqual(["must", "should"]);
    expect(levelsOf("extension")).toEqual(["extension", "must", "should"]);
  });

  test("of nothing is a mistake", () => {
    expect(() => idsOf("no-such-case")).toThrow("no case matches 'no-such-case'");
  });
});
