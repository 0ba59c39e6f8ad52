import { isIP } from "node:net";
import { connect, type PeerCertificate, type TLSSocket } from "node:tls";
import { type Finding, ok, problem, warning } from "../finding.ts";
import { inTime, messageOf, type Visit } from "../visit.ts";

const TRUST =
  " (NODE_EXTRA_CA_CERTS, SSL_CERT_FILE; some clients heed these for HTTP and not for WebSockets, so the system's own list is safer).";

/** What is wrong with a certificate, by the code that the TLS library has for it, and what mends it. */
const CERTIFICATE: { readonly [code: string]: readonly [text: string, advice: string] } = {
  CERT_HAS_EXPIRED: ["the certificate has expired", "Renew it, and have the server or the proxy load the new one."],
  CERT_NOT_YET_VALID: ["the certificate is not valid yet", "Look at the clocks of both machines."],
  DEPTH_ZERO_SELF_SIGNED_CERT: [
    "the certificate is self-signed: nobody vouches for it",
    `Take one of an authority (Let's Encrypt), or give clients this one${TRUST}`,
  ],
  SELF_SIGNED_CERT_IN_CHAIN: [
    "the chain ends in a certificate that is not trusted here",
    `Give clients the certificate of that authority${TRUST}`,
  ],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: [
    "the chain is not complete: the certificate between this one and its authority is missing",
    "Give the server the full chain (fullchain.pem), not the certificate alone.",
  ],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: [
    "whoever has signed the certificate is not known here",
    `Give the server the full chain; or give clients the authority's certificate${TRUST}`,
  ],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    "the certificate is for another name",
    "Use a name that the certificate has, or one certificate that has this name.",
  ],
};

const DAY_MS = 24 * 60 * 60 * 1000;
const SOON_DAYS = 14;

export type Secured = { readonly findings: readonly Finding[]; readonly isReached: boolean };

/** The certificate and its chain. Where it is bad, the other checks go on without trusting it. */
export async function checkTls(visit: Visit): Promise<Secured> {
  const { target } = visit;
  if (!target.isTls) return { findings: target.isLocal ? [] : [UNENCRYPTED], isReached: true };
  try {
    const socket = await handshake(visit);
    const finding = judgeCertificate(socket);
    socket.destroy();
    return { findings: [finding], isReached: true };
  } catch (error) {
    const reason = messageOf(error);
    const isPlain = /wrong version number|packet length too long/i.test(reason);
    const advice = isPlain ? "It is a plain port: use http:// or ws://." : "Look at the log of whoever ends TLS there.";
    const text = `there is no TLS at ${target.host}:${target.port} (${reason})`;
    return { findings: [problem("tls", text, advice)], isReached: false };
  }
}

const UNENCRYPTED = warning(
  "tls",
  "the connection is not encrypted",
  "Keys and conversations can be read on the way: put TLS in front (docs/deploy.md), or use --tls-cert.",
);

function judgeCertificate(socket: TLSSocket): Finding {
  const certificate = socket.getPeerCertificate();
  if (socket.authorized) return expiry(certificate, socket.getProtocol() ?? "TLS", Date.now());
  const code = String(socket.authorizationError);
  const [text, advice] = CERTIFICATE[code] ?? [`the certificate is not accepted (${code})`, "Look at the whole chain."];
  return problem("tls", `${text} (${namesOf(certificate)}, until ${certificate.valid_to})`, advice, { code });
}

/** A certificate that is in order, unless its time is nearly over. */
export function expiry(certificate: Pick<PeerCertificate, "valid_to">, protocol: string, now: number): Finding {
  const days = Math.floor((Date.parse(certificate.valid_to) - now) / DAY_MS);
  if (days >= SOON_DAYS)
    return ok("tls", `${protocol}, with a certificate that is trusted for ${days} more days`, { days });
  const advice = "Renew it now, and find out why that did not happen by itself.";
  return warning("tls", `the certificate ends in ${days} days`, advice, { days });
}

async function handshake({ target, timeoutMs, ca }: Visit): Promise<TLSSocket> {
  const socket = connect({
    host: target.host,
    port: target.port,
    rejectUnauthorized: false,
    ...(isIP(target.host) === 0 && { servername: target.host }),
    ...(ca !== undefined && { ca }),
  });
  try {
    const secured = new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve);
      socket.once("error", reject);
    });
    await inTime(secured, timeoutMs, "end of the TLS handshake");
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function namesOf({ subjectaltname, subject }: PeerCertificate): string {
  return subjectaltname?.replaceAll(/DNS:|IP Address:/g, "") ?? String(subject?.CN ?? "no name");
}
