import { lookup } from "node:dns/promises";
import { connect, isIP } from "node:net";
import { type Finding, ok, problem, warning } from "../finding.ts";
import { inTime, messageOf, type Visit } from "../visit.ts";

/** The way to the server below HTTP: its name and its port. */

export type Resolved = { readonly findings: readonly Finding[]; readonly addresses: readonly string[] };

const MOST_ADDRESSES = 8;

export async function checkDns({ target, timeoutMs }: Visit): Promise<Resolved> {
  const { host } = target;
  if (isIP(host) !== 0) return { findings: [], addresses: [host] };
  try {
    const found = await inTime(lookup(host, { all: true }), timeoutMs, "answer of the resolver");
    const addresses = found.map(({ address }) => address).slice(0, MOST_ADDRESSES);
    return { findings: [ok("dns", `${host} is ${addresses.join(", ")}`)], addresses };
  } catch (error) {
    const advice = "Look for a slip in the name; ask whether it is known only inside of a network or a container.";
    return {
      findings: [problem("dns", `the name ${host} is not known here (${codeOf(error)})`, advice)],
      addresses: [],
    };
  }
}

const WHY_NOT: { readonly [code: string]: string } = {
  ECONNREFUSED:
    "Nothing listens there: is the server started, on this port, and on this address and not only on its own loopback?",
  EHOSTUNREACH: "There is no way to that machine: a wrong address, or a network that is down.",
  ENETUNREACH: "There is no way to that network: a VPN that is down, or IPv6 without a route.",
};

/** Whether the port can be reached, on every address that the name has. */
export async function checkConnect(visit: Visit, addresses: readonly string[]): Promise<readonly Finding[]> {
  const { port } = visit.target;
  const tries = await Promise.all(
    addresses.map(async (address) => ({ address, ...(await tryConnect(visit, address)) })),
  );
  const failed = tries.filter(({ failure }) => failure !== null);
  const [best] = tries.filter(({ failure }) => failure === null);
  const told = failed.map(({ address, failure }) => `${address} port ${port}: ${failure}`).join("; ");
  if (best === undefined) {
    const why =
      WHY_NOT[failed[0]?.failure ?? ""] ??
      "Something drops the packets: a firewall, a security group, or a wrong address.";
    return [problem("connect", `no connection (${told})`, why)];
  }
  if (failed.length > 0) {
    const advice =
      "Clients may try that address first: have the server listen on it (--host), or take it from the name.";
    return [warning("connect", `only some addresses can be connected to (${told})`, advice)];
  }
  return [ok("connect", `port ${port} takes connections in ${best.ms.toFixed(1)} ms`, { ms: best.ms })];
}

async function tryConnect(
  { target, timeoutMs }: Visit,
  address: string,
): Promise<{ ms: number; failure: string | null }> {
  const start = performance.now();
  const socket = connect({ host: address, port: target.port });
  try {
    const connected = new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    await inTime(connected, timeoutMs, "answer");
    return { ms: performance.now() - start, failure: null };
  } catch (error) {
    return { ms: performance.now() - start, failure: codeOf(error) };
  } finally {
    socket.destroy();
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? messageOf(error);
}
