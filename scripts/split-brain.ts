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
const tally = new Map<string, { right: number; wrong: string[] }>();

function count(what: string, isRight: boolean, seen: unknown): void {
  const row = tally.get(what) ?? { right: 0, wrong: [] };
  if (isRight) row.right += 1;
  else row.wrong.push(JSON.stringify(seen));
  tally.set(what, row);
}

async function attack(database: string, store: string): Promise<void> {
  const servers = [await FenceServer.start(store, RATE), await FenceServer.start(store, RATE)] as const;
  for (let round = 0; round < rounds; round += 1) {
    for (const how of PAUSES) {
      const paused = await pauseRound(servers, how);
      const agrees =
        paused.client === "response.failed server_error" &&
        paused.stores.every((status) => status === "failed") &&
        new Set(paused.next).size === 1;
      count(`${database}: a response whose server ${how} has one end`, agrees, paused);
      const retried = await retryRound(servers, how);
      const isOnce = retried.first === "response.failed server_error" && retried.second === "response.completed";
      count(`${database}: a request whose server ${how} is acknowledged once`, isOnce, retried);
      const deleted = await deleteRound(servers, how);
      const isGone = deleted.stores.join() === "200,404,404" && deleted.client !== "response.completed";
      count(`${database}: a response deleted while its server ${how} is gone`, isGone, deleted);
    }
  }
  for (let kill = 0; kill < kills; kill += 1) {
    const seen = await killRound(store, servers[1], Math.random() * 400);
    const isGone = seen.every((each) => /^(200 404|404 404|404)$/.test(each));
    count(`${database}: four responses deleted after a kill are gone`, isGone, seen);
  }
  for (const server of servers) await server.kill();
}

const file = newFile();
await attack("SQLite", file.url);
file.remove();
if (TestPostgres.missing === null) {
  const postgres = await TestPostgres.start();
  await attack("PostgreSQL", await postgres.emptyPlace());
  await postgres.stop();
}
for (const [what, { right, wrong }] of tally) {
  process.stdout.write(`${String(right).padStart(4)} of ${right + wrong.length}  ${what}\n`);
  for (const each of wrong) process.stdout.write(`        ${each}\n`);
}
