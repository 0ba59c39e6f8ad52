import {
  type Api,
  type AssistantMessage,
  type AssistantMessageEventStream,
  type Message,
  type Model,
  type Tool,
  type Transport,
  type TranscriptContext,
} from "@earendil-works/pi-ai";
import {
  closeOpenAICodexWebSocketSessions,
  stream as streamCodex,
} from "@earendil-works/pi-ai/api/openai-codex-responses";
import { stream as streamResponses } from "@earendil-works/pi-ai/api/openai-responses";
import { normalizeContext } from "@earendil-works/pi-ai/utils/transcript";
import { describe, expect, onTestFinished, test } from "vitest";
import { accountKey } from "./support/loops.ts";
import { type Arguments, expectLoopDone, openWorld, PROMPT, TOOLS, type World } from "./support/task.ts";

/** pi, by its library: the API that it uses for Codex's models, which has a WebSocket, and the plain one. */

const TRANSPORTS: readonly Transport[] = ["auto", "websocket", "websocket-cached", "sse"];

const tools: Tool[] = TOOLS.map((tool) => ({ ...tool }));

function modelOf<T extends Api>(api: T, baseUrl: string): Model<T> {
  return {
    id: "local-model",
    name: "Local",
    api,
    provider: "turnwire",
    baseUrl,
    reasoning: true,
    input: ["text"],
    cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 },
    contextWindow: 100_000,
    maxTokens: 10_000,
  };
}

async function runLoop(
  { runTool }: World,
  ask: (context: TranscriptContext) => AssistantMessageEventStream,
): Promise<string> {
  const messages: Message[] = [{ role: "user", content: PROMPT, timestamp: 0 }];
  for (;;) {
    const message: AssistantMessage = await ask(
      normalizeContext({ systemPrompt: "You write logs.", messages, tools }),
    ).result();
    if (message.errorMessage !== undefined) throw new Error(message.errorMessage);
    messages.push(message);
    const calls = message.content.filter((part) => part.type === "toolCall");
    for (const { id, name, arguments: input } of calls) {
      const text = await runTool(name, input as Arguments);
      messages.push({
        role: "toolResult",
        toolCallId: id,
        toolName: name,
        content: [{ type: "text", text }],
        isError: false,
        timestamp: 0,
      });
    }
    if (calls.length === 0) return message.content.map((part) => (part.type === "text" ? part.text : "")).join("");
  }
}

describe("pi", () => {
  test.each(TRANSPORTS)(
    "runs a loop of tools as it does for Codex's models, by the transport %s",
    async (transport) => {
      const world = await openWorld();
      const model = modelOf("openai-codex-responses", world.baseUrl);
      const sessionId = `session-${transport}`;
      onTestFinished(() => closeOpenAICodexWebSocketSessions(sessionId));
      const answer = await runLoop(world, (context) =>
        streamCodex(model, context, { apiKey: accountKey(), transport, sessionId, maxRetries: 0 }),
      );
      await expectLoopDone(world, answer);
      closeOpenAICodexWebSocketSessions(sessionId);
      await world.server.stop();
      const turns = await world.server.turns();
      const expected = transport === "sse" ? "sse" : "websocket";
      expect(turns.map((turn) => turn.transport)).toEqual(Array(5).fill(expected));
    },
  );

  test("falls back to HTTP where there are no WebSockets", async () => {
    const world = await openWorld(["--websocket", "off"]);
    const model = modelOf("openai-codex-responses", world.baseUrl);
    const answer = await runLoop(world, (context) =>
      streamCodex(model, context, { apiKey: accountKey(), transport: "auto", sessionId: "fallback" }),
    );
    await expectLoopDone(world, answer);
  });

  test("runs a loop of tools over HTTP by its plain API", async () => {
    const world = await openWorld();
    const model = modelOf("openai-responses", world.baseUrl);
    const answer = await runLoop(world, (context) => streamResponses(model, context, { apiKey: "any", maxRetries: 0 }));
    await expectLoopDone(world, answer);
  });
});
