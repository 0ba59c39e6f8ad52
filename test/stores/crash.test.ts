import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Response } from "../../src/protocol/response.ts";
import { openDurableStore } from "../../src/stores/open.ts";
import { TestPostgres } from "../support/postgres.ts";
import { ScriptProcess } from "../support/script-process.ts";
import { WsClient } from "../support/ws-client.ts";
import { laneNodes } from "./crash-nodes.ts";

/** How often each process is killed; hundreds take minutes. */
const KILLS = Number(process.env["TURNWIRE_TEST_KILLS"] ?? 12);
const LANES = 8;
const TIMEOUT = 60_000 + KILLS * 10_000;

const WRITER = new URL("crash-writer.ts", import.meta.url);
const SERVER = new URL("crash-server.ts", import.meta.url);

const folder = mkdtempSync(join(tmpdir(), "turnwire-crash-"));
afterAll(() => rmSync(folder, { recursive: true }));

function someNumberBelow(limit: number): number {
  return Math.floor(Math.random() * limit);
}

/** What the writer said of one lane. */
type Said = { stored: number; readonly deleted: Set<number>; readonly deleting: Set<number> };

function readLines(lines: readonly string[]): readonly Said[] {
  const lanes = Array.from({ length: LANES }, (): Said => ({ stored: 0, deleted: new Set(), deleting: new Set() }));
  for (const line of lines) {
    const [act, laneName, turnName] = line.split(" ");
    const lane = lanes[Number(laneName)];
    const turn = Number(turnName);
    // The last line may have been cut short by the kill.
    if (lane === undefined || turnName === undefined || turnName === "") continue;
    if (act === "stored") lane.stored = Math.max(lane.stored, turn + 1);
    if (act === "deleting") lane.deleting.add(turn);
    if (act === "deleted") lane.deleted.add(turn);
  }
  return lanes;
}

/** Opens what a killed writer has left: all that it said must be so, and what it was about to do is done or not. */
async function checkAfterKill(url: string, run: string, lanes: readonly Said[]): Promise<number> {
  const store = await openDurableStore(url, { memoryBytes: 0 });
  let checked = 0;
  for (const [lane, { stored, deleted, deleting }] of lanes.entries()) {
    const nodes = laneNodes(run, lane, stored + 1);
    for (const [turn, node] of nodes.entries()) {
      const loaded = await store.load(node.tenant, node.id);
      const mayBeMissing = turn === stored || deleting.has(turn);
      const mustBeMissing = deleted.has(turn);
      if (mustBeMissing) expect([node.id, loaded]).toEqual([node.id, undefined]);
      else if (loaded !== undefined || !mayBeMissing) expect([node.id, loaded]).toEqual([node.id, node]);
      checked += 1;
    }
  }
  await store.close();
  return checked;
}

async function killWriters(url: string, kills: number, check: () => void): Promise<number> {
  let checked = 0;
  for (let kill = 0; kill < kills; kill++) {
    const writer = new ScriptProcess(WRITER, [url, `run${kill}`, String(LANES)]);
    await writer.said(1 + someNumberBelow(kill % 5 === 0 ? 3 : 400));
    const lanes = readLines(await writer.kill());
    check();
    checked += await checkAfterKill(url, `run${kill}`, lanes);
  }
  return checked;
}

describe("a writer that is killed at any moment has lost nothing that it was told is stored", () => {
  test(
    "in a file",
    async () => {
      const file = join(folder, "writer.db");
      const checkFile = (): void => {
        const database = new DatabaseSync(file);
        expect(database.prepare("PRAGMA integrity_check").all()).toEqual([{ integrity_check: "ok" }]);
        expect(database.prepare("PRAGMA foreign_key_check").all()).toEqual([]);
        database.close();
      };
      expect(await killWriters(`sqlite:${file}`, KILLS, checkFile)).toBeGreaterThan(KILLS);
    },
    TIMEOUT,
  );

  describe.skipIf(TestPostgres.missing !== null)(`PostgreSQL${TestPostgres.whySkipped}`, () => {
    let server: TestPostgres;
    beforeAll(async () => {
      server = await TestPostgres.start();
    });
    afterAll(() => server.stop());

    test(
      "in its tables",
      async () => {
        const kills = Math.ceil(KILLS / 4);
        expect(await killWriters(await server.emptyPlace(), kills, () => undefined)).toBeGreaterThan(kills);
      },
      TIMEOUT,
    );
  });
});

