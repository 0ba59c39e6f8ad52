import { SseDecoder } from "../../protocol/sse-decoder.ts";
import { type Finding, ok, problem, skipped, warning } from "../finding.ts";
import { adviceFor, answeredBy } from "../front.ts";
import { type Answer, apiErrorOf, ask, isObject, parseObject } from "../http.ts";
import { cutOff, failureOf, type Frame, type Peer, type Turn, upgrade } from "../peer.ts";
import { formatSeconds, messageOf, type Visit } from "../visit.ts";

/** Turns of the model: whether its words come as it says them, and whether a tool call makes its round. */

const COUNT = "Count from 1 to 30 in words, one number per line.";
const ASK_WEATHER = "What is the weather in Paris right now? Use the tool.";
const WEATHER = {
  type: "function",
  name: "get_weather",
  description: "Tells the weather in a city right now.",
  parameters: {
    type: "object",
    properties: { city: { type: "string", description: "The city, such as Paris." } },
    required: ["city"],
    additionalProperties: false,
  },
  strict: true,
};
const LONGEST_EVENT = 16 * 2 ** 20;

/** The same turn over both ways: only what differs between them can be blamed on the path. */
export async function checkStream(visit: Visit, model: string, isOpen: boolean): Promise<Finding> {
  const fields = { model, input: COUNT, store: false };
  let sse: Streamed;
  try {
    sse = await streamOver(visit, { ...fields, stream: true });
  } catch (error) {
    return problem("stream", `a streamed answer does not arrive (${messageOf(error)})`, adviceFor("buffering"));
  }
  const failure = failureOf(sse.last);
  if (failure !== null) return problem("stream", `the model does not answer (${failure})`, MODEL_ADVICE);
  return describeStream(sse.arrivals, isOpen ? await socketArrivals(visit, fields) : null, sse.headers);
}

const MODEL_ADVICE = "The server's log has the cause. Does the model server run, and does it know the model?";

/** Below this an answer is too quick to tell whether it was held back. */
const TELLING_MS = 300;
/** A part of the time after which the first event of a stream that flows has long come. */
const LATE = 0.8;

/** Whether events came while the answer was made, by the times of their arrival. */
export function describeStream(
  arrivals: readonly number[],
  overSocket: readonly number[] | null,
  headers: Answer["headers"] = {},
): Finding {
  const total = arrivals.at(-1) ?? 0;
  const first = arrivals[0] ?? 0;
  const data = { firstMs: first, totalMs: total, moments: momentsOf(arrivals) };
  const told = `first event after ${Math.round(first)} ms, the last of ${arrivals.length} after ${Math.round(total)} ms`;
  if (total < TELLING_MS) return ok("stream", `${told}: too quick to tell whether anything holds events back`, data);
  const isLate = first > total * LATE && (overSocket === null || !isLateIn(overSocket));
  const isClumped = overSocket !== null && momentsOf(overSocket) >= 8 && data.moments * 3 < momentsOf(overSocket);
  if (!isLate && !isClumped) return ok("stream", `events come one by one: ${told}`, data);
  const how = isLate
    ? "all at once, at the end"
    : `in ${data.moments} heaps where a WebSocket has ${momentsOf(overSocket ?? [])} moments`;
  return problem(
    "stream",
    `something on the way holds events back: they come ${how} (${told})`,
    adviceFor("buffering", { headers }),
    data,
  );
}

function isLateIn(arrivals: readonly number[]): boolean {
  return (arrivals[0] ?? 0) > (arrivals.at(-1) ?? 0) * LATE;
}

/** How many times something came, taking together what came at once. */
function momentsOf(arrivals: readonly number[]): number {
  return arrivals.filter((at, index) => index === 0 || at - (arrivals[index - 1] ?? 0) > 4).length;
}

async function socketArrivals(visit: Visit, fields: Frame): Promise<readonly number[] | null> {
  const result = await upgrade(visit);
  if (result.kind !== "open") return null;
  try {
    return (await result.peer.turn(fields)).arrivals;
  } catch {
    return null;
  } finally {
    await result.peer.leave();
  }
}

type Streamed = Turn & { readonly headers: Answer["headers"] };

