import type { Group } from "../case.ts";
import { LANES, WARM_UP } from "../features.ts";
import { clean } from "../findings.ts";
import { examine } from "../grammar.ts";
import { filler, SAY_OK, user, WEATHER_TOOL } from "../prompts.ts";
import type { Recording, Trial } from "../trial.ts";
import type { Json, Turn } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { inputTokens, isObject, outputTokens } from "../wire.ts";

const REQUEST: Json = {
  input: [user(filler(100))],
  store: false,
  generate: false,
  instructions: "Be brief.",
  metadata: { kind: "warm-up" },
};

const WARM_TURN: Recording<Turn> = {
  make: async (trial) => (await trial.connect()).turn(REQUEST),
};

/** `generate: false`: context brought in before the first turn. */
export const WARMUP: Group = {
  name: "warmup",
  title: "generate: false, a context brought in before the first turn",
  cases: [
    {
      id: "warmup.lifecycle",
      level: "must",
      title: "A warm-up is created and completed like any turn, and nothing is generated in between.",
      rule: "U1",
      from: "OpenAI WebSocket guide; Codex waits for the completion",
      mend: "Send response.created, response.in_progress and response.completed, and no items.",
      run: async (trial) => {
        const { frames } = await warm(trial);
        const types = frames.map(({ type }) => type).filter((type) => type !== "response.in_progress");
        same(types, ["response.created", "response.completed"], "The events of a warm-up");
        clean(examine(frames), "lifecycle", "numbers", "fields", "ids", "snapshots");
      },
    },
    {
      id: "warmup.response",
      level: "must",
      title: "Its response is a full one: completed, with an empty output, its model, and the settings of the request.",
      rule: "U1",
      from: "clients broke on gateways that sent an id and nothing more",
      mend: "Show the same response object as for other turns, with output [].",
      run: async (trial) => {
        const { response } = await warm(trial);
        const { output, status, object, model, created_at, instructions, metadata } = response as Json;
        same(output, [], "'output' of a warm-up");
        same([status, object], ["completed", "response"], "'status' and 'object' of a warm-up");
        same(instructions, REQUEST["instructions"], "'instructions' of a warm-up");
        same(metadata, REQUEST["metadata"], "'metadata' of a warm-up");
        same([typeof model, typeof created_at], ["string", "number"], "The types of 'model' and 'created_at'");
      },
    },
    {
      id: "warmup.usage",
      level: "should",
      title: "Its usage is null, or counts the input and no output.",
      rule: "U1",
      from: "seen on the platform; Codex wants total_tokens where there is a usage",
      mend: "Count 0 tokens of output, or leave usage null when nothing was counted.",
      run: async (trial) => {
        const { response } = await warm(trial);
        const usage = (response as Json)["usage"] ?? null;
        if (usage === null) return;
        demand(isObject(usage), "'usage' of a warm-up is neither null nor an object.", { got: usage });
        same(usage["output_tokens"], 0, "'usage.output_tokens' of a warm-up");
        same(usage["total_tokens"], usage["input_tokens"], "'usage.total_tokens' of a warm-up");
      },
    },
    {
      id: "warmup.parent",
      level: "must",
      title: "A warm-up can be continued, and its input is part of the context.",
      rule: "U1",
      from: "OpenAI WebSocket guide",
      mend: "Keep a warm-up as any other response: its input is context, its output is empty.",
      run: async (trial) => {
        await trial.requires(WARM_UP);
        const socket = await trial.connect();
        const alone = await socket.completed({ input: SAY_OK, store: false });
        const { id } = await socket.completed({ ...REQUEST, instructions: null });
        const turn = await socket.completed({ input: SAY_OK, store: false, previous_response_id: id });
        same(turn["previous_response_id"], id, "'previous_response_id' of the response");
        grewBy(inputTokens(turn) - inputTokens(alone), "The turn has not seen the input of the warm-up.");
      },
    },
    {
      id: "warmup.then-empty",
      level: "must",
      title: "After a warm-up a create with an empty list of items generates from what was brought before.",
      rule: "U1",
      from: "seen on the platform",
      mend: "Accept input [] when previous_response_id is given.",
      run: async (trial) => {
        await trial.requires(WARM_UP);
        const socket = await trial.connect();
        const { id } = await socket.completed({ input: [user(SAY_OK)], store: false, generate: false });
        const turn = await socket.completed({ input: [], store: false, previous_response_id: id });
        demand(turn.output.length > 0, "Nothing was generated.", { got: turn });
      },
    },
    {
      id: "warmup.empty",
      level: "must",
      title: "A warm-up may itself have an empty input, as when only tools and instructions are to be warmed.",
      rule: "U1",
      from: "Codex sends it for some models",
      mend: "Accept input [] when generate is false.",
      run: async (trial) => {
        await trial.requires(WARM_UP);
        const socket = await trial.connect();
        const settings = { instructions: "Be brief.", tools: [WEATHER_TOOL], store: false };
        const { id } = await socket.completed({ ...settings, input: [], generate: false });
        await socket.completed({ ...settings, tool_choice: "none", input: SAY_OK, previous_response_id: id });
      },
    },
    {
      id: "warmup.middle",
      level: "must",
      title: "A warm-up in the middle of a chain keeps the context from before and adds to it.",
      rule: "U1",
      from: "OpenAI WebSocket guide: also later in a chain",
      mend: "Let a warm-up continue its previous_response_id as any other turn does.",
      run: async (trial) => {
        await trial.requires(WARM_UP);
        const socket = await trial.connect();
        const first = await socket.completed({ input: SAY_OK, store: false });
        const warm = await socket.completed({ ...REQUEST, instructions: null, previous_response_id: first.id });
        same(warm["previous_response_id"], first.id, "'previous_response_id' of the warm-up");
        const last = await socket.completed({ input: SAY_OK, store: false, previous_response_id: warm.id });
        grewBy(inputTokens(last) - inputTokens(first) - outputTokens(first), "The context of the chain was not kept.");
      },
    },
    {
      id: "warmup.instructions",
      level: "must",
      title: "Instructions of a warm-up are not carried over to the turn that continues it.",
      rule: "P5",
      from: "OpenAI: instructions are not carried over",
      mend: "Use the instructions of each create for that create only.",
      run: async (trial) => {
        await trial.requires(WARM_UP);
        const socket = await trial.connect();
        const counts: number[] = [];
        for (const instructions of [null, filler(300)]) {
          const { id } = await socket.completed({ ...REQUEST, instructions });
          const turn = await socket.completed({ input: SAY_OK, store: false, previous_response_id: id });
          same(turn["instructions"], null, "'instructions' of the turn after the warm-up");
          counts.push(inputTokens(turn));
        }
        same(counts[1], counts[0], "The tokens of input after a warm-up with instructions, against one without");
      },
    },
    {
      id: "warmup.lane",
      level: "must",
      title: "A warm-up works on a lane, in its place, and another lane can continue it.",
      rule: "U1",
      from: "OpenAI WebSocket guide",
      mend: "Run warm-ups through the same lanes as other turns.",
      run: async (trial) => {
        await trial.requires(WARM_UP);
        await trial.requires(LANES);
        const socket = await trial.connect();
        socket.create({ input: SAY_OK, store: false, stream_id: "main" });
        socket.create({ ...REQUEST, stream_id: "main" });
        const before = await socket.rest("main");
        demand((before.response?.output.length ?? 0) > 0, "The warm-up came before an earlier turn.", {
          got: before.last,
        });
        const { frames, response } = await socket.rest("main");
        same(response?.output, [], "'output' of the warm-up");
        for (const frame of frames) same(frame["stream_id"], "main", `'stream_id' of ${frame.type}`);
        const fork = { input: SAY_OK, store: false, previous_response_id: response?.id };
        await socket.completed({ ...fork, stream_id: "fork" });
      },
    },
    {
      id: "warmup.stored",
      level: "should",
      title: "A stored warm-up can be continued on another connection.",
      rule: "U1",
      from: "OpenAI: 'store' works over WebSocket as it does over HTTP",
      mend: "Store a warm-up as any other response.",
      run: async (trial) => {
        await trial.requires(WARM_UP);
        const one = await trial.connect();
        const { id } = await one.completed({ ...REQUEST, store: true });
        const other = await trial.connect();
        await other.completed({ input: SAY_OK, store: false, previous_response_id: id });
      },
    },
    {
      id: "warmup.prewarm",
      level: "extension",
      title: "prompt_cache_options.prewarm is another way to say generate: false.",
      rule: "U1",
      from: "openai-node: prewarm forces generate to false",
      mend: "Treat prompt_cache_options.prewarm: true as generate: false.",
      run: async (trial) => {
        await trial.requires(WARM_UP);
        const socket = await trial.connect();
        const { last, response } = await socket.turn({
          input: SAY_OK,
          store: false,
          prompt_cache_options: { prewarm: true },
        });
        if (response === null) skip(`the server refuses prompt_cache_options: ${JSON.stringify(last["error"])}`);
        same(response.output, [], "'output' of a turn with prewarm: true");
      },
    },
  ],
};

async function warm(trial: Trial): Promise<Turn> {
  await trial.requires(WARM_UP);
  return trial.recording(WARM_TURN);
}

/** The 100 words of the warm-up are more than 100 tokens for any tokenizer. */
function grewBy(tokens: number, message: string): void {
  demand(tokens >= 100, message, { expected: "at least 100 tokens of input more", got: tokens });
}
