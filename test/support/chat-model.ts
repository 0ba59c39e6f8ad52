import { delta, type UpstreamStep, block } from "./chat-upstream.ts";

type ChatMessages = readonly { readonly role: string; readonly [field: string]: unknown }[];
type Tool = { readonly function: { readonly name: string; readonly parameters?: object } };

/**
 * A chat server with a will of its own, for suites that bring their own questions: it calls a function when it has to, says a
 * word when it is asked for that word, and otherwise talks for a while. It counts what it is sent.
 */
export const chatModel: UpstreamStep = async (response, { body, raw }) => {
  const {
    tools = [],
    tool_choice,
    max_tokens,
    response_format,
    parallel_tool_calls,
  } = body as unknown as {
    readonly tools?: readonly Tool[];
    readonly tool_choice?: string | { readonly function: { readonly name: string } };
    readonly max_tokens?: number;
    readonly response_format?: ResponseFormat;
    readonly parallel_tool_calls?: boolean;
  };
  const named = typeof tool_choice === "object" ? tool_choice.function.name : undefined;
  const called =
    named !== undefined ? [named] : tool_choice === "required" ? tools.map((tool) => tool.function.name) : [];
  const calls = parallel_tool_calls === false ? called.slice(0, 1) : called.slice(0, 2);
  const words = calls.length > 0 ? [] : wordsFor(body.messages, response_format);
  const said = words.slice(0, max_tokens ?? words.length);
  response.writeHead(200, { "content-type": "text/event-stream" });
  const write = (chunk: unknown): Promise<void> =>
    new Promise((resolve) => {
      response.write(block(chunk), () => resolve());
    });
  for (const word of said) await write(delta({ content: word }));
  for (const [index, name] of calls.entries()) {
    const id = `call_${Math.random().toString(36).slice(2)}`;
    await write(delta({ tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] }));
    const text = JSON.stringify({ location: "Oslo", city: "Oslo", input: "x", a: 1, b: 2, value: "x" });
    await write(delta({ tool_calls: [{ index, function: { arguments: text } }] }));
  }
  const isCut = said.length < words.length;
  await write(delta({}, calls.length > 0 ? "tool_calls" : isCut ? "length" : "stop"));
  const prompt_tokens = Math.ceil(raw.slice(raw.indexOf('"messages":[')).length / 4);
  const completion_tokens = said.length + calls.length * 10;
  await write({
    choices: [],
    usage: { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens },
  });
  response.end(block("[DONE]"));
};

type ResponseFormat = {
  readonly json_schema?: { readonly schema: { readonly properties?: { readonly [name: string]: { type: string } } } };
};

/** What it has to say, in the pieces in which it says it. */
function wordsFor(messages: ChatMessages, format: ResponseFormat | undefined): readonly string[] {
  if (format !== undefined) return JSON.stringify(valueFor(format)).split(/(?=,)/);
  const last = messages.findLast(({ role }) => role === "user")?.["content"];
  const text = typeof last === "string" ? last : "";
  const exact = /Reply with exactly: (.*)/.exec(text)?.[1];
  if (exact !== undefined) return exact.split(/(?= )/);
  const isShort = text.length < 60 && !/count|recite|list/i.test(text);
  return Array.from({ length: isShort ? 6 : 400 }, (_, index) => ` word${index}`);
}

function valueFor({ json_schema }: ResponseFormat): object {
  const properties = Object.entries(json_schema?.schema.properties ?? { answer: { type: "string" } });
  const values = { integer: 4, number: 4, boolean: true, array: [] } as Readonly<Record<string, unknown>>;
  return Object.fromEntries(properties.map(([name, { type }]) => [name, values[type] ?? "four"]));
}
