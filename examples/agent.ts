import { type Conversation, type Item, WebSocketSession } from "./conversation.ts";
import { fileTools, type Tool } from "./file-tools.ts";

// An agent that looks at the files of a folder to do a task. Against a server that is running:
//
//   node examples/agent.ts src "What does this program do?"
//
// TURNWIRE_URL, TURNWIRE_KEY and TURNWIRE_MODEL say where the server is, and who asks for what.

export const INSTRUCTIONS =
  "You are a careful engineer. Look at the files of the folder with your tools before you answer, and name the files that you mean.";

const MOST_TURNS = 100;

export type AgentResult = { readonly answer: string; readonly turns: number; readonly toolCalls: number };

type AgentOptions = {
  readonly conversation: Conversation;
  readonly tools: readonly Tool[];
  readonly task: string;
  readonly onText?: (delta: string) => void;
  /** Sees each call and its output. */
  readonly onCall?: (name: string, args: string, output: string) => void;
  readonly onTurn?: (turns: number) => void;
};

/** Asks, runs the tools that the model calls, tells it what came out, and so on until it answers. */
export async function runAgent({ conversation, tools, task, ...hooks }: AgentOptions): Promise<AgentResult> {
  let news: Item[] = [{ type: "message", role: "user", content: task }];
  let toolCalls = 0;
  for (let turns = 1; turns <= MOST_TURNS; turns++) {
    const response = await conversation.send(news, hooks.onText);
    hooks.onTurn?.(turns);
    const calls = response.output.filter((item) => item.type === "function_call") as unknown as FunctionCall[];
    if (calls.length === 0) return { answer: textOf(response.output), turns, toolCalls };
    toolCalls += calls.length;
    const outputs = await Promise.all(calls.map((call) => runCall(tools, call)));
    news = calls.map(({ call_id }, index) => ({ type: "function_call_output", call_id, output: outputs[index] }));
    calls.forEach((call, index) => hooks.onCall?.(call.name, call.arguments, outputs[index] ?? ""));
  }
  throw new Error(`no answer after ${MOST_TURNS} turns`);
}

type FunctionCall = { readonly call_id: string; readonly name: string; readonly arguments: string };

/** A tool that fails tells the model why, which is what it needs to try something else. */
async function runCall(tools: readonly Tool[], { name, arguments: args }: FunctionCall): Promise<string> {
  try {
    const tool = tools.find(({ declaration }) => declaration.name === name);
    if (tool === undefined) throw new Error(`there is no tool ${name}`);
    return await tool.run(JSON.parse(args) as Record<string, string>);
  } catch (error) {
    return `Error: ${(error as Error).message}`;
  }
}

function textOf(output: readonly Item[]): string {
  const messages = output.filter((item) => item.type === "message") as unknown as {
    readonly content: readonly { readonly type: string; readonly text?: string }[];
  }[];
  return messages.flatMap(({ content }) => content.map(({ text }) => text ?? "")).join("");
}

async function main([folder = ".", task = "What is in this folder?"]: readonly string[]): Promise<void> {
  const tools = await fileTools(folder);
  const conversation = await WebSocketSession.open({
    url: process.env["TURNWIRE_URL"] ?? "http://127.0.0.1:4400",
    key: process.env["TURNWIRE_KEY"],
    model: process.env["TURNWIRE_MODEL"] ?? "sim",
    instructions: INSTRUCTIONS,
    tools: tools.map(({ declaration }) => declaration),
  });
  const { turns, toolCalls } = await runAgent({
    conversation,
    tools,
    task,
    onText: (delta) => process.stdout.write(delta),
    onCall: (name, args, output) => console.log(`${name} ${args} → ${output.length} characters`),
  });
  console.log(`\n${turns} turns, ${toolCalls} tool calls`);
  conversation.close();
}

if (import.meta.main) await main(process.argv.slice(2));
