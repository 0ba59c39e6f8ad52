import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ChatContexts } from "../../src/backends/chat-context.ts";
import { changed, COMMON_DIALECT } from "../../src/backends/dialect.ts";
import { chatHead } from "../../src/backends/chat-request.ts";
import { LONG_TEXT } from "../../src/backends/shared-text.ts";
import { sampleSchema } from "../../src/backends/sim-arguments.ts";
import { simAnswer } from "../../src/backends/sim-answer.ts";
import { contextAt, follow } from "../../src/backends/sim-context.ts";
import { CustomInput } from "../../src/backends/custom-input.ts";
import { commitNode, NO_MODEL, type ResponseNode } from "../../src/core/node.ts";
import { checkItemIds, pairedInput } from "../../src/core/pairing.ts";
import { settingsInForce } from "../../src/core/standing.ts";
import type { BackendRequest } from "../../src/core/ports.ts";
import { OpenCalls } from "../../src/protocol/open-calls.ts";
import type { Item } from "../../src/protocol/items.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import type { Response } from "../../src/protocol/response.ts";
import { counted, growth, stepsOf } from "../support/steps.ts";

/** Twice the input takes twice the steps, and a little for what does not grow evenly. */
const LINEAR = 2.6;

const times = <T>(size: number, make: (index: number) => T): T[] => Array.from({ length: size }, (_, i) => make(i));
const user = (content: string): Item => ({ type: "message", role: "user", content });
const call = (index: number, type = "function_call"): Item => ({
  type,
  call_id: `call_${index}`,
  name: "read",
  ...(type === "function_call" ? { arguments: "{}" } : { input: "{}" }),
});
const output = (index: number, type = "function_call_output"): Item => ({
  type,
  call_id: `call_${index}`,
  output: "done",
});
const foreign = (index: number): Item => ({ type: "shell_call", call_id: `call_${index}`, action: {} });

/** Shapes of many calls with their outputs. */
const SHAPES: { readonly [name: string]: (size: number) => Item[] } = {
  "answered in the order of the calls": (size) => [...times(size, (i) => call(i)), ...times(size, (i) => output(i))],
  "answered in reverse": (size) => [...times(size, (i) => call(i)), ...times(size, (i) => output(i)).toReversed()],
  "answered one by one": (size) => times(size, (i) => [call(i), output(i)]).flat(),
  "of one id": (size) => [...times(size, () => call(0)), ...times(size, () => output(0))],
  "of custom tools, in reverse": (size) => [
    ...times(size, (i) => call(i, "custom_tool_call")),
    ...times(size, (i) => output(i, "custom_tool_call_output")).toReversed(),
  ],
  "of a kind that nothing answers": (size) => times(size, foreign),
  "with messages between the call and its output": (size) => [call(0), ...times(size, (i) => user(`${i}`)), output(0)],
  "with images in each output": (size) => [
    ...times(size, (i) => call(i)),
    ...times(size, (i) => ({ ...output(i), output: [{ type: "input_image", image_url: "data:," }] })).toReversed(),
  ],
};

const settings = (body: object): BackendRequest["settings"] => parseCreateRequest({ model: "m", input: "hi", ...body });
const open: BackendRequest["open"] = () => ({ replaces: false, items: [user("a summary")] });
const asked = (fields: Partial<BackendRequest>): BackendRequest => ({
  model: "m",
  parent: null,
  input: [],
  settings: settings({}),
  open,
  session: {},
  ...fields,
});
const OPTIONS = {
  strictTools: false,
  mcpTools: "refuse",
  extraBody: {},
  defaultBody: {},
  allowFields: [],
} as const;

let made = 0;
function node(parent: ResponseNode | null, input: readonly Item[], model = "m", out: readonly Item[] = []) {
  made += 1;
  const response = { id: `resp_${made}`, model, output: out, tools: [] } as unknown as Response;
  return commitNode({ id: response.id, tenant: "test", parent, input, response });
}

function chain(size: number, input: (index: number) => readonly Item[], model = "m"): ResponseNode | null {
  let tip: ResponseNode | null = null;
  for (let index = 0; index < size; index += 1) tip = node(tip, input(index), model);
  return tip;
}

const DEMANDING = changed(COMMON_DIALECT, {
  system: "none",
  sameRole: "joined",
  firstMessage: "user",
  afterTool: "assistant",
  callsPerMessage: "one",
  callIds: "alphanumeric9",
  reasoningOn: "all",
  emptyMessages: "avoided",
});

