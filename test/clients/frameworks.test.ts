import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { answer, delta, text } from "../support/chat-upstream.ts";
import { python } from "./support/installed.ts";
import { jsonLines, Program } from "./support/program.ts";
import { bareEnvironment, scratch } from "./support/scratch.ts";
import { expectTaskDone, LOOP, openWorld, PROMPT, TOOLS } from "./support/task.ts";

/** Frameworks for Python that speak the Responses API in their own ways; each runs the loop of tools. */

const FRAMEWORKS = {
  frameworks: [
    "pydantic-ai",
    "pydantic-ai, chained",
    "haystack",
    "LiveKit Agents over HTTP",
    "LiveKit Agents over a WebSocket",
    "semantic-kernel",
  ],
  "frameworks-2": ["llama-index", "llama-index, chained", "strands", "strands, stateful"],
} as const;

/** Beside `previous_response_id` they send everything again, so that the context does not say which step comes next. */
const REPEATS: ReadonlySet<string> = new Set(["llama-index, chained", "strands, stateful"]);
const IN_ORDER = LOOP.map(({ text: content, calls = [] }, step) => {
  const tool_calls = calls.map(({ name, input }, index) => {
    const call = { name, arguments: JSON.stringify(input) };
    return { index, id: `call_${step}_${index}`, type: "function", function: call };
  });
  if (calls.length === 0) return text(content ?? "");
  return answer(delta({ tool_calls }), delta({}, "tool_calls"));
});

const SCRIPT = join(import.meta.dirname, "python/framework_loop.py");

describe.each(["frameworks", "frameworks-2"] as const)("%s", (environment) => {
  const { missing, command } = python(environment);
  const why = missing === null ? "" : ` (skipped: ${missing})`;

  test.skipIf(missing !== null).each(FRAMEWORKS[environment])(`%s runs a loop of tools${why}`, async (name) => {
    const world = await openWorld();
    if (REPEATS.has(name)) world.model.upstream.script(...IN_ORDER);
    const home = await scratch();
    const program = new Program(command, [SCRIPT, name, world.baseUrl, PROMPT, JSON.stringify(TOOLS)], {
      cwd: world.folder,
      env: { ...bareEnvironment(home), PYTHONDONTWRITEBYTECODE: "1", PYTHONUTF8: "1" },
    });
    const { code, stdout, stderr } = await program.ended;
    expect({ code, errors: code === 0 ? "" : stderr }).toEqual({ code: 0, errors: "" });
    const said = (jsonLines(stdout).at(-1) as { readonly answer: string }).answer;
    // They write arguments and messages anew, so that the history is not what it was to the byte.
    await expectTaskDone(world, said);
    const seen = world.model.upstream.calls.at(-1)?.body.messages.filter(({ role }) => role === "tool");
    expect(new Set(seen?.map(({ content }) => content))).toEqual(new Set(["appended", "one ✓\ntwo\n"]));
    expect(world.model.upstream.calls).toHaveLength(5);
  });
});
