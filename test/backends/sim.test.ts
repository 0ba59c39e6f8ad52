import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { SimBackend } from "../../src/backends/sim.ts";
import type { ResponseNode } from "../../src/core/node.ts";
import type { BackendEvent } from "../../src/core/ports.ts";
import type { Item } from "../../src/protocol/items.ts";
import { parseCreateRequest } from "../../src/protocol/request.ts";
import { contextOf } from "../stores/nodes.ts";
import { clock, converse, listen, open, outputOf, shell, textOf, turn, usageOf, weather } from "./sim-conversation.ts";

const said = (events: readonly BackendEvent[]) => events.filter((event) => event.type !== "usage");

describe("an answer", () => {
  test("says that it comes from a simulator, and what the simulator saw", async () => {
    const node = await turn(new SimBackend(), { input: "What is\n  the time?" });
    expect(textOf(node)).toBe(
      `This is Turnwire's simulator, not a model. The context has 1 item. You said: "What is the time?"`,
    );
    expect(node.response.status).toBe("completed");
  });

  test("shows that the context was kept", async () => {
    const nodes = await converse(new SimBackend({ rounds: 2, tools: "all" }), { tools: [weather, clock] });
    expect(textOf(nodes.at(-1) as ResponseNode)).toContain("The context has 7 items, 3 of them tool outputs.");
  });

  test("shortens what the user said", async () => {
    const text = textOf(await turn(new SimBackend(), { input: `${"a".repeat(78)}🚀${"b".repeat(99)}` }));
    expect(text).toContain(`You said: "${"a".repeat(78)}…"`);
    const silence = await turn(new SimBackend(), {
      input: [{ type: "message", role: "system", content: "Be brief." }],
    });
    expect(textOf(silence)).toContain("No user has said anything yet.");
  });

  test("is the same however the context came", async () => {
    const backend = new SimBackend();
    const chained = await converse(backend, { tools: [weather, clock, shell], reasoning: { effort: "low" } });
    for (const node of chained.slice(1)) {
      const history = [...contextOf(node.parent ?? undefined), ...node.input];
      const stateless = await listen(backend, {
        input: history,
        tools: [weather, clock, shell],
        reasoning: { effort: "low" },
      });
      const continued = await listen(backend, {
        ...(node.parent && { parent: node.parent }),
        input: node.input,
        tools: [weather, clock, shell],
        reasoning: { effort: "low" },
      });
      expect(said(stateless)).toEqual(said(continued));
      expect(usageOf(stateless).input_tokens).toBe(usageOf(continued).input_tokens);
    }
  });

  test("is exactly what was asked for, when that is what was asked for", async () => {
    const exact = await turn(new SimBackend(), { input: 'Reply with exactly: a  b\n"c" 漢字🚀 ', tools: [weather] });
    expect(textOf(exact)).toBe('a  b\n"c" 漢字🚀 ');
    const nothing = await turn(new SimBackend(), { input: "Reply with exactly: " });
    expect(nothing.response.output).toEqual([]);
    const parts = [
      { type: "input_text", text: "Reply with " },
      { type: "input_text", text: "exactly: yes" },
    ];
    expect(textOf(await turn(new SimBackend(), { input: [{ role: "user", content: parts }] }))).toBe("yes");
  });

  test("is JSON that fits the schema, or any JSON, when a format is asked for", async () => {
    const schema = {
      type: "object",
      properties: { steps: { type: "array", items: { type: "string" }, minItems: 2 }, done: { type: "boolean" } },
      required: ["steps", "done"],
      additionalProperties: false,
    };
    const format = { type: "json_schema", name: "plan", schema, strict: true };
    const plan = JSON.parse(textOf(await turn(new SimBackend(), { text: { format } }))) as unknown;
    expect(new Ajv2020().compile(schema)(plan)).toBe(true);
    const any = textOf(await turn(new SimBackend(), { text: { format: { type: "json_object" } }, input: "Hi" }));
    expect(JSON.parse(any)).toEqual({ simulator: "turnwire", items: 1, tool_outputs: 0, last_user_text: "Hi" });
    const impossible = { ...format, schema: { $ref: "#" } };
    expect(textOf(await turn(new SimBackend(), { text: { format: impossible } }))).toBe("{}");
  });
});

