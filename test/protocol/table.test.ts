import { existsSync, globSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { DEFAULT_LIMITS } from "../../src/core/ports.ts";
import { Session } from "../../src/core/session.ts";
import { encodeSse } from "../../src/protocol/codec.ts";
import type { ServerEvent } from "../../src/protocol/events.ts";
import { parseSteer } from "../../src/protocol/steer.ts";
import {
  CLIENT_EVENT,
  CLOSE,
  ERROR,
  EVENT,
  IGNORED_CLIENT_EVENTS,
  INCOMPLETE,
  INJECT_ERROR,
  INTERRUPT_ERROR,
  STEER_ERROR,
  TERMINAL_EVENTS,
} from "../../src/protocol/table.ts";
import { answer, finish, Gate, type Step } from "../../src/testing/index.ts";
import { makeEngine, turn } from "../core/harness.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const PAGE = readFileSync(resolve(ROOT, "PROTOCOL.md"), "utf8");
const LINES = PAGE.split("\n");

/** The rows of the table whose first column has this name, each as its cells without the marks of code. */
function rows(name: string): readonly (readonly string[])[] {
  const head = LINES.findIndex((line) => line.startsWith(`| ${name} |`));
  if (head === -1) throw new Error(`PROTOCOL.md has no table of ${name}`);
  const below = LINES.slice(head + 2);
  const end = below.findIndex((line) => !line.startsWith("|"));
  return below.slice(0, end).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const word = (cell: string | undefined): string => /^`([^`]+)`$/.exec(cell ?? "")?.[1] ?? `not a word: ${cell}`;

/** What a table says of each word of its first column: the cells behind it. */
function table(name: string): { readonly [word: string]: readonly string[] } {
  return Object.fromEntries(rows(name).map(([first, ...others]) => [word(first), others]));
}

describe("PROTOCOL.md says what the table says", () => {
  test("of the client's events", () => {
    const page = table("client event");
    expect(Object.keys(page).toSorted()).toEqual(Object.values(CLIENT_EVENT).toSorted());
    const unanswered = Object.entries(page).flatMap(([name, [, answer]]) => (answer === "none" ? name : []));
    expect(unanswered.toSorted()).toEqual([...IGNORED_CLIENT_EVENTS].toSorted());
  });

  test("of the server's events, and which of them are terminal", () => {
    const page = table("event");
    expect(Object.keys(page)).toHaveLength(rows("event").length);
    expect(Object.keys(page).toSorted()).toEqual(Object.values(EVENT).toSorted());
    const terminal = Object.entries(page).flatMap(([name, [when]]) => (when?.startsWith("terminal") ? name : []));
    expect(terminal.toSorted()).toEqual([...TERMINAL_EVENTS].toSorted());
  });

  test("of the error codes, OpenAI's own apart from ours", () => {
    const said = [
      ...Object.entries(table("code")).map(([code, [status, type]]) => [
        code,
        { status: Number(status), type: word(type) },
      ]),
      ...Object.entries(table("our code")).map(([code, [status, type]]) => [
        code,
        { status: Number(status), type: word(type), ours: true },
      ]),
    ];
    expect(said).toHaveLength(rows("code").length + rows("our code").length);
    expect(Object.fromEntries(said)).toEqual(ERROR);
  });

  test("of the close codes and their reasons", () => {
    const said = Object.entries(table("close reason")).map(([name, [code, reason]]) => [
      name,
      { code: Number(code), reason },
    ]);
    expect(Object.fromEntries(said)).toEqual(CLOSE);
  });

  test.each([
    ["reason", INCOMPLETE],
    ["steer error", STEER_ERROR],
    ["interrupt error", INTERRUPT_ERROR],
    ["inject error", INJECT_ERROR],
  ] as const)("of every %s", (name, words) => {
    expect(Object.keys(table(name)).toSorted()).toEqual([...words].toSorted());
  });

  test("of the limits of a connection", () => {
    const said = Object.entries(table("limit")).map(([name, [value]]) => [name, Number(value)]);
    expect(Object.fromEntries(said)).toEqual(DEFAULT_LIMITS);
  });
});

/** Steers a response that runs. */
function steer(session: Session, id: string, input: unknown): void {
  session.steer(parseSteer({ type: CLIENT_EVENT.steer, previous_response_id: id, input }), () => undefined);
}

/** Events of every kind, as they go out. */
async function everyEvent(): Promise<readonly ServerEvent[]> {
  const [rich, broken, cut] = [new Gate(), new Gate(), new Gate()];
  const steps: Step[] = [
    [
      [
        { type: "summary.delta", delta: "s" },
        { type: "reasoning.delta", delta: "r" },
        { type: "text.delta", delta: "t" },
        {
          type: "annotation",
          annotation: { type: "url_citation", url: "https://a.x", title: "A", start_index: 0, end_index: 1 },
        },
        { type: "refusal.delta", delta: "n" },
        { type: "item", item: { type: "shell_call", call_id: "s", action: { commands: ["ls"] } } },
        { type: "call", key: 0, kind: "function", callId: "c0", name: "f" },
        { type: "call", key: 1, kind: "custom", callId: "c1", name: "g" },
        { type: "call.delta", key: 1, delta: "x" },
      ],
      rich,
      finish(),
    ],
    [broken, new Error("no")],
    [[{ type: "text.delta", delta: "t" }], cut],
    answer("A summary."),
  ];
  const session = makeEngine({ steps }).open();
  const compaction = { input: [{ role: "user", content: "x" }, { type: "compaction_trigger" }] };
  const turns = [turn(session), turn(session), turn(session), turn(session, compaction)];
  await rich.reached;
  steer(session, "resp_1", "Wait!");
  steer(session, "resp_1", 5);
  session.interrupt("resp_1", "another way");
  session.inject({ responseId: "resp_1", input: [] }, () => undefined);
  session.keepAlive();
  rich.open();
  await broken.reached;
  broken.open();
  await cut.reached;
  session.interrupt("resp_3", null);
  await Promise.all(turns.map(({ end }) => end));
  const background = turn(makeEngine({ steps: [finish()].map((batch) => [batch]) }).open(), { background: true });
  await background.end;
  return [...turns, background].flatMap(({ events }) => events);
}

test("the fields of each event are those that PROTOCOL.md lists", async () => {
  const page = table("event");
  const seen = new Set<string>();
  for (const event of await everyEvent()) {
    for (const block of encodeSse(event)) {
      const { type, sequence_number, ...fields } = JSON.parse(block.split("data: ")[1] ?? "") as {
        type: string;
      } & Record<string, unknown>;
      const listed = [...(page[type]?.[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, field = ""]) => field);
      expect([type, sequence_number, Object.keys(fields).toSorted()]).toEqual([
        type,
        expect.any(Number),
        listed.toSorted(),
      ]);
      seen.add(type);
    }
  }
  expect([...seen].toSorted()).toEqual(Object.values(EVENT).toSorted());
});

/** The rules, each with what proves it. */
function rules(): readonly { readonly name: string; readonly proofs: readonly (readonly [string, string])[] }[] {
  const found: { name: string; proofs: [string, string][] }[] = [];
  for (const line of LINES) {
    const name = /^\*\*([A-Z]\d+)\*\* /.exec(line)?.[1];
    if (name !== undefined) found.push({ name, proofs: [] });
    const proof = /^- ✓ `([\w/-]+)` (.+)$/.exec(line);
    if (proof !== null) found.at(-1)?.proofs.push([proof[1] ?? "", proof[2] ?? ""]);
  }
  return found;
}

describe("every rule of PROTOCOL.md", () => {
  /** Rules that are tables of what other rules say; the tests above hold them. */
  const TABLES = ["X5", "X6"];

  test("has a name of its own, in the order of its letter", () => {
    const names = rules().map(({ name }) => name);
    expect(names.length).toBeGreaterThan(80);
    expect(new Set(names).size).toBe(names.length);
    const last = new Map<string, number>();
    for (const name of names) {
      const [letter = "", number] = [name[0], Number(name.slice(1))];
      expect([name, number]).toEqual([name, (last.get(letter) ?? 0) + 1]);
      last.set(letter, number);
      expect(PAGE).toContain(`\n## ${letter} `);
    }
  });

  test.each(rules().map(({ name, proofs }) => [name, proofs] as const))(
    "%s is proved by tests that exist",
    (name, proofs) => {
      expect([name, proofs.length > 0]).toEqual([name, !TABLES.includes(name)]);
      for (const [file, title] of proofs) {
        const path = [`${file}.test.ts`, `${file}.ts`].map((each) => resolve(ROOT, "test", each)).find(existsSync);
        expect([file, path]).toEqual([file, expect.any(String)]);
        expect([file, title, titles(path ?? "").includes(title)]).toEqual([file, title, true]);
      }
    },
  );

  test("that is linked to is there", () => {
    const anchors = LINES.flatMap((line) => /^## (.+)$/.exec(line)?.[1]?.toLowerCase().replaceAll(" ", "-") ?? []);
    for (const [, anchor] of PAGE.matchAll(/\]\(#([^)]+)\)/g)) expect(anchors).toContain(anchor);
  });
});

const titlesOf = new Map<string, readonly string[]>();

/** The first arguments of all tests in a file. */
function titles(path: string): readonly string[] {
  let known = titlesOf.get(path);
  if (known === undefined) {
    const source = readFileSync(path, "utf8");
    // The name opens the call: right behind `test(`, or behind the cases of a `test.each(…)(`.
    known = [...source.matchAll(/(?:\btest\(|\)\()\s*(["'`])((?:\\.|(?!\1)[^\\])*)\1,\s/g)].map(
      ([, , title = ""]) => title.split("${", 1)[0] ?? "",
    );
    titlesOf.set(path, known);
  }
  return known;
}

describe("names of the wire are said once", () => {
  /** Text for people to copy, where a name could not be taken from the table and stay readable. */
  const EXAMPLES = ["src/transports/snippets.ts", "src/cli/banner.ts"];
  /** The suite says the words itself: one that took them from the table would pass a server whose table is wrong. */
  const INDEPENDENT = "src/conformance/";
  const sources = globSync("src/**/*.ts", { cwd: ROOT })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => !path.startsWith("src/protocol/") && !path.startsWith(INDEPENDENT))
    .map((path) => [path, withoutComments(readFileSync(resolve(ROOT, path), "utf8"))] as const);

  test("no event is named in quotes outside of src/protocol", () => {
    const names = sources.flatMap(([path, text]) =>
      EXAMPLES.includes(path)
        ? []
        : [...text.matchAll(/["'`](response\.[\w.]+)["'`]/g)].map(([, name]) => `${path}: ${name}`),
    );
    expect(names).toEqual([]);
  });

  test("an error code is only quoted where an error is made, or asked for its code", () => {
    const code = `["'\`](?:${Object.keys(ERROR).join("|")})["'\`]`;
    const allowed = new RegExp(`(?:new ApiError\\(\\s*|[cC]ode (?:===|!==) )${code}`, "g");
    const loose = sources.flatMap(([path, text]) =>
      [...text.replaceAll(allowed, "").matchAll(new RegExp(code, "g"))].map(([name]) => `${path}: ${name}`),
    );
    expect(loose).toEqual([]);
  });

  test("no close code is written as a number outside of src/protocol", () => {
    const codes = Object.values(CLOSE).map(({ code }) => code);
    const numbers = sources.flatMap(([path, text]) =>
      [...text.matchAll(new RegExp(`(?<![\\w.])(?:${codes.join("|")})(?![\\w.])`, "g"))].map(
        ([number]) => `${path}: ${number}`,
      ),
    );
    expect(numbers).toEqual([]);
  });

  test("and what was read is the program", () => {
    expect(sources.length).toBeGreaterThan(40);
    expect(Session.name).toBe("Session");
  });
});

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[^]*?\*\//g, "").replaceAll(/(?<!:)\/\/.*$/gm, "");
}
