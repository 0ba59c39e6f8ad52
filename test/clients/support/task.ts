import { appendFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { linesOf, scratch } from "./scratch.ts";
import { ScriptedModel, type Step } from "./scripted-model.ts";
import { Turnwire } from "./turnwire.ts";

/** The task of every client: a loop of tool calls that leave something on disk, two of them at once. */

const append = (file: string, line: string) => ({ name: "append", input: { file, line } });

export const LOOP: readonly Step[] = [
  { reasoning: "A log — 記録.", text: "I begin.", calls: [append("log.txt", "one ✓")] },
  { calls: [append("log.txt", "two"), append("side.txt", "side")] },
  { text: "Let me look.", calls: [{ name: "read", input: { file: "log.txt" } }] },
  { calls: [append("log.txt", "three")] },
  { text: "All done: 完了." },
];

export const ANSWER = "All done: 完了.";
export const PROMPT = "[task:loop] Write a log.";

const OUTPUTS = ["appended", "appended", "appended", "one ✓\ntwo\n", "appended"];

const fileAnd = (...others: readonly string[]) => ({
  type: "object" as const,
  properties: Object.fromEntries(["file", ...others].map((name) => [name, { type: "string" as const }])),
  required: ["file", ...others],
  additionalProperties: false as const,
});

/** The tools as JSON schemas. */
export const TOOLS = [
  { name: "append", description: "Appends a line to a file.", parameters: fileAnd("line") },
  { name: "read", description: "Reads a file.", parameters: fileAnd() },
] as const;

export type Arguments = { readonly file: string; readonly line?: string };

/** What a test plays in: the model, the server in front of it, and a folder for the client's tools. */
export type World = {
  readonly model: ScriptedModel;
  readonly server: Turnwire;
  readonly baseUrl: string;
  readonly folder: string;
  readonly runTool: (name: string, input: Arguments) => Promise<string>;
};

export async function openWorld(
  flags: readonly string[] = [],
  plans: Readonly<Record<string, readonly Step[]>> = { loop: LOOP },
): Promise<World> {
  const model = await ScriptedModel.start(plans);
  onTestFinished(() => model.close());
  const server = await Turnwire.start(model, flags);
  const folder = join(await scratch(), "work");
  await mkdir(folder);
  const runTool = async (name: string, { file, line }: Arguments): Promise<string> => {
    if (name === "read") return readFile(join(folder, file), "utf8");
    await appendFile(join(folder, file), `${line}\n`);
    return "appended";
  };
  return { model, server, baseUrl: `${server.url}/v1`, folder, runTool };
}

/** The task was done, once, and the model saw all of it in its order. */
export async function expectLoopDone(world: Pick<World, "model" | "folder">, answer: string): Promise<void> {
  expect(world.model.wrong).toEqual([]);
  await expectTaskDone(world, answer);
  expect(world.model.outputs()).toEqual(OUTPUTS);
}

/** The task was done, once, whatever the client made of the history. */
export async function expectTaskDone({ folder }: Pick<World, "folder">, answer: string): Promise<void> {
  expect(await linesOf(join(folder, "log.txt"))).toEqual(["one ✓", "two", "three"]);
  expect(await linesOf(join(folder, "side.txt"))).toEqual(["side"]);
  expect(answer).toBe(ANSWER);
}
