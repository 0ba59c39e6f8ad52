/** What `turnwire doctor --backend` tries, each by turns of a Turnwire in front of the model server. */

export type ProbeResult = {
  readonly level: "ok" | "warning" | "problem" | "skipped";
  readonly text: string;
  readonly advice?: string;
};

type Visit = { readonly url: string; readonly model: string; readonly timeoutMs: number };
export type Probe = (visit: Visit) => Promise<ProbeResult>;

type OutputItem = {
  readonly type: string;
  readonly call_id?: string;
  readonly name?: string;
  readonly arguments?: string;
} & {
  readonly content?: readonly { readonly text?: string }[];
};
type Answer = {
  readonly id: string;
  readonly status: string;
  readonly output: readonly OutputItem[];
  readonly error: { readonly code?: string; readonly message: string } | null;
  readonly incomplete_details?: { readonly reason?: string } | null;
  readonly usage?: { readonly input_tokens: number; readonly output_tokens: number } | null;
};

const ok = (text: string): ProbeResult => ({ level: "ok", text });
const warning = (text: string): ProbeResult => ({ level: "warning", text });
const problem = (text: string): ProbeResult => ({ level: "problem", text });

async function post({ url, model, timeoutMs }: Visit, fields: object): Promise<Response> {
  return fetch(`${url}/v1/responses`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, ...fields }),
    signal: AbortSignal.timeout(timeoutMs),
  });
}

async function ask(visit: Visit, fields: object): Promise<Answer> {
  return (await (await post(visit, fields)).json()) as Answer;
}

/** Why there is no answer; null where there is one. */
function failure({ error, status, incomplete_details: details }: Answer): string | null {
  if (error) return `${error.code ?? "error"}: ${error.message}`;
  return status === "completed" ? null : `the answer is ${status}${details?.reason ? ` (${details.reason})` : ""}`;
}

function textOf({ output }: Answer): string {
  const messages = output.filter(({ type }) => type === "message");
  return messages.flatMap(({ content = [] }) => content.map(({ text = "" }) => text)).join("");
}

const callsOf = ({ output }: Answer): readonly OutputItem[] => output.filter(({ type }) => type === "function_call");
const hasThoughts = ({ output }: Answer): boolean => output.some(({ type }) => type === "reasoning");

const HELLO = "Reply with the one word: hello";

async function answer(visit: Visit): Promise<ProbeResult> {
  const given = await ask(visit, { input: HELLO });
  const wrong = failure(given);
  if (wrong !== null) return problem(wrong);
  return textOf(given) === "" ? warning("the turn completes, without any text") : ok("a plain turn completes");
}

async function stream(visit: Visit): Promise<ProbeResult> {
  const response = await post(visit, { input: "Count from one to ten, in words.", stream: true });
  const body = await response.text();
  const pieces = body.split("\n").filter((row) => /^event: .*(text|summary)\.delta/.test(row)).length;
  if (/^event: response\.completed/m.test(body)) {
    return pieces > 1
      ? ok(`the answer came in ${pieces} pieces`)
      : warning("the answer came in one piece: the server, or a proxy in front of it, may hold it back");
  }
  return problem(/"message":"((?:[^"\\]|\\.)*)"/.exec(body)?.[1] ?? "the stream did not complete");
}

async function usage(visit: Visit): Promise<ProbeResult> {
  const given = await ask(visit, { input: HELLO });
  const wrong = failure(given);
  if (wrong !== null) return problem(wrong);
  const { usage: counted } = given;
  if (!counted || counted.input_tokens === 0)
    return warning("the server does not report usage: clients cannot see tokens");
  return ok(`${counted.input_tokens} tokens of input and ${counted.output_tokens} of output were reported`);
}

