import { CLOSE } from "../../protocol/table.ts";
import { type Finding, ok, problem, skipped, warning } from "../finding.ts";
import { adviceFor, answeredBy } from "../front.ts";
import { type Answer, ask } from "../http.ts";
import { CUT, upgrade } from "../peer.ts";
import { formatBytes, messageOf, type Visit } from "../visit.ts";

/** The largest message that gets through, over WebSocket and over HTTP. Nothing of it reaches a model. */

/** A conversation with files or pictures in it is as large as this soon enough. */
const WANTED_BYTES = 16 * 2 ** 20;
const NEEDED_BYTES = 2 ** 20;
const FIRST_BYTES = 64 * 2 ** 10;
/** A limit is known well enough when it lies between two sizes that are this close. */
const CLOSE_ENOUGH = 1.1;
const MOST_TRIES = 16;
/** Sizes that would take longer than this are not tried. */
const PATIENCE_MS = 30_000;

/** How one message fared. */
type Fate = { readonly passed: boolean; readonly why: string; readonly answer?: Answer };

type Measured = {
  /** The largest size that passed; 0 when none did. */
  readonly passed: number;
  /** The smallest that did not, and why. */
  readonly failed: { readonly bytes: number; readonly fate: Fate } | null;
};

/** Doubles the size until one does not pass, then halves the gap until it is small. */
export async function measure(largest: number, send: (bytes: number) => Promise<Fate>): Promise<Measured> {
  let passed = 0;
  let failed: Measured["failed"] = null;
  const deadline = performance.now() + PATIENCE_MS;
  for (let tries = 0; tries < MOST_TRIES && performance.now() < deadline; tries += 1) {
    const next = failed === null ? Math.max(FIRST_BYTES, passed * 4) : Math.round((passed + failed.bytes) / 2);
    const bytes = Math.min(largest, next);
    const fate = await send(bytes);
    if (fate.passed) passed = bytes;
    else failed = { bytes, fate };
    if (passed >= largest || (failed !== null && failed.bytes <= Math.max(passed, 1024) * CLOSE_ENOUGH)) break;
  }
  return { passed, failed };
}

/** Over WebSocket. */
export async function checkMessage(visit: Visit): Promise<Finding> {
  const measured = await measure(visit.largestBytes, (bytes) => sendMessage(visit, bytes));
  const { failed } = measured;
  const isServer = failed?.fate.why.includes(String(CLOSE.message_too_big.code)) ?? false;
  const advice = isServer
    ? "The server, or a proxy that reads WebSocket messages, has a limit: --max-message-bytes."
    : `Something on the way cuts long messages. ${adviceFor("body")}`;
  return judge("message", "a WebSocket message", measured, advice);
}

/** As an HTTP body, which proxies limit more often. */
export async function checkBody(visit: Visit): Promise<Finding> {
  const measured = await measure(visit.largestBytes, (bytes) => sendBody(visit, bytes));
  const answer = measured.failed?.fate.answer;
  const isServer = answer !== undefined && answeredBy(answer) === "the server";
  const advice = isServer ? "The server has a limit: --max-message-bytes." : adviceFor("body", answer);
  return judge("body", "an HTTP request", measured, advice);
}

function judge(check: "message" | "body", what: string, { passed, failed }: Measured, advice: string): Finding {
  if (failed === null && passed === 0) return skipped(check, `${what} could not be sent in time`);
  if (failed === null)
    return ok(check, `${what} of ${formatBytes(passed)} passes; more was not tried`, { bytes: passed });
  const text = `${what} may have about ${formatBytes(passed)}: ${formatBytes(failed.bytes)} fail with ${failed.fate.why}`;
  const data = { bytes: passed };
  if (passed >= WANTED_BYTES) return ok(check, text, data);
  return (passed < NEEDED_BYTES ? problem : warning)(
    check,
    text,
    `${advice} Real agents send several MiB at once.`,
    data,
  );
}

/** An event that no server knows. That it has arrived shows in the pong for what is sent behind it. */
async function sendMessage(visit: Visit, bytes: number): Promise<Fate> {
  const result = await upgrade(visit);
  if (result.kind !== "open") return { passed: false, why: "a refused upgrade" };
  const { peer } = result;
  const head = '{"type":"turnwire.doctor","padding":"';
  peer.send(`${head}${"x".repeat(Math.max(0, bytes - head.length - 2))}"}`);
  try {
    await peer.ping(PATIENCE_MS);
    const { end } = peer;
    // Who hangs up for another reason has read it.
    const passed = end === null || !SIZE_CODES.includes(end.code);
    return { passed, why: end === null ? "" : `close ${end.code} ${end.reason}`.trim() };
  } catch (error) {
    return { passed: false, why: messageOf(error) };
  } finally {
    await peer.leave();
  }
}

/** Too big, and cut without a word. */
const SIZE_CODES: readonly number[] = [CLOSE.message_too_big.code, CUT];

/** A request without a model, which no server can take for a turn. */
async function sendBody(visit: Visit, bytes: number): Promise<Fate> {
  const head = '{"turnwire_doctor":"';
  const body = Buffer.alloc(bytes, "x");
  body.write(head);
  body.write('"}', Math.max(head.length, bytes - 2));
  try {
    const answer = await ask(visit, visit.target.responses, { body, timeoutMs: PATIENCE_MS });
    const passed = answer.status >= 400 && answer.status < 500 && ![413, 408, 403, 404, 405].includes(answer.status);
    return { passed: passed || answer.status < 300, why: `${answer.status} by ${answeredBy(answer)}`, answer };
  } catch (error) {
    return { passed: false, why: messageOf(error) };
  }
}
