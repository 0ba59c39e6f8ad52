// Sessions that do nothing: what they hold, how soon they answer, and what is left of them when they have gone.

import { idleRecording, IdleSessions, turnTimes } from "../src/bench/idle-sessions.ts";
import { quantile, slope } from "../src/bench/statistics.ts";
import { answerOf, type Upstream } from "../src/bench/upstream.ts";
import { type Comparison, interleaved, inTurns, KB, row } from "./comparison.ts";
import type { Running } from "./servers.ts";

const CONTEXT = 100 * KB;
const WARM_UP_SESSIONS = 50;

function open(server: Running, upstream: Upstream, sessions: number, compress = false): Promise<IdleSessions> {
  const recording = idleRecording(CONTEXT);
  const answers = recording.turns.map(({ output }) => answerOf(output, 8));
  return IdleSessions.open(server, upstream, { recording, answers, sessions, compress });
}

/** Memory beyond the context, each time of a fresh process. */
export const memory: Comparison = async (setting) => {
  const asked = setting.sessions ?? (setting.isQuick ? 500 : 2000);
  const rows = [];
  for (const compress of [false, true]) {
    // A server may compress for so many connections only.
    const sessions = compress ? Math.min(900, asked) : asked;
    const results = await interleaved({ ...setting, rounds: 1 }, async (server) => {
      const warm = await open(server, setting.upstream, WARM_UP_SESSIONS, compress);
      await warm.close();
      const before = await server.usage("collect");
      const idle = await open(server, setting.upstream, sessions, compress);
      const after = await server.usage();
      await idle.close();
      return (after.memoryBytes - before.memoryBytes) / sessions / KB;
    });
    const title = `${sessions} idle sessions of 100 KB${compress ? ", deflate negotiated" : ""}`;
    rows.push(row(title, results, "KB each", `≤ context + ${compress ? 220 : 80}`));
  }
  return rows;
};

const WAVES = 5;

/** Sessions that are opened and closed again and again: memory has to level off. */
export const waves: Comparison = async (setting) => {
  const sessions = setting.sessions ?? (setting.isQuick ? 200 : 1000);
  const results = await interleaved({ ...setting, rounds: WAVES }, async (server) => {
    const idle = await open(server, setting.upstream, sessions);
    const opened = await server.usage();
    await idle.close();
    const closed = await server.usage("collect");
    return { open: opened.memoryBytes, closed: closed.memoryBytes };
  });
  const megabytes = (wave: number, state: "open" | "closed") =>
    results.map((all) => [(all[wave]?.[state] ?? Number.NaN) / 1e6]);
  const growth = results.map((all) => {
    const added = slope(all.slice(1).map((one, index) => [index, one.open]));
    return [(added / (sessions * CONTEXT)) * 100];
  });
  return [
    ...Array.from({ length: WAVES }, (_, wave) =>
      row(`wave ${wave + 1} of ${sessions} sessions, open`, megabytes(wave, "open"), "MB resident", ""),
    ),
    row("after the last wave, closed and collected", megabytes(WAVES - 1, "closed"), "MB resident", ""),
    row("growth a wave from the second on", growth, "% of its contexts", "near 0; all kept is 100"),
  ];
};

const TURNS = 100;

/** A turn on any of many sessions that have long done nothing, against one on a server that has few. */
export const idle: Comparison = async (setting) => {
  const sessions = setting.sessions ?? (setting.isQuick ? 500 : 2000);
  const servers = await setting.start();
  const rows = [];
  for (const count of [WARM_UP_SESSIONS, sessions]) {
    const opened: IdleSessions[] = [];
    const costs: { readonly kilobytes: number; readonly seconds: number }[] = [];
    for (const server of servers) {
      const before = await server.usage("collect");
      const began = performance.now();
      opened.push(await open(server, setting.upstream, count));
      const seconds = (performance.now() - began) / 1000;
      const after = await server.usage();
      costs.push({ seconds, kilobytes: (after.memoryBytes - before.memoryBytes) / count / KB });
    }
    // The first round is compiled while it runs.
    const results = await inTurns(opened, setting.rounds + 1, (all, round) => {
      setting.sample();
      return turnTimes(all, TURNS, round);
    });
    const times = results.map((rounds) => rounds.slice(1).flat());
    const among = `a turn on any of ${count} sessions`;
    rows.push(row(`${among}, median`, times, "ms", count === sessions ? "as on a few" : ""));
    rows.push(
      row(
        `${among}, p99`,
        times.map((all) => [quantile(all, 0.99)]),
        "ms",
        "",
      ),
    );
    if (count === sessions) {
      rows.push(
        row(
          `memory of each of ${count} sessions`,
          costs.map(({ kilobytes }) => [kilobytes]),
          "KB",
          "≤ context + 80",
        ),
        row(
          `opening ${count} sessions, one turn each`,
          costs.map(({ seconds }) => [seconds]),
          "s",
          "",
        ),
      );
    }
    for (const all of opened) await all.close();
  }
  for (const server of servers) await server.stop();
  return rows;
};
