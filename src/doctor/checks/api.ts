import { type Finding, ok, problem, skipped, warning } from "../finding.ts";
import { adviceFor, answeredBy } from "../front.ts";
import { type Answer, apiErrorOf, ask, isObject, parseObject } from "../http.ts";
import { formatSeconds, messageOf, type Visit } from "../visit.ts";

/** What plain HTTP tells: who answers, what time it is there, whether the key is taken, which models there are. */

export type Met = { readonly findings: readonly Finding[]; readonly isReached: boolean };

/** Whether there is a server of the API, and its clock. */
export async function checkServer(visit: Visit): Promise<Met> {
  const { target } = visit;
  const sentAt = Date.now();
  let health: Answer;
  try {
    health = await ask(visit, target.health, { key: null });
  } catch (error) {
    const advice = target.isTls
      ? "Look at the log of whoever answers there."
      : "Does the port want TLS (https://)? Is it the port of something else?";
    const text = `the connection opens, but HTTP gets no answer (${messageOf(error)})`;
    return { findings: [problem("server", text, advice)], isReached: false };
  }
  const clock = checkClock(health, sentAt, Date.now());
  const { server, version } = parseObject(health.body);
  if (health.status === 200 && server === "turnwire") {
    return { findings: [await describe(visit, String(version)), clock], isReached: true };
  }
  if (health.status >= 300 && health.status < 400) {
    const place = health.headers.location ?? "nowhere";
    const advice = "WebSocket clients do not follow redirects: use the address that it leads to.";
    return { findings: [problem("server", `requests are redirected to ${place}`, advice), clock], isReached: true };
  }
  if ([502, 503, 504].includes(health.status) && apiErrorOf(health) === null) {
    const text = `${answeredBy(health)} answers ${health.status}: the server behind it does not`;
    return { findings: [problem("server", text, adviceFor("unreachable", health)), clock], isReached: false };
  }
  const text = `HTTP is answered, not by Turnwire as far as ${new URL(target.health).pathname} tells (${health.status})`;
  return { findings: [ok("server", text), clock], isReached: true };
}

async function describe(visit: Visit, version: string): Promise<Finding> {
  const ready = await ask(visit, visit.target.ready, { key: null }).catch(() => null);
  if (ready?.status === 503) {
    const advice = "It ends the turns it has and takes no new ones; a load balancer should have taken it out.";
    return warning("server", `Turnwire ${version} answers, and is shutting down`, advice);
  }
  return ok("server", `Turnwire ${version} answers`, { version });
}

/** Answers to an empty request by which a server shows that it does not know the route. */
const NO_ROUTE = new Set([404, 405, 501]);

/** A finding when there is no Responses API at the URL, which leaves nothing else to look at; null when there is. */
export async function checkResponsesApi(visit: Visit): Promise<Finding | null> {
  const url = visit.target.responses;
  const answer = await ask(visit, url, { json: {} }).catch(() => null);
  if (answer === null) return null;
  const isPage = answer.status === 200 && /html/.test(answer.headers["content-type"] ?? "");
  if (!NO_ROUTE.has(answer.status) && !isPage) return null;
  const advice = "Is the address right, and its path? A base URL often ends in /v1.";
  const what = isPage ? "a web page" : String(answer.status);
  return problem("server", `no Responses API at this URL: POST ${url} is answered with ${what}`, advice);
}

const SKEW_WARNING_MS = 30_000;
const SKEW_PROBLEM_MS = 5 * 60_000;

/** The `Date` of an answer against the time between request and answer. It knows whole seconds only. */
export function checkClock({ headers }: Pick<Answer, "headers">, sentAt: number, gotAt: number): Finding {
  const there = Date.parse(headers.date ?? "");
  if (Number.isNaN(there)) return skipped("clock", "the server sends no Date");
  const skew = Math.max(0, sentAt - (there + 999), there - gotAt);
  const side = there > gotAt ? "ahead of" : "behind";
  if (skew < SKEW_WARNING_MS) return ok("clock", "the clocks agree", { skewMs: skew });
  const text = `the server's clock is ${formatSeconds(skew)} ${side} this one`;
  const advice = "Let both follow NTP: certificates and tokens that expire depend on it, and logs cannot be compared.";
  return (skew < SKEW_PROBLEM_MS ? warning : problem)("clock", text, advice, { skewMs: skew });
}

