import { connect, createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createLog } from "../../src/observe.ts";
import { startServer } from "../../src/server.ts";
import { TestPostgres } from "../support/postgres.ts";
import { rawUpgrade } from "../support/raw-upgrade.ts";

/** A database that stops answering, goes away and comes back, behind a server. */

/** Stands between a server and its database: lets everything through, holds it back, or cuts it. */
class Line {
  readonly #sockets = new Set<Socket>();
  #state: "open" | "stalled" | "cut" = "open";
  readonly #server = createServer((client) => this.#accept(client));
  readonly #target: string;

  constructor(target: string) {
    this.#target = target;
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  set(state: "open" | "stalled" | "cut"): void {
    this.#state = state;
    for (const socket of this.#sockets) {
      if (state === "cut") socket.destroy();
      else if (state === "stalled") socket.pause();
      else socket.resume();
    }
  }

  async close(): Promise<void> {
    this.set("cut");
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    const database = connect(this.#target);
    for (const [from, to] of [
      [client, database],
      [database, client],
    ] as const) {
      this.#sockets.add(from);
      from.on("data", (chunk) => to.write(chunk));
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
    if (this.#state === "cut") client.destroy();
    if (this.#state === "stalled") for (const socket of [client, database]) socket.pause();
  }
}

describe.skipIf(TestPostgres.missing !== null)(`a database that fails${TestPostgres.whySkipped}`, () => {
  let postgres: TestPostgres;

  beforeAll(async () => {
    postgres = await TestPostgres.start();
  }, 60_000);

  afterAll(() => postgres.stop());

  async function start() {
    const place = new URL((await postgres.emptyPlace()).replace("@/", "@localhost/"));
    const line = new Line(join(place.searchParams.get("host") ?? "", ".s.PGSQL.5432"));
    const port = await line.listen();
    place.searchParams.delete("host");
    place.host = `127.0.0.1:${port}`;
    const lines: string[] = [];
    const log = createLog({ level: "warn", destination: { write: (text: string) => void lines.push(text) } });
    const server = await startServer(
      {
        port: 0,
        store: place.href,
        storeTimeout: 0.5,
        maxLoopDelayMs: 0,
        simRounds: 0,
        apiKeys: [{ tenant: "a", key: "key-of-sixteen-or-more" }],
      },
      { log },
    );
    onTestFinished(async () => {
      line.set("open");
      await server.close();
      await line.close();
    });
    const call = (path: string, method = "GET", body?: object) =>
      fetch(server.url + path, {
        method,
        headers: {
          authorization: "Bearer key-of-sixteen-or-more",
          ...(body && { "content-type": "application/json" }),
        },
        ...(body && { body: JSON.stringify(body) }),
      });
    return { server, line, lines, call };
  }

  test.each(["stalled", "cut"] as const)(
    "%s: every route answers 503 in a bounded time, and works again afterwards",
    async (state) => {
      const { line, lines, call, server } = await start();
      const stored = (await (await call("/v1/responses", "POST", { model: "sim", input: "Hello" })).json()) as {
        id: string;
      };
      const conversation = (await (await call("/v1/conversations", "POST")).json()) as { id: string };
      expect((await call("/readyz")).status).toBe(200);
      line.set(state);
      const { id } = stored;
      const calls: readonly (readonly [method: string, path: string, body?: object])[] = [
        ["GET", `/v1/responses/${id}`],
        ["GET", `/v1/responses/${id}?stream=true`],
        ["GET", `/v1/responses/${id}/input_items`],
        ["DELETE", `/v1/responses/${id}`],
        ["POST", "/v1/conversations"],
        ["GET", `/v1/conversations/${conversation.id}`],
        ["GET", `/v1/conversations/${conversation.id}/items`],
        ["POST", "/v1/responses", { model: "sim", input: "x", conversation: conversation.id }],
        ["POST", "/v1/responses", { model: "sim", input: "x", background: true }],
        ["POST", "/v1/responses", { model: "sim", input: [{ type: "item_reference", id: `msg_${id.slice(5)}o0` }] }],
        // A first answer of this server, since the node is in its cache, is also asked of the database.
        ["POST", "/v1/responses", { model: "sim", input: "x", previous_response_id: id }],
        ["POST", "/v1/responses/input_tokens", { model: "sim", input: "x", previous_response_id: id }],
      ];
      for (const [method, path, body] of calls) {
        const answer = await call(path, method, body);
        const { error } = (await answer.json()) as { error?: { code: string } };
        expect([method, path, answer.status, answer.headers.get("retry-after"), error?.code]).toEqual([
          method,
          path,
          503,
          "2",
          "store_unavailable",
        ]);
      }
      const ready = await call("/readyz");
      expect([ready.status, await ready.json()]).toEqual([503, { status: "no_store" }]);
      expect((await call("/healthz")).status).toBe(200);
      expect((await call("/v1/responses", "POST", { model: "sim", input: "x", store: false })).status).toBe(200);
      // A key of the configuration needs no store.
      expect(
        (await rawUpgrade(server.url, "/v1/responses", { authorization: "Bearer key-of-sixteen-or-more" })).status,
      ).toBe(101);
      for (const text of lines.filter((each) => each.includes("StoreError"))) {
        expect(text).toMatch(/"message":"the database (?:did not answer within 0\.5 s|cannot be used: [^"]+)"/);
        expect(text).not.toContain('"stack"');
      }
      expect(lines.some((each) => each.includes("StoreError"))).toBe(true);
      line.set("open");
      while ((await call("/readyz")).status !== 200);
      expect((await call(`/v1/conversations/${conversation.id}`)).status).toBe(200);
      expect((await call("/v1/responses", "POST", { model: "sim", input: "again" })).status).toBe(200);
    },
    120_000,
  );
});
