import type { Item } from "../protocol/items.ts";
import { Random } from "./random.ts";
import type { RecordedTurn, Recording } from "./recording.ts";

/** The kinds of agents whose runs can be generated. Sizes are characters. */
export const SHAPES = {
  /** Reads and edits files: many turns, tool outputs of a few kilobytes now and then large. */
  coding: {
    turns: 40,
    instructions: 8_000,
    tools: 10,
    tool: 1_200,
    prompt: 900,
    output: 3_000,
    say: 80,
    call: 260,
    media: 0,
  },
  /** Answers a customer: few words each way, under long rules and with many tools. */
  service: {
    turns: 24,
    instructions: 7_000,
    tools: 14,
    tool: 1_300,
    prompt: 220,
    output: 420,
    say: 220,
    call: 110,
    media: 0,
  },
  /** Looks at pages: few turns, each with a picture that no compression makes smaller. */
  browsing: {
    turns: 12,
    instructions: 3_500,
    tools: 6,
    tool: 700,
    prompt: 260,
    output: 1_500,
    say: 160,
    call: 90,
    media: 120_000,
  },
} as const satisfies Record<string, Sizes>;

export type Shape = keyof typeof SHAPES;

type Sizes = {
  readonly turns: number;
  readonly instructions: number;
  readonly tools: number;
  /** One tool's description and schema. */
  readonly tool: number;
  readonly prompt: number;
  /** A tool's output: the median. */
  readonly output: number;
  /** What the model says besides a call: the median. */
  readonly say: number;
  /** The arguments of a call: the median. */
  readonly call: number;
  /** A picture that goes with each tool output, as base64; 0 is none. */
  readonly media: number;
};

/** A run of this shape. The same seed gives the same run, to the byte. */
export function generate(shape: Shape, seed: number, turns: number = SHAPES[shape].turns): Recording {
  const sizes: Sizes = SHAPES[shape];
  const random = new Random(seed * 1_000_003 + shape.length);
  const tools = Array.from({ length: sizes.tools }, (_, index) => tool(random, index, sizes.tool));
  const recorded: RecordedTurn[] = [];
  let open: string | null = null;
  for (let index = 0; index < turns; index += 1) {
    const isLast = index === turns - 1;
    // A customer speaks again after every few calls; the other agents are left alone until they are done.
    const speaks: boolean = open === null || (shape === "service" && index % 3 === 0);
    const outputs: readonly Item[] = open === null ? [] : [toolOutput(random, open, sizes)];
    const prompt: readonly Item[] = speaks ? [message("user", prose(random, random.size(sizes.prompt)))] : [];
    const answers: boolean = isLast || (shape === "service" && index % 3 === 2);
    open = answers ? null : `call_${seed}_${index}`;
    const said = message("assistant", prose(random, random.size(sizes.say)));
    const output: readonly Item[] = open === null ? [said] : [said, call(random, open, sizes)];
    recorded.push({ input: [...outputs, ...prompt], output });
  }
  return {
    id: `${shape}-${seed}`,
    model: "bench",
    instructions: prose(random, sizes.instructions),
    tools,
    turns: recorded,
  };
}

function message(role: "user" | "assistant", text: string): Item {
  const type = role === "user" ? "input_text" : "output_text";
  return { type: "message", role, content: [{ type, text }] };
}

function call(random: Random, id: string, sizes: Sizes): Item {
  const fields = { path: `src/${word(random)}/${word(random)}.ts`, text: prose(random, random.size(sizes.call)) };
  const name = `tool_${random.integer(0, sizes.tools - 1)}`;
  return { type: "function_call", call_id: id, name, arguments: JSON.stringify(fields) };
}

function toolOutput(random: Random, id: string, sizes: Sizes): Item {
  const text = code(random, random.size(sizes.output));
  if (sizes.media === 0) return { type: "function_call_output", call_id: id, output: text };
  const picture = {
    type: "input_image",
    image_url: `data:image/png;base64,${base64(random, random.size(sizes.media))}`,
  };
  return { type: "function_call_output", call_id: id, output: [{ type: "input_text", text }, picture] };
}

function tool(random: Random, index: number, size: number): object {
  const field = () => ({ type: "string", description: prose(random, Math.round(size / 6)) });
  return {
    type: "function",
    name: `tool_${index}`,
    description: prose(random, Math.round(size / 2)),
    strict: false,
    parameters: { type: "object", properties: { path: field(), text: field() }, required: ["path"] },
  };
}

const SYLLABLES = "ra ne to li su ma ke do vi pa re no ti la mu se ko da fi pe".split(" ");

/** A word; short ones are frequent, as in any language, so that compression finds in it what it finds in real text. */
function word(random: Random): string {
  const length = Math.min(4, 1 + Math.floor(-Math.log(1 - random.next()) * 1.2));
  let text = "";
  for (let count = 0; count < length; count += 1) text += random.pick(SYLLABLES);
  return text;
}

function prose(random: Random, length: number): string {
  let text = word(random);
  while (text.length < length) text += `${random.next() < 0.12 ? "." : ""} ${word(random)}`;
  return text.slice(0, length);
}

function code(random: Random, length: number): string {
  let text = "";
  while (text.length < length) {
    const indent = "  ".repeat(random.integer(0, 3));
    text += `${indent}const ${word(random)} = ${word(random)}(${word(random)}, "${word(random)}");\n`;
  }
  return text.slice(0, length);
}

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

function base64(random: Random, length: number): string {
  let text = "";
  while (text.length < length) text += BASE64[random.integer(0, 63)];
  return text;
}