async function streamOver(visit: Visit, fields: Frame): Promise<Streamed> {
  const decoder = new SseDecoder(LONGEST_EVENT);
  const arrivals: number[] = [];
  const types: string[] = [];
  let last: Frame = {};
  const start = performance.now();
  const answer = await ask(visit, visit.target.responses, {
    json: fields,
    timeoutMs: visit.turnMs,
    onData: (chunk) => {
      for (const { data } of decoder.push(chunk)) {
        const event = parseObject(data);
        if (typeof event["type"] !== "string") continue;
        arrivals.push(performance.now() - start);
        types.push(event["type"]);
        last = event;
      }
    },
  });
  if (answer.status !== 200) throw new Error(describeRefusal(answer));
  if (arrivals.length === 0) throw new Error("no events in the answer");
  return { arrivals, types, last, headers: answer.headers };
}

function describeRefusal(answer: Answer): string {
  const error = apiErrorOf(answer);
  return error === null
    ? `${answer.status} by ${answeredBy(answer)}`
    : `${answer.status} ${error.code}: ${error.message}`;
}

/** A tool call and its output over one WebSocket, the second turn with nothing but the output. */
export async function checkTools(visit: Visit, model: string): Promise<Finding> {
  const result = await upgrade(visit);
  if (result.kind !== "open") return skipped("tools", "the connection was not accepted again");
  try {
    return await roundTrip("tools", "over a WebSocket", model, (fields) => overSocket(result.peer, fields));
  } finally {
    await result.peer.leave();
  }
}

/** The same over HTTP, where the server has to have kept the first turn. */
export async function checkToolsOverHttp(visit: Visit, model: string): Promise<Finding> {
  return roundTrip("tools-http", "over HTTP", model, (fields) => overHttp(visit, fields));
}

type Outcome = { readonly failure: string | null; readonly response: Frame };

async function roundTrip(
  check: "tools" | "tools-http",
  where: string,
  model: string,
  create: (fields: Frame) => Promise<Outcome>,
): Promise<Finding> {
  const start = performance.now();
  const common = { model, tools: [WEATHER], store: check === "tools-http" };
  try {
    const first = await create({ ...common, input: ASK_WEATHER, tool_choice: "auto" });
    if (first.failure !== null) return problem(check, `a turn ${where} fails (${first.failure})`, MODEL_ADVICE);
    const outputs = callsOf(first.response).map(({ call_id }) => ({
      type: "function_call_output",
      call_id,
      output: "18 degrees and sunny",
    }));
    const cut = cutOff(first.response);
    if (cut !== null && outputs.length === 0) {
      const advice = "Give the model more room: --backend-extra-body, or the limits of the model server.";
      return warning(
        check,
        `the model's answer ${where} was cut off before it called a tool (incomplete: ${cut})`,
        advice,
      );
    }
    if (outputs.length === 0) {
      const advice =
        "Does the model server know tools (vLLM: --enable-auto-tool-choice, llama.cpp: --jinja), and the model too?";
      return warning(check, `the model ${where} calls no tool when asked to`, advice);
    }
    const second = await create({ ...common, input: outputs, previous_response_id: first.response["id"] });
    if (second.failure !== null) {
      return problem(check, `a turn that continues another ${where} fails (${second.failure})`, CONTINUE_ADVICE);
    }
    return ok(check, `a tool call makes its round ${where} in ${formatSeconds(performance.now() - start)}`);
  } catch (error) {
    return problem(check, `a turn ${where} does not end (${messageOf(error)})`, MODEL_ADVICE);
  }
}

const CONTINUE_ADVICE =
  "previous_response_not_found: the response is not where the second request arrived. Behind a load balancer all processes need one store (--store postgres://…).";

async function overSocket(peer: Peer, fields: Frame): Promise<Outcome> {
  const { last } = await peer.turn(fields);
  return { failure: failureOf(last), response: isObject(last["response"]) ? last["response"] : {} };
}

async function overHttp(visit: Visit, fields: Frame): Promise<Outcome> {
  const answer = await ask(visit, visit.target.responses, { json: fields, timeoutMs: visit.turnMs });
  if (answer.status !== 200) return { failure: describeRefusal(answer), response: {} };
  const response = parseObject(answer.body);
  const hasAnswer = response["status"] === "completed" || response["status"] === "incomplete";
  return { failure: hasAnswer ? null : `status ${String(response["status"])}`, response };
}

function callsOf(response: Frame): readonly Frame[] {
  const { output } = response;
  const items: readonly unknown[] = Array.isArray(output) ? output : [];
  return items.filter(isObject).filter(({ type }) => type === "function_call");
}
