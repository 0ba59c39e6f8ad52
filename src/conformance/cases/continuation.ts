import type { Group } from "../case.ts";
import { COUNT, filler, SAY_OK, sayOkAfter, user, WEATHER_TOOL } from "../prompts.ts";
import { recalls, TELL } from "../recall.ts";
import type { Socket } from "../socket.ts";
import type { Json, WireResponse } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { errorOf, inputTokens, outputTokens } from "../wire.ts";

/** Enough words to tell from the rest of a context: 300 tokens at the least, for any tokenizer. */
const MANY = 300;

const MISSING = "resp_conformance_missing";

/** previous_response_id: that nothing of a context is lost, doubled or mixed. */
export const CONTINUATION: Group = {
  name: "continuation",
  title: "previous_response_id: no context is lost, doubled or mixed",
  cases: [
    {
      id: "continuation.two-turns",
      level: "must",
      title: "On one connection an unstored response can be continued, with its input and output as context.",
      rule: "P4",
      from: "OpenAI WebSocket guide; Open Responses compliance 7",
      mend: "Keep the latest response of a connection in memory, store: false or not, until the connection ends.",
      run: async (trial) => {
        const socket = await trial.connect();
        const [first, second] = await chain(socket, [MANY, 0]);
        same(second?.["previous_response_id"], first?.id, "'previous_response_id' of the response");
        grew(first, second, "The second turn has not seen the first.");
      },
    },
    {
      id: "continuation.three-turns",
      level: "must",
      title: "The third turn has the first as context, although it names only the second.",
      rule: "P1",
      from: "OpenAI; some servers rebuild one turn back only",
      mend: "Follow previous_response_id to the beginning: keep the whole context with a response, not just its own input.",
      run: async (trial) => {
        const socket = await trial.connect();
        const [first, , third] = await chain(socket, [MANY, 0, 0]);
        grew(first, third, "The third turn has not seen the first.");
      },
    },
    {
      id: "continuation.recall",
      level: "must",
      title: "The third turn knows what was said in the first, where the model can say so.",
      rule: "P1",
      from: "OpenAI; for servers that report no usage",
      mend: "Follow previous_response_id to the beginning: keep the whole context with a response, not just its own input.",
      run: async (trial) => {
        const socket = await trial.connect();
        const ask = (fields: Json): Promise<WireResponse> => socket.completed({ store: false, ...fields });
        const first = await ask({ input: TELL });
        const second = await ask({ input: SAY_OK, previous_response_id: first.id });
        await recalls(ask, second.id, [user(TELL), ...first.output, user(SAY_OK), ...second.output]);
      },
    },
    {
      id: "continuation.six-turns",
      level: "must",
      title: "The context grows with every turn of a chain, and nothing falls out of it.",
      rule: "P1",
      from: "OpenAI; Open Responses §7",
      mend: "Append each turn's input and output to the context of its parent.",
      run: async (trial) => {
        const socket = await trial.connect();
        const turns = await chain(
          socket,
          Array.from({ length: 6 }, () => 20),
        );
        const counts = turns.map(inputTokens);
        for (const [index, count] of counts.entries()) {
          if (index > 0)
            demand(count >= (counts[index - 1] ?? 0) + 20, "A turn added less to the context than it said.", {
              got: counts,
            });
        }
      },
    },
    {
      id: "continuation.not-doubled",
      level: "must",
      title: "A continued turn has each item of its context once.",
      rule: "P2",
      from: "OpenAI; some proxies merge the history twice",
      mend: "Either expand previous_response_id or forward it, never both.",
      run: async (trial) => {
        const socket = await trial.connect();
        const [first, second] = await chain(socket, [MANY, 0]);
        if (first === undefined || second === undefined) return;
        const most = 1.5 * inputTokens(first) + outputTokens(first);
        demand(inputTokens(second) < most, "The context of the second turn is too large: something is in it twice.", {
          expected: `fewer than ${most} input tokens`,
          got: inputTokens(second),
        });
      },
    },
    {
      id: "continuation.same-as-replay",
      level: "must",
      title: "A continued turn has the context that a client gives who sends everything again.",
      rule: "P2",
      from: "OpenAI; Open Responses: previous input, previous output, new input",
      mend: "Build the model's prompt from the same items in the same order, however they arrived.",
      run: async (trial) => {
        const words = sayOkAfter(50);
        const socket = await trial.connect();
        const first = await socket.completed({ input: words, store: false });
        const second = await socket.completed({ input: SAY_OK, store: false, previous_response_id: first.id });
        if (first.output.some(({ type }) => type === "reasoning"))
          skip("the model reasons, and reasoning is replayed differently");
        const other = await trial.connect();
        const replayed = await other.completed({ input: [user(words), ...first.output, user(SAY_OK)], store: false });
        const [got, expected] = [inputTokens(second), inputTokens(replayed)];
        demand(Math.abs(got - expected) <= 8 + expected * 0.05, "Continued and replayed contexts differ in size.", {
          expected,
          got,
        });
      },
    },
    {
      id: "continuation.fresh-chain",
      level: "must",
      title: "A create without previous_response_id begins with an empty context, whatever the connection has seen.",
      rule: "P1",
      from: "OpenAI WebSocket guide",
      mend: "Do not continue the last response by yourself: the client says what it continues.",
      run: async (trial) => {
        const socket = await trial.connect();
        const alone = await socket.completed({ input: SAY_OK, store: false });
        const [long] = await chain(socket, [MANY]);
        const fresh = await socket.completed({ input: SAY_OK, store: false, previous_response_id: null });
        const most = inputTokens(alone) + 50;
        demand(inputTokens(fresh) < most, "A new chain has seen an older one.", {
          expected: `fewer than ${most} input tokens, since the long turn had ${long === undefined ? "more" : inputTokens(long)}`,
          got: inputTokens(fresh),
        });
        same(fresh["previous_response_id"], null, "'previous_response_id' of the response");
      },
    },
    {
      id: "continuation.connections-apart",
      level: "must",
      title: "Two connections that run at the same time share no context.",
      rule: "P3",
      from: "OpenAI: state is of one connection",
      mend: "Keep state with the connection, not in a variable of the process.",
      run: async (trial) => {
        const [long, short] = [await trial.connect(), await trial.connect()];
        const [longTurns, shortTurns] = await Promise.all([chain(long, [MANY, 0, 0]), chain(short, [0, 0, 0])]);
        const [least, most] = [longTurns, shortTurns].map((turns) => inputTokens(turns[2]!));
        demand(least! > most! + 100, "The two contexts are not what each connection had said.", {
          got: { long: least, short: most },
        });
      },
    },
    {
      id: "continuation.unknown",
      level: "must",
      title: "An unknown id is refused: status 400, code previous_response_not_found, param previous_response_id.",
      rule: "P3",
      from: "OpenAI WebSocket guide; Open Responses compliance 9",
      mend: "Use this very code: clients recover by it, and give up on any other.",
      run: async (trial) => {
        const socket = await trial.connect();
        const frame = await socket.refused({ input: SAY_OK, store: false, previous_response_id: MISSING });
        const { code, param, message } = errorOf(frame, "The error event");
        same(
          { status: frame["status"], code, param },
          { status: 400, code: "previous_response_not_found", param: "previous_response_id" },
          "The error",
        );
        demand(String(message).includes(MISSING), "The message does not name the id.", { got: message });
      },
    },
    {
      id: "continuation.recovery",
      level: "must",
      title: "After an unknown id the connection serves a create with the full context.",
      rule: "X4",
      from: "OpenAI: recovery; Open Responses compliance 8",
      mend: "Keep the connection open after a miss; the client replays on it.",
      run: async (trial) => {
        const socket = await trial.connect();
        await socket.refused({ input: SAY_OK, store: false, previous_response_id: MISSING });
        const input = [user("Hello."), { role: "assistant", content: "Hello!" }, user(SAY_OK)];
        const response = await socket.completed({ input, store: false, previous_response_id: null });
        await socket.completed({ input: SAY_OK, store: false, previous_response_id: response.id });
      },
    },
    {
      id: "continuation.instructions",
      level: "must",
      title: "Instructions are not carried over to the next turn.",
      rule: "P5",
      from: "OpenAI: instructions are never inherited",
      mend: "Keep instructions out of the stored context; they belong to one request.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({
          input: SAY_OK,
          store: false,
          instructions: `Be brief. Ignore: ${filler(MANY)}`,
        });
        const second = await socket.completed({ input: SAY_OK, store: false, previous_response_id: first.id });
        same(second["instructions"], null, "'instructions' of the second response");
        if (outputTokens(first) > MANY / 2) skip("the first answer was too long to tell it from the instructions");
        demand(
          inputTokens(second) < inputTokens(first),
          "The instructions of the first turn are in the context of the second.",
          {
            expected: `fewer than ${inputTokens(first)} input tokens`,
            got: inputTokens(second),
          },
        );
      },
    },
    {
      id: "continuation.settings",
      level: "should",
      title: "Tools, metadata and other settings are not carried over either.",
      rule: "P5",
      from: "OpenAI: every sample sends them again",
      mend: "Fill settings that a request leaves out with the defaults, not with those of the parent.",
      run: async (trial) => {
        const socket = await trial.connect();
        const settings = { tools: [WEATHER_TOOL], tool_choice: "none", metadata: { a: "1" }, max_output_tokens: 4000 };
        const first = await socket.completed({ input: SAY_OK, store: false, ...settings });
        const second = await socket.completed({ input: SAY_OK, store: false, previous_response_id: first.id });
        const shown = Object.fromEntries(Object.keys(settings).map((key) => [key, second[key]]));
        same(
          shown,
          { tools: [], tool_choice: "auto", metadata: {}, max_output_tokens: null },
          "The settings of the second response",
        );
      },
    },
    {
      id: "continuation.empty-input",
      level: "should",
      title: "A continuation may bring an empty list of items.",
      rule: "C1",
      from: "OpenAI: after a warm-up; Codex",
      mend: "Demand input only where there is no previous_response_id.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({ input: SAY_OK, store: false });
        await socket.completed({ input: [], store: false, previous_response_id: first.id });
      },
    },
    {
      id: "continuation.after-incomplete",
      level: "should",
      title: "A response that ended incomplete can be continued.",
      rule: "P6",
      from: "OpenAI: interrupted and steered responses are valid parents",
      mend: "Keep incomplete responses like completed ones.",
      run: async (trial) => {
        const socket = await trial.connect();
        const { response } = await socket.turn({ input: COUNT, store: false, max_output_tokens: 16 });
        if (response?.status !== "incomplete") skip("the answer of the model was not cut off");
        const second = await socket.completed({ input: SAY_OK, store: false, previous_response_id: response.id });
        same(second["previous_response_id"], response.id, "'previous_response_id' of the response");
      },
    },
    {
      id: "continuation.pipelined",
      level: "must",
      title: "A continuation works in the very moment in which its parent ends, again and again.",
      rule: "P4",
      from: "some servers need seconds until they find what they have just sent",
      mend: "Make a response findable before its terminal event is sent.",
      run: async (trial) => {
        const socket = await trial.connect();
        await chain(
          socket,
          Array.from({ length: 10 }, () => 0),
        );
      },
    },
  ],
};

/** Turns that continue each other, each with so many words beside the prompt. */
async function chain(socket: Socket, words: readonly number[]): Promise<readonly WireResponse[]> {
  const turns: WireResponse[] = [];
  for (const count of words) {
    const previous = turns.at(-1)?.id ?? null;
    turns.push(await socket.completed({ input: sayOkAfter(count), store: false, previous_response_id: previous }));
  }
  return turns;
}

function grew(before: WireResponse | undefined, after: WireResponse | undefined, message: string): void {
  if (before === undefined || after === undefined) return;
  const [least, got] = [inputTokens(before), inputTokens(after)];
  demand(got > least, message, { expected: `more than ${least} input tokens`, got });
}