describe("tokens", () => {
  test("end at the limit, and the response is incomplete", async () => {
    const events = await listen(new SimBackend(), { max_output_tokens: 3 });
    expect(events).toEqual([
      { type: "text.delta", delta: "This" },
      { type: "text.delta", delta: " is" },
      { type: "text.delta", delta: " Turnwire" },
      expect.objectContaining({ type: "usage" }),
      { type: "finish", reason: "max_output_tokens" },
    ]);
    expect(usageOf(events).output_tokens).toBe(3);
    const node = await turn(new SimBackend(), { max_output_tokens: 3 });
    expect(node.response).toMatchObject({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } });
    const call = await turn(new SimBackend(), { max_output_tokens: 3, tools: [weather] });
    expect(call.response).toMatchObject({ status: "incomplete", output: [] });
  });

  test("that are just enough are no limit", async () => {
    const all = usageOf(await listen(new SimBackend(), {})).output_tokens;
    expect((await listen(new SimBackend(), { max_output_tokens: all })).at(-1)).toEqual({
      type: "finish",
      reason: "stop",
    });
  });

  test("are counted as they are: what was said, what was thought, what was read, and what was read before", async () => {
    const backend = new SimBackend();
    const events = await listen(backend, { input: "12345678", instructions: "1234", reasoning: { effort: "high" } });
    const usage = usageOf(events);
    const thought = events.filter((event) => event.type === "reasoning.delta").length;
    const said = events.filter((event) => event.type === "text.delta").length;
    expect(usage).toEqual({
      input_tokens: 2 + 1,
      input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
      output_tokens: thought + said,
      output_tokens_details: { reasoning_tokens: thought },
      total_tokens: 3 + thought + said,
    });
    const first = await turn(backend, { input: "Reply with exactly: 12345678" });
    const second = usageOf(await listen(backend, { parent: first, input: "1234" }));
    expect(second.input_tokens).toBe(7 + 2 + 1);
    expect(second.input_tokens_details.cached_tokens).toBe(7 + 2);
  });

  test("of tools, images and unknown items are estimated", async () => {
    const tools = [weather];
    // Tools are counted as the request's parser leaves them.
    const parsed = parseCreateRequest({ model: "sim", input: [], tools }).tools;
    const withTools = usageOf(await listen(new SimBackend(), { tools, input: [], instructions: null })).input_tokens;
    expect(withTools).toBe(Math.ceil(JSON.stringify(parsed).length / 4));
    const image = { type: "input_image", image_url: `data:image/png;base64,${"A".repeat(100_000)}` };
    const seen = usageOf(await listen(new SimBackend(), { input: [{ role: "user", content: [image] }] })).input_tokens;
    expect(seen).toBe(256);
    const odd = { type: "from_the_future", payload: [1, 2, 3] };
    const unknown = usageOf(await listen(new SimBackend(), { input: [odd] })).input_tokens;
    expect(unknown).toBe(Math.ceil(JSON.stringify(odd).length / 4));
  });
});

describe("reasoning", () => {
  test("comes first when an effort is set, as a summary when one is asked for", async () => {
    const node = await turn(new SimBackend(), { reasoning: { effort: "low", summary: "auto" }, tools: [weather] });
    expect(outputOf(node.response).map((item) => item.type)).toEqual(["reasoning", "function_call"]);
    expect(node.response.output[0]).toMatchObject({
      content: [],
      summary: [{ text: "1 item in the context, 0 rounds of tool calls done. Next I call weather." }],
    });
    const answer = await turn(new SimBackend(), { reasoning: { effort: "low" } });
    expect(answer.response.output[0]).toMatchObject({ summary: [], content: [{ type: "reasoning_text" }] });
  });

  test("stays away when there is no effort", async () => {
    for (const reasoning of [null, { effort: "none" }, { effort: null, summary: "auto" }]) {
      const events = await listen(new SimBackend(), { reasoning });
      expect(events.filter((event) => event.type === "reasoning.delta" || event.type === "summary.delta")).toEqual([]);
    }
  });
});

test("a long answer comes in several batches", async () => {
  let batches = 0;
  for await (const batch of open(new SimBackend(), { input: `Reply with exactly: ${"word ".repeat(1000)}` })) {
    batches += 1;
    expect(batch.length).toBeLessThanOrEqual(64);
  }
  expect(batches).toBeGreaterThan(10);
});

test("a continued turn looks at no item of the chain again", async () => {
  const backend = new SimBackend();
  let reads = 0;
  const item: Item = { type: "from_the_future" };
  const watched = new Proxy(item, {
    get: (target, field) => ((reads += 1), target[field as string]),
  });
  const root = await turn(backend, { input: "Hello" });
  const node: ResponseNode = Object.freeze({ ...root, id: "resp_watched", parent: root, input: [watched] });
  await listen(backend, { parent: node, input: "One" });
  expect(reads).toBeGreaterThan(0);
  reads = 0;
  await listen(backend, { parent: node, input: "Two" });
  const next: ResponseNode = Object.freeze({ ...root, id: "resp_next", parent: node });
  await listen(backend, { parent: next, input: "Three" });
  expect(reads).toBe(0);
});

test("a chain of 20,000 nodes that it has never seen is no trouble", async () => {
  const backend = new SimBackend();
  const root = await turn(backend, {});
  let tip = root;
  for (let index = 0; index < 20_000; index++) tip = Object.freeze({ ...root, id: `resp_${index}x`, parent: tip });
  const answer = await turn(backend, { parent: tip, input: "Still there?" });
  expect(textOf(answer)).toContain("The context has 40003 items.");
});

test("it serves one model, and closing it is no trouble", async () => {
  const backend = new SimBackend();
  expect(await backend.models()).toEqual(["sim"]);
  await backend.close();
});
