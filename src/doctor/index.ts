import { checkKeyAndModels, checkResponsesApi, checkServer } from "./checks/api.ts";
import { checkIdle } from "./checks/idle.ts";
import { checkConnect, checkDns } from "./checks/network.ts";
import { checkProxy } from "./checks/proxy.ts";
import { checkBody, checkMessage } from "./checks/size.ts";
import { checkTls } from "./checks/tls.ts";
import { checkStream, checkTools, checkToolsOverHttp } from "./checks/turns.ts";
import { checkUpgrade } from "./checks/upgrade.ts";
import { CHECKS, type CheckName, type Finding, skipped } from "./finding.ts";
import { parseTarget, TargetError } from "./target.ts";
import type { Visit } from "./visit.ts";

/** `turnwire doctor`: a server and the way to it, as a client meets them. It needs nothing but the wire. */

export type DoctorOptions = Partial<Omit<Visit, "target">> & {
  /** The base URL of a server. */
  readonly url: string;
  /** Sees each finding as soon as there is one. */
  readonly onFinding?: (finding: Finding) => void;
};

export type Examination = {
  readonly url: string;
  /** Whether no finding is a problem. */
  readonly isWell: boolean;
  /** In the order of the checks. */
  readonly findings: readonly Finding[];
};

/** @throws TargetError */
export async function examine({ url, onFinding = () => {}, ...options }: DoctorOptions): Promise<Examination> {
  const visit: Visit = {
    key: null,
    model: null,
    environment: {},
    timeoutMs: 10_000,
    turnMs: 120_000,
    idleMs: 5000,
    largestBytes: 16 * 2 ** 20,
    ...options,
    target: parseTarget(url),
  };
  const findings: Finding[] = [];
  const tell = (...found: readonly Finding[]): void => {
    for (const finding of found) {
      findings.push(finding);
      onFinding(finding);
    }
  };
  await visitAll(visit, tell);
  findings.sort((one, other) => CHECKS.indexOf(one.check) - CHECKS.indexOf(other.check));
  return { url: visit.target.base, isWell: findings.every(({ level }) => level !== "problem"), findings };
}

type Tell = (...found: readonly Finding[]) => void;

/** From the bottom upwards: what cannot work any more is not tried. */
async function visitAll(visit: Visit, tell: Tell): Promise<void> {
  tell(...(await checkProxy(visit)));
  const { findings, addresses } = await checkDns(visit);
  tell(...findings);
  if (addresses.length === 0) return;
  const connected = await checkConnect(visit, addresses);
  tell(...connected);
  if (hasProblem(connected)) return;
  const secured = await checkTls(visit);
  tell(...secured.findings);
  if (!secured.isReached) return;
  const met = await checkServer(visit);
  const missing = met.isReached ? await checkResponsesApi(visit) : null;
  if (missing !== null) {
    tell(missing);
    return;
  }
  tell(...met.findings);
  if (!met.isReached) return;
  const offered = await checkKeyAndModels(visit);
  tell(...offered.findings);
  const opened = await checkUpgrade(visit);
  tell(...opened.findings);
  // It only waits, so the others need not wait for it.
  const idle = opened.isOpen ? checkIdle(visit) : Promise.resolve(closed("idle"));
  tell(opened.isOpen ? await checkMessage(visit) : closed("message"));
  if (offered.isLetIn) tell(await checkBody(visit));
  await visitModel(visit, offered.isLetIn ? offered.model : null, opened.isOpen, tell);
  tell(await idle);
}

async function visitModel(visit: Visit, model: string | null, isOpen: boolean, tell: Tell): Promise<void> {
  if (model === null) {
    tell(...(["stream", "tools", "tools-http"] as const).map((check) => skipped(check, "there is no model to ask")));
    return;
  }
  tell(await checkStream(visit, model, isOpen));
  tell(isOpen ? await checkTools(visit, model) : closed("tools"));
  tell(await checkToolsOverHttp(visit, model));
}

function closed(check: CheckName): Finding {
  return skipped(check, "there is no WebSocket to try it on");
}

function hasProblem(findings: readonly Finding[]): boolean {
  return findings.some(({ level }) => level === "problem");
}

export { parseTarget, TargetError };
export type { Finding, Level } from "./finding.ts";