export type Offered = {
  readonly findings: readonly Finding[];
  /** Whether turns may be tried. */
  readonly isLetIn: boolean;
  /** The model to ask for; null when there is none. */
  readonly model: string | null;
};

/** Whether the key is taken, and what may be asked for with it. */
export async function checkKeyAndModels(visit: Visit): Promise<Offered> {
  const url = `${visit.target.base}/models`;
  let answer: Answer;
  try {
    answer = await ask(visit, url);
  } catch (error) {
    const finding = problem("models", `${url} gets no answer (${messageOf(error)})`, adviceFor("unreachable"));
    return { findings: [finding], isLetIn: true, model: visit.model };
  }
  const key = await checkKey(visit, url, answer);
  const isLetIn = answer.status !== 401 && answer.status !== 403;
  if (!isLetIn) return { findings: [key], isLetIn, model: null };
  const models = readModels(answer);
  return { findings: [key, models.finding(visit.model)], isLetIn, model: visit.model ?? models.names[0] ?? null };
}

async function checkKey(visit: Visit, url: string, answer: Answer): Promise<Finding> {
  const { key } = visit;
  const by = answeredBy(answer);
  if (answer.status === 401) {
    if (by !== "the server") {
      const advice = "It wants a login of its own: let the API past it, since its clients only know the API key.";
      return problem("key", `${by} answers 401 in place of the server`, advice);
    }
    if (key === null) return problem("key", "the server wants a key", "Give it with --key.");
    return problem("key", "the key is refused", "Look for a slip, a revoked key, or a proxy that drops Authorization.");
  }
  if (answer.status === 403) {
    const advice =
      apiErrorOf(answer)?.code === "host_not_allowed"
        ? "It has no keys and takes only loopback names: start it with --allowed-hosts and the name of this URL, or with keys."
        : "Something forbids it: a rule for addresses, a firewall for web applications, or the rights of the key.";
    return problem("key", `${by} answers 403`, advice);
  }
  const withoutKey = key === null ? answer : await ask(visit, url, { key: null }).catch(() => answer);
  if (withoutKey.status === 401) return ok("key", "the key is taken, and needed");
  if (visit.target.isLocal) return ok("key", "no key is needed");
  const advice =
    "Whoever reaches the address may use the model: set keys (--api-key), unless something before it asks.";
  return warning("key", "no key is needed", advice);
}

function readModels(answer: Answer) {
  const { data } = parseObject(answer.body);
  const entries: readonly unknown[] = Array.isArray(data) ? data : [];
  const names = entries.flatMap((entry) => (isObject(entry) && typeof entry["id"] === "string" ? [entry["id"]] : []));
  const finding = (wanted: string | null): Finding => {
    const error = apiErrorOf(answer);
    if (answer.status >= 500) {
      const advice = "Does the model server run, and is --backend its address? The server's log has the cause.";
      return problem(
        "models",
        `models cannot be listed (${answer.status}: ${error?.message ?? answeredBy(answer)})`,
        advice,
      );
    }
    if (answer.status !== 200 || names.length === 0) {
      const advice = "Name one with --model to have turns tried.";
      return warning("models", `no models are listed (${answer.status})`, advice);
    }
    const shown = `${names.slice(0, 5).join(", ")}${names.length > 5 ? `, and ${names.length - 5} more` : ""}`;
    if (wanted !== null && !names.includes(wanted)) {
      return warning(
        "models",
        `${wanted} is not among the models (${shown})`,
        "It may work all the same, when names are mapped.",
      );
    }
    return ok("models", `${names.length === 1 ? "one model" : `${names.length} models`}: ${shown}`, { models: names });
  };
  return { names, finding };
}
