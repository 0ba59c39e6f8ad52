import type { Group } from "../case.ts";
import { LANES, WARM_UP } from "../features.ts";
import { clean } from "../findings.ts";
import { examine } from "../grammar.ts";
import { COUNT, filler, RECITE, SAY_OK } from "../prompts.ts";
import { idOf, isOf, isOn, isTerminal } from "../reading.ts";
import type { Socket } from "../socket.ts";
import type { Frame, Json } from "../types.ts";
import { demand, same, skip, Violation } from "../violation.ts";
import { errorOf, inputTokens } from "../wire.ts";

const INVALID = 42;
/** A long turn was in the way of another when that began so much later than it does alone, and no less than this. */
const TIMES_SLOWER = 10;
const IN_THE_WAY_MS = 150;
const NAMES = 32;

/** Lanes: many conversations on one connection, told apart by `stream_id`. */
export const LANES_GROUP: Group = {
  name: "lanes",
  title: "stream_id: many conversations on one connection",
  cases: [
    {
      id: "lanes.echo",
      level: "must",
      title: "Every event of a turn has the stream_id that its create named.",
      rule: "L1",
      from: "OpenAI WebSocket guide",
      mend: "Add the stream_id of the create to every event of its turn; clients drop what they cannot assign.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        socket.create({ input: SAY_OK, store: false, stream_id: "main" });
        // Whatever comes, and not only what names the lane.
        const { frames } = await socket.rest();
        for (const frame of frames) same(frame["stream_id"], "main", `'stream_id' of ${frame.type}`);
      },
    },
    {
      id: "lanes.echo-errors",
      level: "must",
      title: "An error has the stream_id of the create that it refuses.",
      rule: "L1",
      from: "OpenAI WebSocket guide; a lane of the SDK waits for ever without it",
      mend: "Read stream_id before the rest of a create is checked, so that every refusal can name its lane.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        const mistakes: readonly Json[] = [
          { input: INVALID },
          { input: SAY_OK, previous_response_id: "resp_conformance_missing" },
          { input: SAY_OK, model: INVALID },
        ];
        for (const mistake of mistakes) {
          const frame = await socket.refused({ store: false, ...mistake, stream_id: "main" });
          same(frame["stream_id"], "main", "'stream_id' of the error event");
        }
        await socket.completed({ input: SAY_OK, store: false, stream_id: "main" });
      },
    },
    {
      id: "lanes.invalid-id",
      level: "must",
      title:
        "A stream_id that is empty, too long, of other characters or no string is refused by invalid_stream_id, without an echo of it.",
      rule: "L1",
      from: "OpenAI WebSocket guide",
      mend: "Demand 1 to 256 characters of A-Z, a-z, 0-9, '_', '-' and '.'; answer with param 'stream_id' and no stream_id.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        for (const stream_id of ["", "a b", "a/b", "ä", "x".repeat(257), 7, true, {}, ["a"]]) {
          const frame = await socket.refused({ input: SAY_OK, store: false, stream_id });
          const error = errorOf(frame, "The error event");
          same(
            error["code"],
            "invalid_stream_id",
            `'code' of the error for the stream_id ${JSON.stringify(stream_id)}`,
          );
          same(error["param"], "stream_id", "'param' of the error");
          same(frame["status"], 400, "'status' of the error event");
          demand(!("stream_id" in frame), "The refused stream_id is echoed.", { got: frame });
        }
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
    {
      id: "lanes.valid-id",
      level: "must",
      title: "A stream_id may have 1 to 256 characters, of every kind that is allowed, whatever they spell.",
      rule: "L1",
      from: "OpenAI WebSocket guide",
      mend: "Keep lanes in a map and not as properties of an object: '__proto__' and 'constructor' are names like others.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        for (const lane of ["1", "x".repeat(256), "A-z_0.9", "..", "__proto__", "constructor"]) {
          const { last } = await socket.turn({ input: SAY_OK, store: false, stream_id: lane });
          same(last["stream_id"], lane, "'stream_id' of the last event");
          same(last.type, "response.completed", "The end of the turn");
        }
      },
    },
    {
      id: "lanes.in-order",
      level: "must",
      title: "Creates of one lane are answered one after the other, in order, also behind one that is refused.",
      rule: "L2",
      from: "OpenAI WebSocket guide: a lane is FIFO",
      mend: "Queue the creates of a lane, refused ones too, and begin the next when the one before has ended.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        for (const number of [1, 2, 3, 4]) {
          const input = number === 2 ? INVALID : SAY_OK;
          socket.create({ input, store: false, stream_id: "main", metadata: { number: `${number}` } });
        }
        for (const number of [1, 2, 3, 4]) {
          const { frames, last, response } = await socket.rest("main");
          if (number === 2) {
            same(last.type, "error", "The answer to the second create, which is invalid");
            continue;
          }
          const created = frames.filter(isOf("response.created"));
          same(created.length, 1, "The number of response.created events between two ends of turns");
          same(response?.["metadata"], { number: `${number}` }, "'metadata' of the response that ended");
        }
      },
    },
    {
      id: "lanes.each-clean",
      level: "must",
      title: "Turns of several lanes at once are each a complete stream: order, numbers, items and ids of its own.",
      rule: "L2",
      from: "OpenAI WebSocket guide: lanes interleave",
      mend: "Keep sequence numbers, output indexes and open items with the response and not with the connection.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        const lanes = ["a", "b", "c", null] as const;
        for (const lane of lanes) {
          socket.create({ input: SAY_OK, store: false, metadata: { lane: String(lane) }, ...on(lane) });
        }
        const ids = new Set<string>();
        for (const lane of lanes) {
          const { frames, response } = await socket.rest(lane);
          clean(examine(frames), "lifecycle", "numbers", "items", "parts", "folding", "ids", "output");
          same(response?.["metadata"], { lane: String(lane) }, `'metadata' of the response of the lane ${lane}`);
          ids.add(response?.id ?? "");
        }
        same(ids.size, lanes.length, "The number of different response ids");
      },
    },
    {
      id: "lanes.independent",
      level: "should",
      title: "A long turn of one lane does not hold up a turn of another.",
      rule: "L2",
      from: "OpenAI WebSocket guide: up to 16 responses at once",
      mend: "Run the turns of different lanes at the same time; only the creates of one lane wait for each other.",
      alone: true,
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        await overtakes(socket, "long", "short");
        // The default lane is a lane like others.
        await overtakes(await trial.connect(), null, "short");
        await overtakes(await trial.connect(), "long", null);
      },
    },
    {
      id: "lanes.error-alone",
      level: "must",
      title: "Errors of one lane leave a turn of another alone.",
      rule: "X4",
      from: "OpenAI WebSocket guide: a tagged error concerns that request only",
      mend: "End only the turn that failed; do not stop or reset what else runs on the connection.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        const good = { store: false, stream_id: "good", max_output_tokens: 200 };
        socket.create({ ...good, input: COUNT });
        const created = await socket.frame(isOn("good"));
        for (const input of [INVALID, null]) {
          const missing = { previous_response_id: "resp_conformance_missing" };
          socket.create({ store: false, stream_id: "bad", input: input ?? SAY_OK, ...(input === null && missing) });
        }
        for (let count = 0; count < 2; count += 1) {
          const { frames } = await socket.rest("bad");
          same(frames.map(isOf("error")), [true], "Whether the answer to an invalid create is one error event");
        }
        const { frames, last } = await socket.rest("good");
        demand(isTerminal(last) && last.type !== "response.failed", "The turn of the other lane failed.", {
          got: last,
        });
        clean(examine([created, ...frames]), "lifecycle", "numbers", "items", "parts", "folding");
      },
    },
    {
      id: "lanes.fresh",
      level: "must",
      title: "A create without previous_response_id begins a new conversation, on a lane that had one too.",
      rule: "P5",
      from: "OpenAI WebSocket guide",
      mend: "Take the context from previous_response_id only; a lane orders turns and remembers nothing for them.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        const lane = { store: false, stream_id: "main" };
        const empty = await socket.completed({ ...lane, input: SAY_OK });
        await socket.completed({ ...lane, input: `${filler(300)} ${SAY_OK}` });
        const fresh = await socket.completed({ ...lane, input: SAY_OK });
        same(fresh["previous_response_id"], null, "'previous_response_id' of the response");
        same(inputTokens(fresh), inputTokens(empty), "The tokens of input of a fresh turn on a lane with a past");
      },
    },
    {
      id: "lanes.beyond-in-flight",
      level: "must",
      title: "More than 16 turns at once are not refused: those above the limit wait.",
      rule: "L3",
      from: "OpenAI WebSocket guide",
      mend: "Queue creates above the number of turns that may run at once, instead of refusing them.",
      waits: 20,
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        const lanes = Array.from({ length: 20 }, (_, index) => `lane-${index}`);
        for (const lane of lanes) socket.create({ input: SAY_OK, store: false, stream_id: lane });
        for (const lane of lanes) {
          const { last } = await socket.rest(lane);
          same(last.type, "response.completed", `The end of the turn of ${lane}, one of 20 at once`);
        }
      },
    },
    {
      id: "lanes.names",
      level: "must",
      title: "A connection takes 32 names, beside the default lane.",
      rule: "L5",
      from: "OpenAI WebSocket guide",
      mend: "Allow 32 names on a connection, at the same time.",
      waits: NAMES,
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        await fill(socket, await trial.offers(WARM_UP));
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
    {
      id: "lanes.names-limit",
      level: "should",
      title:
        "The 33rd name is refused by websocket_stream_limit_reached with its stream_id, and the old names work on.",
      rule: "L5",
      from: "OpenAI WebSocket guide",
      mend: "Count the names that a connection has ever used, without the default lane; refuse the 33rd and echo it.",
      waits: NAMES,
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        await fill(socket, await trial.offers(WARM_UP));
        const frame = await socket.refused({ input: SAY_OK, store: false, stream_id: "one-too-many" });
        const error = errorOf(frame, "The error event");
        same(error["code"], "websocket_stream_limit_reached", "'code' of the error");
        same(error["param"], "stream_id", "'param' of the error");
        same(
          [frame["status"], frame["stream_id"]],
          [400, "one-too-many"],
          "'status' and 'stream_id' of the error event",
        );
        await socket.completed({ input: SAY_OK, store: false, stream_id: "lane-0" });
      },
    },
    {
      id: "lanes.names-unspent",
      level: "should",
      title: "A create that is refused does not use up the name that it brought.",
      rule: "L5",
      from: "prudence: names are counted for the life of a connection",
      mend: "Count a name when its create is accepted, and not when it is read.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        for (let index = 0; index < NAMES + 1; index += 1) {
          await socket.refused({ input: INVALID, stream_id: `never-${index}` });
          // A server may leave after many errors in a row.
          if (index % 10 === 9) await socket.completed({ input: SAY_OK, store: false });
        }
        await socket.completed({ input: SAY_OK, store: false, stream_id: "good" });
      },
    },
  ],
};

