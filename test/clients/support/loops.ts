import type { AssistantMessage, Message, Model, Transport } from "@earendil-works/pi-ai";
import { stream as streamCodex } from "@earendil-works/pi-ai/api/openai-codex-responses";
import { normalizeContext } from "@earendil-works/pi-ai/utils/transcript";
import { createOpenAI } from "@ai-sdk/openai";
import { createWebSocketFetch } from "@vercel/ai-sdk-openai-websocket-fetch";
import { type AIMessage, type BaseMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { Agent, OpenAIProvider, Runner, tool as agentTool } from "@openai/agents";
import { jsonSchema, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import type { Response, ResponseInputItem } from "openai/resources/responses/responses";
import { SdkSocket, textOf } from "./sdk-socket.ts";
import { type Arguments, PROMPT, TOOLS, type World } from "./task.ts";

/** The task by each client, in the fewest words that a user of it would write, with the retries that it has by itself. */

export type Loop = (world: World) => Promise<string>;

async function openaiLoop(
  { runTool }: World,
  take: (input: ResponseInputItem[], previous: Response | null) => Promise<Response>,
): Promise<string> {
  let input: ResponseInputItem[] = [{ role: "user", content: PROMPT }];
  let response: Response | null = null;
  while (input.length > 0) {
    response = await take(input, response);
    if (response.status !== "completed") throw new Error(response.error?.message ?? response.status);
    input = [];
    for (const item of response.output) {
      if (item.type !== "function_call") continue;
      const output = await runTool(item.name, JSON.parse(item.arguments) as Arguments);
      input.push({ type: "function_call_output", call_id: item.call_id, output });
    }
  }
  return textOf(response ?? undefined);
}

const openaiSettings = () => ({
  model: "local-model",
  tools: TOOLS.map((declared) => ({ type: "function" as const, strict: false, ...declared })),
});

const openaiCreate: Loop = (world) => {
  const client = new OpenAI({ apiKey: "any", baseURL: world.baseUrl });
  return openaiLoop(world, (input, previous) =>
    client.responses.create({ ...openaiSettings(), input, previous_response_id: previous?.id ?? null }),
  );
};

const openaiStream: Loop = (world) => {
  const client = new OpenAI({ apiKey: "any", baseURL: world.baseUrl });
  return openaiLoop(world, (input, previous) =>
    client.responses.stream({ ...openaiSettings(), input, previous_response_id: previous?.id ?? null }).finalResponse(),
  );
};

const openaiSocket: Loop = (world) => {
  const socket = new SdkSocket(new OpenAI({ apiKey: "any", baseURL: world.baseUrl }));
  return openaiLoop(world, (input, previous) =>
    socket.end({ ...openaiSettings(), input, previous_response_id: previous?.id ?? null }),
  );
};

const agents =
  (useResponsesWebSocket: boolean): Loop =>
  async ({ baseUrl, runTool }) => {
    const modelProvider = new OpenAIProvider({
      apiKey: "any",
      baseURL: baseUrl,
      useResponses: true,
      useResponsesWebSocket,
    });
    const tools = TOOLS.map(({ name, description, parameters }) =>
      agentTool({ name, description, parameters, strict: true, execute: (input) => runTool(name, input as Arguments) }),
    );
    const agent = new Agent({ name: "Writer", model: "local-model", instructions: "You write logs.", tools });
    try {
      const runner = new Runner({ modelProvider, tracingDisabled: true });
      return (await runner.run(agent, PROMPT)).finalOutput ?? "";
    } finally {
      await modelProvider.close();
    }
  };

const aiSdk =
  (hasWebSocket: boolean): Loop =>
  async ({ baseUrl, runTool }) => {
    const fetch = createWebSocketFetch({ url: `${baseUrl.replace("http", "ws")}/responses` });
    const model = createOpenAI({ apiKey: "any", baseURL: baseUrl, ...(hasWebSocket && { fetch }) })("local-model");
    const tools = Object.fromEntries(
      TOOLS.map(({ name, description, parameters }) => [
        name,
        tool({
          description,
          inputSchema: jsonSchema<Arguments>(parameters),
          execute: (input) => runTool(name, input),
        }),
      ]),
    );
    const errors: unknown[] = [];
    const onError = ({ error }: { readonly error: unknown }) => void errors.push(error);
    const run = streamText({ model, tools, prompt: PROMPT, stopWhen: stepCountIs(10), onError });
    try {
      for await (const part of run.fullStream) if (part.type === "error") throw part.error;
      return await run.text;
    } finally {
      fetch.close();
    }
  };

const langchain: Loop = async ({ baseUrl, runTool }) => {
  const configuration = { baseURL: baseUrl };
  const chat = new ChatOpenAI({
    model: "local-model",
    apiKey: "any",
    useResponsesApi: true,
    streaming: true,
    configuration,
  }).bindTools(TOOLS.map((fn) => ({ type: "function" as const, function: fn })));
  const history: BaseMessage[] = [new HumanMessage(PROMPT)];
  for (;;) {
    const message: AIMessage = await chat.invoke(history);
    history.push(message);
    for (const { id, name, args } of message.tool_calls ?? []) {
      history.push(new ToolMessage({ content: await runTool(name, args as Arguments), tool_call_id: id ?? "" }));
    }
    if ((message.tool_calls ?? []).length === 0) return message.text;
  }
};

/** It takes only keys that look like those of a ChatGPT account. */
export function accountKey(): string {
  const claims = { "https://api.openai.com/auth": { chatgpt_account_id: "account" } };
  return ["{}", JSON.stringify(claims), "signature"].map((part) => Buffer.from(part).toString("base64url")).join(".");
}

const pi =
  (transport: Transport): Loop =>
  async ({ baseUrl, runTool }) => {
    const model: Model<"openai-codex-responses"> = {
      id: "local-model",
      name: "Local",
      api: "openai-codex-responses",
      provider: "turnwire",
      baseUrl,
      reasoning: true,
      input: ["text"],
      cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
      contextWindow: 100_000,
      maxTokens: 10_000,
    };
    const tools = TOOLS.map((declared) => ({ ...declared }));
    const messages: Message[] = [{ role: "user", content: PROMPT, timestamp: 0 }];
    for (;;) {
      const context = normalizeContext({ systemPrompt: "You write logs.", messages, tools });
      const options = { apiKey: accountKey(), transport, sessionId: baseUrl };
      const message: AssistantMessage = await streamCodex(model, context, options).result();
      if (message.errorMessage !== undefined) throw new Error(message.errorMessage);
      messages.push(message);
      const calls = message.content.filter((part) => part.type === "toolCall");
      for (const { id, name, arguments: input } of calls) {
        const content = [{ type: "text" as const, text: await runTool(name, input as Arguments) }];
        messages.push({ role: "toolResult", toolCallId: id, toolName: name, content, isError: false, timestamp: 0 });
      }
      if (calls.length === 0) return message.content.map((part) => (part.type === "text" ? part.text : "")).join("");
    }
  };

export const LOOPS: Readonly<Record<string, Loop>> = {
  "openai, create()": openaiCreate,
  "openai, stream()": openaiStream,
  "openai, ResponsesWS": openaiSocket,
  "agents, HTTP": agents(false),
  "agents, WebSocket": agents(true),
  "AI SDK, HTTP": aiSdk(false),
  "AI SDK, WebSocket": aiSdk(true),
  LangChain: langchain,
  "pi, auto": pi("auto"),
  "pi, sse": pi("sse"),
};