describe("a whole server", () => {
  const store = `sqlite:${join(folder, "server", "turnwire.db")}`;

  test(
    "that is killed at any moment has every response that a client saw completed",
    async () => {
      let last: readonly Response[] = [];
      for (let kill = 0; kill < Math.ceil(KILLS / 2); kill++) {
        const server = new ScriptProcess(SERVER, [store]);
        await server.said(1);
        const [url = ""] = server.lines;
        // What the one before had said is continued by this one.
        for (const { id } of last.slice(-3)) expect(await create(url, { previous_response_id: id })).toBe("completed");
        last = await talkUntilKilled(server, url, someNumberBelow(120));
        const after = await openDurableStore(store, { memoryBytes: 0 });
        for (const response of last) expect((await after.load("default", response.id))?.response).toEqual(response);
        await after.close();
      }
    },
    TIMEOUT,
  );

  test("writes no word of what is not to be stored, anywhere", async () => {
    const home = mkdtempSync(join(folder, "home-"));
    const environment = { PATH: process.env["PATH"], TMPDIR: home, HOME: home };
    const server = new ScriptProcess(SERVER, [`sqlite:${join(home, "turnwire.db")}`], { env: environment });
    await server.said(1);
    const client = await WsClient.open(`${server.lines[0]?.replace("http", "ws")}/v1/responses`, undefined);
    const stored = await client.turn({ input: "the marker goes in" });
    const parent = stored.response.id;
    const secret = { input: "the canary stays out", instructions: "canary", metadata: { canary: "canary" } };
    const hidden = await client.turn({ ...secret, store: false, previous_response_id: parent });
    const child = await client.turn({ input: "the marker again", previous_response_id: hidden.response.id });
    expect([hidden.response.status, child.response.status]).toEqual(["completed", "completed"]);
    // What may be sent again is remembered, and that in memory only.
    const [url = ""] = server.lines;
    expect(await create(url, { ...secret, store: false }, { "idempotency-key": "canary" })).toBe("completed");
    await server.kill();
    const files = readdirSync(home, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const contents = files.map((entry) => readFileSync(join(entry.parentPath, entry.name)));
    expect(contents.some((content) => content.includes("the marker goes in"))).toBe(true);
    expect(contents.some((content) => content.includes("the marker again"))).toBe(true);
    expect(contents.filter((content) => content.includes("canary"))).toEqual([]);
  });
});

async function create(url: string, body: object, headers: Record<string, string> = {}): Promise<unknown> {
  const answer = await fetch(`${url}/v1/responses`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: "sim", input: "Go on.", ...body }),
  });
  return ((await answer.json()) as { readonly status?: string }).status;
}

/** Keeps connections busy with turns; resolves with the responses that were seen completed before the kill. */
async function talkUntilKilled(server: ScriptProcess, url: string, count: number): Promise<readonly Response[]> {
  const completed: Response[] = [];
  const enough = Promise.withResolvers<void>();
  const talk = async (): Promise<void> => {
    const client = await WsClient.open(`${url.replace("http", "ws")}/v1/responses`, undefined);
    for (let previous: string | null = null; ; ) {
      const { response } = await client.turn({ model: "sim", input: "Go on.", previous_response_id: previous });
      completed.push(response);
      if (completed.length >= count) enough.resolve();
      previous = response.id;
    }
  };
  const talks = [1, 2, 3, 4].map(talk);
  for (const each of talks) each.catch(() => undefined);
  await enough.promise;
  await server.kill();
  await Promise.allSettled(talks);
  return completed;
}
