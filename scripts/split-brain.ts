import {
  deleteRound,
  FenceServer,
  killRound,
  newFile,
  PAUSES,
  pauseRound,
  retryRound,
} from "../test/support/split-brain.ts";
import { TestPostgres } from "../test/support/postgres.ts";

/**
 * Attacks two servers with one store, round by round, and prints how often they agreed.
 * Usage: `split-brain.ts [rounds of each pause, 20] [kills, 100]`
 */

const [rounds = 20, kills = 100] = process.argv.slice(2).map(Number);
const RATE = 20;
/** A round that takes longer counts as wrong, and new servers take the place of the old ones. */
const ROUND_MS = 60_000;

type Servers = readonly [FenceServer, FenceServer];
type Row = { right: number; wrong: string[] };

class Attack {
  readonly #store: string;
  readonly #tally = new Map<string, Row>();
  #servers: Servers | null = null;

  constructor(store: string) {
    this.#store = store;
  }

  /** Plays one round and counts it. */
  async round<T>(what: string, play: (servers: Servers) => Promise<T>, isRight: (seen: T) => boolean): Promise<void> {
    const row = this.#tally.get(what) ?? { right: 0, wrong: [] };
    this.#tally.set(what, row);
    try {
      const seen = await inTime(this.#open().then(play));
      if (isRight(seen)) row.right += 1;
      else row.wrong.push(JSON.stringify(seen));
    } catch (error) {
      row.wrong.push(String(error));
      await this.close();
    }
  }

  async close(): Promise<void> {
    const servers = this.#servers ?? [];
    this.#servers = null;
    for (const server of servers) await server.kill();
  }

  print(database: string): void {
    for (const [what, { right, wrong }] of this.#tally) {
      process.stdout.write(`${String(right).padStart(4)} of ${right + wrong.length}  ${database}: ${what}\n`);
      for (const each of wrong) process.stdout.write(`        ${each}\n`);
    }
  }

  async #open(): Promise<Servers> {
    this.#servers ??= [await FenceServer.start(this.#store, RATE), await FenceServer.start(this.#store, RATE)];
    return this.#servers;
  }
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no end within ${ROUND_MS / 1000} s`)), ROUND_MS);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
    // It may still fail, when its servers are killed.
    work.catch(() => undefined);
  }
}

async function run(database: string, store: string): Promise<void> {
  const attack = new Attack(store);
  for (let round = 0; round < rounds; round += 1) {
    for (const how of PAUSES) {
      await attack.round(
        `a response whose server ${how} has one end`,
        (servers) => pauseRound(servers, how),
        ({ client, stores, next }) =>
          client === "response.failed server_error" &&
          stores.every((status) => status === "failed") &&
          new Set(next).size === 1,
      );
      await attack.round(
        `a request whose server ${how} is acknowledged once`,
        (servers) => retryRound(servers, how),
        ({ first, second }) => first === "response.failed server_error" && second === "response.completed",
      );
      await attack.round(
        `a response deleted while its server ${how} is gone`,
        (servers) => deleteRound(servers, how),
        ({ stores, client }) => stores.join() === "200,404,404" && client !== "response.completed",
      );
    }
  }
  for (let kill = 0; kill < kills; kill += 1) {
    await attack.round(
      "four responses deleted after a kill are gone",
      ([, server]) => killRound(store, server, Math.random() * 400),
      (seen) => seen.every((each) => /^(200 404|404 404|404)$/.test(each)),
    );
  }
  await attack.close();
  attack.print(database);
}

const file = newFile();
await run("SQLite", file.url);
file.remove();
if (TestPostgres.missing === null) {
  const postgres = await TestPostgres.start();
  await run("PostgreSQL", await postgres.emptyPlace());
  await postgres.stop();
}
