import { join } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { ChatUpstream } from "../support/chat-upstream.ts";
import { startInFrontOf } from "../support/in-front.ts";
import { asTheirTypesHaveIt, KNOWN_DIFFERENCES, NOT_IN_SDKS } from "../support/known-differences.ts";
import { playKinds } from "../support/kinds-of-turns.ts";

/** Events as they come over the wire, held against the types of OpenAI's SDK: nothing is missing, wrong or besides. */

/** A file that is nowhere but in the compiler's hands. */
const FILE = join(import.meta.dirname, "events-of-turns.ts");
const HEAD = 'import type { ResponsesServerEvent, ResponseStreamEvent } from "openai/resources/responses/responses";';
const TYPES = { http: "ResponseStreamEvent", websocket: "ResponsesServerEvent" } as const;

type Told = { readonly kind: string; readonly transport: keyof typeof TYPES; readonly event: object };

/** What the compiler says against the events, each with the kind of turn that it is of. */
function complaints(told: readonly Told[]): readonly string[] {
  const lines = told.map(
    ({ transport, event }, index) => `export const e${index}: ${TYPES[transport]} = ${JSON.stringify(event)};`,
  );
  const source = [HEAD, ...lines].join("\n");
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    types: ["node"],
  };
  const disk = ts.createCompilerHost(options);
  const host: ts.CompilerHost = {
    ...disk,
    fileExists: (name) => name === FILE || disk.fileExists(name),
    readFile: (name) => (name === FILE ? source : disk.readFile(name)),
    getSourceFile: (name, version, ...rest) =>
      name === FILE ? ts.createSourceFile(name, source, version) : disk.getSourceFile(name, version, ...rest),
  };
  const program = ts.createProgram([FILE], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
    const { line, character } = file?.getLineAndCharacterOfPosition(start) ?? { line: 0, character: 0 };
    const of = told[line - 1]?.kind ?? "the check itself";
    const place = lines[line - 1]?.slice(character, character + 80) ?? "";
    return `${of}: ${ts.flattenDiagnosticMessageText(messageText, "\n")} ${place}`;
  });
}

/** The SDK itself puts together the text of a response. */
function withText(event: { readonly response?: object }): object {
  return event.response === undefined ? event : { ...event, response: { ...event.response, output_text: "" } };
}

async function play() {
  const upstream = await ChatUpstream.start();
  const server = await startInFrontOf(upstream);
  try {
    return await playKinds(server, upstream);
  } finally {
    await server.close();
    await upstream.close();
  }
}

describe("the events of every kind of turn", () => {
  test("are of the SDK's own types, but for the differences that are known", { timeout: 120_000 }, async () => {
    const played = await play();
    expect(played.length).toBeGreaterThanOrEqual(20);
    const needed = new Set<string>();
    const told = played.flatMap(({ kind, transport, frames }) =>
      frames
        .filter(({ type }) => !NOT_IN_SDKS.has(type))
        .map((frame) => ({ kind, transport, event: withText(asTheirTypesHaveIt(frame, needed)) })),
    );
    expect(complaints(told)).toEqual([]);
    // A difference that no event has is none any more.
    expect(KNOWN_DIFFERENCES.map(({ reason }) => reason).filter((reason) => !needed.has(reason))).toEqual([]);
  });

  test("would be found wrong with a field too few, too many, or of another type", { timeout: 120_000 }, () => {
    const event = {
      type: "response.refusal.done",
      item_id: "m",
      output_index: 0,
      content_index: 0,
      sequence_number: 1,
    };
    const said = [
      { ...event, refusal: "No." },
      event,
      { ...event, refusal: "No.", more: 1 },
      { ...event, refusal: null },
      { ...event, type: "response.refusal.gone" },
    ];
    const found = complaints(said.map((one, index) => ({ kind: `${index}`, transport: "http", event: one })));
    expect(found.map((line) => line.slice(0, 2))).toEqual(["1:", "2:", "3:", "4:"]);
  });
});