function mapAll(parent: ResponseNode | null, input: readonly Item[]): void {
  for (const dialect of [COMMON_DIALECT, DEMANDING]) {
    const mapping = new ChatContexts(dialect).messages(parent, input, open);
    while (!mapping.next().done);
  }
}

const added = (index: number): Item => ({
  type: "additional_tools",
  tools: [{ type: "function", name: `f${index}` }],
});
const tools = (size: number) => times(size, (i) => ({ type: "function", name: `f${i}` }));
const spaces = (size: number) => times(size, (i) => ({ type: "namespace", name: `n${i}`, tools: tools(1) }));
const nested = (depth: number, wrap: (inner: object) => object): object => {
  let schema: object = { type: "string" };
  for (let level = 0; level < depth; level += 1) schema = wrap(schema);
  return schema;
};

function doubled(workOf: (size: number) => () => unknown): void {
  fc.assert(
    fc.property(fc.integer({ min: 64, max: 256 }), (size) => {
      expect(growth(size, workOf)).toBeLessThan(LINEAR);
    }),
    { numRuns: 5 },
  );
}

describe("twice the input takes twice the steps", () => {
  describe.each(Object.entries(SHAPES))("for calls %s", (name, make) => {
    const isPaired = !name.includes("nothing answers");

    test.runIf(isPaired)("when they are paired with their outputs", () => {
      doubled((size) => {
        const items = counted(make(size));
        return () => {
          checkItemIds(null, items);
          pairedInput(null, items);
        };
      });
    });

    test("when they are checked", () => {
      doubled((size) => {
        const input = counted(make(size));
        return () => parseCreateRequest({ model: "m", input });
      });
    });

    test("when they become chat messages", () => {
      doubled((size) => {
        const items = counted(make(size));
        return () => mapAll(null, items);
      });
    });

    test("when the simulator reads them", () => {
      doubled((size) => {
        const items = counted(make(size));
        return () => follow(contextAt(null, open), items, open);
      });
    });
  });

  test("for calls that were added to a conversation by hand and never answered", () => {
    doubled((size) => {
      const tip = chain(size, (i) => [call(i)], NO_MODEL);
      const answers = times(size, (i) => output(i)).toReversed();
      return () => pairedInput(tip, answers);
    });
  });

  test("for texts of many long parts", () => {
    doubled((size) => {
      const parts = times(Math.ceil(size / 8), (i) => ({ type: "input_text", text: `${i}`.padEnd(LONG_TEXT, "ab") }));
      const image = { type: "input_image", image_url: "data:," };
      const input = [{ type: "message", role: "user", content: [...parts, image] }];
      return () => mapAll(null, input);
    });
  });

  test("for tools that items add, one by one or over many turns", () => {
    doubled((size) => {
      const request = { ...parseCreateRequest({ model: "m", input: "hi" }), input: times(size, added) };
      return () => settingsInForce(request, null);
    });
    doubled((size) => {
      const tip = chain(size, (i) => [added(i)]);
      const request = parseCreateRequest({ model: "m", input: "hi" });
      return () => settingsInForce(request, tip);
    });
  });

  const CHOICES: { readonly [name: string]: (size: number) => object } = {
    "every function": (size) => ({
      tools: tools(size),
      tool_choice: { type: "allowed_tools", mode: "auto", tools: tools(size).toReversed() },
    }),
    "every namespace": (size) => ({
      tools: spaces(size),
      tool_choice: {
        type: "allowed_tools",
        mode: "auto",
        tools: spaces(size).map(({ type, name }) => ({ type, name })),
      },
    }),
    "one large namespace again and again": (size) => ({
      tools: [{ type: "namespace", name: "n", tools: tools(size) }],
      tool_choice: {
        type: "allowed_tools",
        mode: "auto",
        tools: times(size, () => ({ type: "namespace", name: "n" })),
      },
    }),
    "tools that are left out": (size) => ({
      tools: times(size, (i) => ({ type: `hosted_${i}` })),
      tool_choice: { type: "allowed_tools", mode: "auto", tools: times(size, (i) => ({ type: `hosted_${i}` })) },
    }),
  };

  test.each(Object.entries(CHOICES))("for a choice of %s", (_, body) => {
    doubled((size) => {
      const request = asked({ settings: settings(body(size)) });
      return () => chatHead(request, OPTIONS, COMMON_DIALECT);
    });
    doubled((size) => {
      const request = asked({ settings: settings(body(size)), input: [user("hi")] });
      return () => simAnswer(request, { tools: "all", rounds: 1 });
    });
  });

  test("for compaction items that the simulator reads", () => {
    doubled((size) => {
      const items = times(size, () => ({ type: "compaction", encrypted_content: "x" }));
      return () => follow(contextAt(null, open), items, open);
    });
  });

  test("for the arguments of a custom tool that a model gives in another form", () => {
    doubled((size) => {
      const deltas = times(64 * size, () => "ab");
      return () => {
        const input = new CustomInput();
        input.push('{"other":"');
        // What is pending is read again with each delta: its length is what counts.
        for (const delta of deltas) input.push(delta);
        input.end();
      };
    });
  });
});