const WEATHER = {
  type: "function",
  name: "get_weather",
  description: "The weather of one city.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

/** A turn with tools, and the turn that gives their outputs. */
async function round(visit: Visit, input: string): Promise<{ readonly first: Answer; readonly second: Answer | null }> {
  const fields = { tools: [WEATHER], parallel_tool_calls: true };
  const first = await ask(visit, { ...fields, input });
  if (failure(first) !== null || callsOf(first).length === 0) return { first, second: null };
  const outputs = callsOf(first).map(({ call_id }) => ({
    type: "function_call_output",
    call_id,
    output: "sunny, 20 C",
  }));
  return { first, second: await ask(visit, { ...fields, previous_response_id: first.id, input: outputs }) };
}

async function tools(visit: Visit): Promise<ProbeResult> {
  const { first, second } = await round(visit, "What is the weather in Paris? Call get_weather.");
  const wrong = failure(first) ?? (second === null ? null : failure(second));
  if (wrong !== null) return problem(second === null ? wrong : `the output of a call is not taken: ${wrong}`);
  if (second === null)
    return warning("the model called no tool: the server may not read its calls, or the model knows none");
  return ok("a call and its output make their round");
}

async function parallel(visit: Visit): Promise<ProbeResult> {
  const { first, second } = await round(
    visit,
    "What is the weather in Paris, and in Rome? Call get_weather for both at once.",
  );
  const wrong = failure(first) ?? (second === null ? null : failure(second));
  if (wrong !== null) return problem(wrong);
  const { length } = callsOf(first);
  return length > 1
    ? ok(`${length} calls in one answer, and their outputs`)
    : warning(`${length} calls in one answer, where two were asked for`);
}

function roles(role: "system" | "developer", place: "first" | "late"): Probe {
  return async (visit) => {
    const one = { role, content: "Be brief." };
    const another = { role, content: "Be polite." };
    const user = { role: "user", content: HELLO };
    const input =
      place === "first" ? [one, another, user] : [one, user, { role: "assistant", content: "hello" }, another, user];
    const wrong = failure(await ask(visit, { input }));
    return wrong === null ? ok("taken") : problem(wrong);
  };
}

async function reasoning(visit: Visit): Promise<ProbeResult> {
  const first = await ask(visit, { input: "What is 17 times 23?", reasoning: { effort: "low" } });
  const wrong = failure(first);
  if (wrong !== null) return problem(wrong);
  const second = await ask(visit, { input: "And times two?", previous_response_id: first.id });
  const wrongLater = failure(second);
  if (wrongLater !== null) return problem(`the turn behind is refused: ${wrongLater}`);
  return ok(
    hasThoughts(first) ? "reasoning is read, and taken back" : "an effort is taken; the model showed no reasoning",
  );
}

async function schema(visit: Visit): Promise<ProbeResult> {
  const format = {
    type: "json_schema",
    name: "sum",
    strict: true,
    schema: {
      type: "object",
      properties: { sum: { type: "integer" } },
      required: ["sum"],
      additionalProperties: false,
    },
  };
  const given = await ask(visit, { input: "What is 2 + 3? Answer as JSON with the field sum.", text: { format } });
  const wrong = failure(given);
  if (wrong !== null) return problem(wrong);
  try {
    const { sum } = JSON.parse(textOf(given)) as { readonly sum?: unknown };
    if (Number.isInteger(sum)) return ok("the answer keeps to a JSON schema");
  } catch {
    // Text that is no JSON is told below.
  }
  return warning("the server takes a JSON schema, and its answer does not keep to it");
}

async function output(visit: Visit): Promise<ProbeResult> {
  const given = await ask(visit, { input: HELLO, max_output_tokens: 100_000_000 });
  const wrong = failure(given);
  return ok(
    wrong === null
      ? "a limit of output that is too large is taken"
      : `too large a limit of output is refused: ${wrong}`,
  );
}

const LONG = 4_000_000;

async function overflow(visit: Visit): Promise<ProbeResult> {
  const given = await ask(visit, { input: `${"word ".repeat(LONG / 5)}\n${HELLO}` });
  const wrong = failure(given);
  if (wrong === null) return warning("about 4 MB of context are taken: the server may cut them silently");
  const isTold = given.error?.code === "context_length_exceeded";
  return isTold
    ? ok("a context that is too long is refused as one")
    : warning(`too long a context is refused as something else: ${wrong}`);
}

/** In the order in which they are tried. */
export const PROBES: readonly (readonly [check: string, probe: Probe])[] = [
  ["answer", answer],
  ["stream", stream],
  ["usage", usage],
  ["tools", tools],
  ["parallel", parallel],
  ["systems", roles("system", "first")],
  ["late", roles("system", "late")],
  ["developer", roles("developer", "late")],
  ["reasoning", reasoning],
  ["schema", schema],
  ["output", output],
  ["overflow", overflow],
];
