import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { python } from "./support/installed.ts";
import { jsonLines, Program } from "./support/program.ts";
import { bareEnvironment, scratch } from "./support/scratch.ts";
import { contentOf } from "./support/scripted-model.ts";
import { openWorld } from "./support/task.ts";

const { missing, command } = python();
const why = missing === null ? "" : ` (skipped: ${missing})`;

describe.skipIf(missing !== null)(`openai for Python${why}`, () => {
  test("counts tokens, compacts, and goes on from what it gets back as it is", async () => {
    const { baseUrl, folder, model } = await openWorld();
    const script = join(import.meta.dirname, "python/openai_compaction.py");
    const env = { ...bareEnvironment(await scratch()), PYTHONDONTWRITEBYTECODE: "1", PYTHONUTF8: "1" };
    const { code, stdout, stderr } = await new Program(command, [script, baseUrl], { cwd: folder, env }).ended;
    expect({ code, errors: code === 0 ? "" : stderr }).toEqual({ code: 0, errors: "" });
    expect(jsonLines(stdout).at(-1)).toEqual({
      count: ["response.input_tokens", true],
      compacted: ["response.compaction", ["message", "message", "compaction"], true],
      following: "Some words",
      compacting: 1,
      final: ["compaction", "message"],
      refusal: ["invalid_value", "input[0].encrypted_content"],
    });
    const asked = model.asides.map(({ body }) => body.messages.map(contentOf));
    const after = asked.find((contents) => contents.at(-1) === "Which?" && contents.length === 4);
    expect(after?.slice(0, 3)).toEqual(["The number is 7.", "And 8.", expect.stringContaining("Some words")]);
  });
});
