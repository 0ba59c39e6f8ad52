import { type Finding, ok, problem, skipped, warning } from "../finding.ts";
import { adviceFor } from "../front.ts";
import { type Peer, upgrade } from "../peer.ts";
import { formatSeconds, type Visit } from "../visit.ts";

/** Whether the path cuts connections on which nothing happens, when, and what keeps it from that. */

/** What each of three connections does, while the others do something else. */
const HABITS = ["silent", "pings", "messages"] as const;

type Habit = (typeof HABITS)[number];

/** How a connection fared: the milliseconds until it was cut, or null when it was still open at the end. */
export type Fates = { readonly [H in Habit]: number | null };

/** Servers ignore it, or answer it with an error. */
const HARMLESS = '{"type":"ping"}';
/** At most so many, since some servers hang up on errors in a row. */
const NUDGES = 6;

export async function checkIdle(visit: Visit): Promise<Finding> {
  const opened = await Promise.all(HABITS.map(() => upgrade(visit)));
  const peers = opened.flatMap((result) => (result.kind === "open" ? [result.peer] : []));
  const [silent, pinging, talking] = peers;
  if (silent === undefined || pinging === undefined || talking === undefined) {
    await Promise.all(peers.map((peer) => peer.leave()));
    return skipped("idle", "three connections at once were not accepted");
  }
  const nudges = setInterval(() => {
    pinging.nudge();
    if (talking.isOpen) talking.send(HARMLESS);
  }, visit.idleMs / NUDGES);
  const [silentMs, pingsMs, messagesMs] = await Promise.all(peers.map((peer) => cutAfter(peer, visit.idleMs)));
  clearInterval(nudges);
  const fates = { silent: silentMs ?? null, pings: pingsMs ?? null, messages: messagesMs ?? null };
  await Promise.all(peers.map((peer) => peer.leave()));
  return describeIdle(fates, { idleMs: visit.idleMs, serverPings: silent.pings, headers: silent.headers });
}

async function cutAfter(peer: Peer, idleMs: number): Promise<number | null> {
  const start = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), idleMs);
  });
  const fate = await Promise.race([peer.closed.then(() => performance.now() - start), patience]);
  clearTimeout(timer);
  return fate;
}

type Measured = {
  readonly idleMs: number;
  readonly serverPings: number;
  /** Of the 101. */
  readonly headers: Peer["headers"];
};

/** What the fates of the three connections mean together. */
export function describeIdle(fates: Fates, { idleMs, serverPings, headers }: Measured): Finding {
  const { silent, pings, messages } = fates;
  const data = { silentMs: silent, pingsMs: pings, messagesMs: messages, idleMs, serverPings };
  if (silent === null && pings === null && messages === null) {
    const keeps = serverPings > 0 ? `; the server sent ${serverPings} pings meanwhile` : "";
    const hint = idleMs < 60_000 ? "; many proxies cut at 60 s, which --idle 90 would show" : "";
    return ok("idle", `idle connections stay open for ${formatSeconds(idleMs)}${keeps}${hint}`, data);
  }
  if (silent !== null && pings === null) {
    const advice = `Pings count as traffic here: the server's have to come more often (--ping-seconds below ${Math.max(1, Math.floor(silent / 1000))}). Better: ${adviceFor("idle", { headers })}`;
    return warning("idle", `a connection that is silent for ${formatSeconds(silent)} is cut`, advice, data);
  }
  if (silent !== null && messages === null) {
    const seconds = Math.max(1, Math.floor(silent / 1000));
    const advice = `Pings do not count as traffic here, only messages: --keepalive on --keepalive-seconds ${seconds}. Better: ${adviceFor("idle", { headers })}`;
    return problem(
      "idle",
      `a connection without messages is cut after ${formatSeconds(silent)}, in spite of pings`,
      advice,
      data,
    );
  }
  const first = Math.min(...[silent, pings, messages].filter((ms) => ms !== null));
  const advice = `It is not idleness: something ends every connection of that age. ${adviceFor("idle", { headers })}`;
  return problem("idle", `connections are cut after ${formatSeconds(first)}, whatever is sent on them`, advice, data);
}