/** Begins a turn on each of 32 lanes, and waits for all of them. */
async function fill(socket: Socket, canWarmUp: boolean): Promise<void> {
  const cheap = canWarmUp ? { generate: false } : {};
  const lanes = Array.from({ length: NAMES }, (_, index) => `lane-${index}`);
  for (const lane of lanes) socket.create({ input: SAY_OK, store: false, stream_id: lane, ...cheap });
  for (const lane of lanes) {
    const { last } = await socket.rest(lane);
    same(last.type, "response.completed", `The end of the turn of ${lane}, one of ${NAMES} names`);
  }
}

function on(lane: string | null): Json {
  return lane === null ? {} : { stream_id: lane };
}

/** Demands that a short turn begins while a long one of another lane runs. */
async function overtakes(socket: Socket, long: string | null, short: string | null): Promise<void> {
  const alone = await beginning(socket, { input: SAY_OK, store: false, ...on(short) }, isOn(short));
  await socket.rest(short);
  socket.create({ input: RECITE, store: false, ...on(long) });
  idOf(await socket.frame(isOn(long), "the beginning of the long turn"));
  const isLongEnd = (frame: Frame): boolean => isOn(long)(frame) && isTerminal(frame);
  const turn = { input: SAY_OK, store: false, ...on(short) };
  const { first, waited } = await beginning(socket, turn, (frame) => isOn(short)(frame) || isLongEnd(frame));
  if (isOn(short)(first)) {
    same(first.type, "response.created", "The first event of the short turn");
    await socket.rest(short);
    return;
  }
  if (waited < Math.max(IN_THE_WAY_MS, TIMES_SLOWER * alone.waited)) {
    skip("the model is too fast: the long turn was over before the short one could begin");
  }
  throw new Violation("The short turn did not begin until the long one of another lane had ended.", {
    expected: `its first event, which came in ${Math.round(alone.waited)} ms without the long turn`,
    got: `nothing of it in ${Math.round(waited)} ms, until ${first.type} of the long one`,
  });
}

/** Begins a turn, and says how long the first frame that matches took. */
async function beginning(
  socket: Socket,
  turn: Json,
  matches: (frame: Frame) => boolean,
): Promise<{ readonly first: Frame; readonly waited: number }> {
  const askedAt = performance.now();
  socket.create(turn);
  const first = await socket.frame(matches, "the beginning of the short turn");
  return { first, waited: performance.now() - askedAt };
}
