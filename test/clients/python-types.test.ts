import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CreateRequestSchema, NOT_FOR_THE_MODEL } from "../../src/protocol/request.ts";
import { EVENT } from "../../src/protocol/table.ts";
import { ChatUpstream } from "../support/chat-upstream.ts";
import { startInFrontOf } from "../support/in-front.ts";
import { asTheirTypesHaveIt, NOT_IN_SDKS } from "../support/known-differences.ts";
import { type Played, playKinds } from "../support/kinds-of-turns.ts";
import { LEFT_OUT } from "../support/left-out.ts";
import type { Frame } from "../support/ws-client.ts";
import { python } from "./support/installed.ts";
import { jsonLines, Program } from "./support/program.ts";
import { bareEnvironment, scratch } from "./support/scratch.ts";

/** The events of every kind of turn against the types of OpenAI's SDK for Python, the pinned one and the newest. */

type Fields = { readonly [field: string]: unknown };

async function play(): Promise<readonly Played[]> {
  const upstream = await ChatUpstream.start();
  const server = await startInFrontOf(upstream);
  try {
    return await playKinds(server, upstream);
  } finally {
    await server.close();
    await upstream.close();
  }
}

const keys = (values: readonly (object | null)[]): readonly string[] =>
  values.flatMap((value) => Object.keys(value ?? {}));

/** Every name that the server has, as it was seen, or leaves out. */
function names(frames: readonly Frame[]): Readonly<Record<string, readonly string[]>> {
  const responses = frames.flatMap(({ response }) => (response === undefined ? [] : [response]));
  const items = responses.flatMap(({ output }) => output);
  const ofType = (type: string): readonly string[] => keys(items.filter((item) => item.type === type));
  const usages = responses.map(({ usage }) => usage);
  const seen = {
    response: keys(responses),
    usage: keys(usages),
    inputTokens: keys(usages.map((usage) => usage?.input_tokens_details ?? null)),
    events: Object.values(EVENT),
    message: ofType("message"),
    // Calls of async tools alone have that field, and only those of a namespace name one.
    functionCall: [...ofType("function_call"), "async"],
    customCall: [...ofType("custom_tool_call"), "async", "namespace"],
    reasoning: ofType("reasoning"),
  };
  const all = Object.entries(seen).map(([of, ours]) => [
    of,
    [...new Set(ours), ...Object.keys(LEFT_OUT[of as keyof typeof seen])],
  ]);
  return {
    ...Object.fromEntries(all),
    request: [...Object.keys(CreateRequestSchema.properties), ...NOT_FOR_THE_MODEL],
  };
}

describe.each(["pinned", "newest"] as const)("openai for Python, %s", (version) => {
  const { missing, command } = python(version);

  test.skipIf(missing !== null)(
    `finds every event valid, and lacks nothing${missing === null ? "" : ` (skipped: ${missing})`}`,
    async () => {
      const played = await play();
      const needed = new Set<string>();
      const lines = played.flatMap(({ kind, transport, frames }) =>
        frames
          .filter(({ type }) => !NOT_IN_SDKS.has(type))
          .map((frame) => ({ kind, transport, event: asTheirTypesHaveIt(frame, needed) })),
      );
      const script = join(import.meta.dirname, "python/check_types.py");
      const home = await scratch();
      const program = new Program(command, [script], { cwd: home, env: { ...bareEnvironment(home), PYTHONUTF8: "1" } });
      program.write(
        [names(played.flatMap(({ frames }) => frames)), ...lines].map((line) => `${JSON.stringify(line)}\n`).join(""),
      );
      program.closeInput();
      const { stdout, stderr } = await program.ended;
      expect(stderr).toBe("");
      const [found] = jsonLines(stdout) as readonly [Fields];
      expect(found).toEqual({ complaints: [], missing: [], checked: lines.length });
    },
  );
});