describe("what a schema costs to sample", () => {
  const BOMBS: { readonly [name: string]: (size: number) => object } = {
    "nested allOf": (size) => nested(size, (inner) => ({ allOf: [inner] })),
    "a wide allOf": (size) => ({ allOf: times(size, (i) => ({ minLength: i })) }),
    "a wide allOf of objects": (size) => ({
      allOf: times(size, (i) => ({ properties: { [`p${i}`]: {} }, required: [`p${i}`] })),
    }),
    "allOf of allOf": (size) => ({ allOf: times(size, () => ({ allOf: times(16, () => ({ type: "string" })) })) }),
    "nested anyOf": (size) => nested(size, (inner) => ({ anyOf: [inner, inner] })),
    "a wide anyOf that never fits": (size) => ({ type: "integer", anyOf: times(size, () => false) }),
    "a chain of references": (size) => ({
      $ref: "#/$defs/0",
      $defs: Object.fromEntries(times(size, (i) => [i, { $ref: `#/$defs/${i + 1}` }])),
    }),
    "a large enum in each of many items": (size) => ({
      type: "array",
      minItems: 10_000,
      items: { enum: times(size, (i) => i) },
    }),
    "a large constant in each of many items": (size) => ({
      type: "array",
      minItems: 10_000,
      items: { const: "x".repeat(size * 100) },
    }),
    "arrays of arrays of long texts": () => ({
      type: "array",
      minItems: 10_000,
      items: { type: "array", minItems: 10_000, items: { type: "string", minLength: 10_000 } },
    }),
    "dependent properties": (size) => ({
      type: "object",
      required: ["p0"],
      dependentRequired: Object.fromEntries(times(size, (i) => [`p${i}`, times(size, (j) => `p${j}`)])),
    }),
    "alternatives of a pattern that repeat much": (size) => ({
      type: "array",
      minItems: 10_000,
      items: { type: "string", pattern: times(size, () => "a{999}").join("|") },
    }),
  };
  /** What any schema may cost, however large it is. */
  const MOST = 3_000_000;

  test.each(Object.entries(BOMBS))("has a bound for %s", (_, make) => {
    for (const size of [100, 1000]) {
      const schema = make(size);
      expect(stepsOf(() => JSON.stringify(sampleSchema(schema)))).toBeLessThan(MOST);
    }
  });

  test("is bounded for nested allOf that is 100 000 deep", () => {
    const schema = nested(100_000, (inner) => ({ allOf: [inner] }));
    expect(stepsOf(() => sampleSchema(schema))).toBeLessThan(MOST);
  });
});

describe("open calls", () => {
  test("are what a list of calls gives that is searched from its beginning", () => {
    const step = fc.record({ isCall: fc.boolean(), id: fc.constantFrom("a", "b", "c") });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const calls = new OpenCalls<{ readonly id: string }>(({ id }) => id);
        const list: { readonly id: string }[] = [];
        for (const { isCall, id } of steps) {
          if (isCall) {
            list.push({ id });
            calls.add(list.at(-1) ?? { id });
          }
          const index = isCall ? -1 : list.findIndex((each) => each.id === id);
          const answered = isCall ? undefined : calls.answer(id);
          expect(answered).toBe(index === -1 ? undefined : list.splice(index, 1)[0]);
          expect(calls.first).toBe(list[0]);
          expect(calls.all()).toEqual(list);
          expect(calls.size).toBe(list.length);
        }
      }),
    );
  });
});
