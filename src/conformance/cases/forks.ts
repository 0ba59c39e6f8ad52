import type { Group } from "../case.ts";
import { LANES } from "../features.ts";
import { COUNT, filler, SAY_OK } from "../prompts.ts";
import { isOf, isOn } from "../reading.ts";
import type { Socket } from "../socket.ts";
import type { Json, WireResponse } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { errorOf, inputTokens } from "../wire.ts";

const ORPHAN = { type: "function_call_output", call_id: "call_conformance_missing", output: "x" };
const LONG_MEMORY = `${filler(300)} ${SAY_OK}`;

/** Forks: a response of one lane continued on another. */
export const FORKS: Group = {
  name: "forks",
  title: "a response of one lane continued on another",
  cases: [
    {
      id: "forks.other-lane",
      level: "must",
      title: "An unstored response of one lane can be continued on another, from the default lane and back.",
      rule: "L6",
      from: "OpenAI WebSocket guide",
      mend: "Look for previous_response_id among the responses of the whole connection, not of the lane only.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        const parent = await socket.completed({ input: LONG_MEMORY, store: false });
        const fork = await socket.completed(next(parent, "fork"));
        const back = await socket.completed(next(fork, null));
        for (const [child, of] of [
          [fork, parent],
          [back, fork],
        ] as const) {
          same(child["previous_response_id"], of.id, "'previous_response_id' of the response");
          demand(inputTokens(child) > inputTokens(of), "The fork has not seen its parent's context.", {
            expected: `more than ${inputTokens(of)} tokens of input`,
            got: inputTokens(child),
          });
        }
      },
    },
    {
      id: "forks.three-at-once",
      level: "must",
      title: "Three forks of one response at the same time all see the same context.",
      rule: "L6",
      from: "OpenAI WebSocket guide",
      mend: "Never change a context that others may share: add to a copy, or build contexts as chains.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        const parent = await socket.completed({ input: LONG_MEMORY, store: false, stream_id: "main" });
        const lanes = ["a", "b", "c"];
        for (const lane of lanes) socket.create(next(parent, lane));
        const counts: number[] = [];
        for (const lane of lanes) counts.push(inputTokens(await ended(socket, lane)));
        same(new Set(counts).size, 1, `The number of different token counts in ${counts.join(", ")}`);
        demand((counts[0] ?? 0) > inputTokens(parent), "The forks have not seen their parent.", { got: counts });
      },
    },
    {
      id: "forks.apart",
      level: "must",
      title: "What is said on one fork is not seen on the other.",
      rule: "P1",
      from: "OpenAI WebSocket guide",
      mend: "Give each fork a context of its own from its parent on.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        const parent = await socket.completed({ input: SAY_OK, store: false, stream_id: "main" });
        const quiet = await socket.completed(next(parent, "quiet"));
        const loud = await socket.completed({ ...next(parent, "loud"), input: LONG_MEMORY });
        const after = await socket.completed(next(quiet, "quiet"));
        demand(inputTokens(after) < inputTokens(loud), "A fork has seen what was said on another one.", {
          expected: `less than the ${inputTokens(loud)} tokens of input of the other fork`,
          got: inputTokens(after),
        });
      },
    },
    {
      id: "forks.source-goes-on",
      level: "must",
      title: "A fork and the next turn of its parent's own lane run side by side.",
      rule: "L6",
      from: "OpenAI WebSocket guide: the source lane may go on",
      mend: "Hold on to the parent of a fork from the moment its create is read.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        const parent = await socket.completed({ input: LONG_MEMORY, store: false, stream_id: "main" });
        socket.create({ ...next(parent, "main"), input: COUNT, max_output_tokens: 200 });
        socket.create(next(parent, "fork"));
        const fork = await ended(socket, "fork");
        same(fork["previous_response_id"], parent.id, "'previous_response_id' of the fork");
        const { last } = await socket.rest("main");
        demand(last.type !== "error" && last.type !== "response.failed", "The source lane failed.", { got: last });
      },
    },
    {
      id: "forks.queued",
      level: "should",
      title:
        "A fork that waits behind another turn of its lane still finds its parent when the source lane has gone on.",
      rule: "L6",
      from: "kindness: OpenAI lets it fail, and tells clients to wait",
      mend: "Hold on to the parent of a fork from the moment its create is read.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        const parent = await socket.completed({ input: SAY_OK, store: false, stream_id: "main" });
        socket.create({ input: COUNT, store: false, stream_id: "busy", max_output_tokens: 200 });
        socket.create(next(parent, "busy"));
        await socket.frame((frame) => isOn("busy")(frame) && isOf("response.created")(frame));
        await socket.completed(next(parent, "main"));
        await socket.rest("busy");
        await ended(socket, "busy");
      },
    },
    {
      id: "forks.failed",
      level: "must",
      title: "A fork that fails leaves its parent to the parent's own lane.",
      rule: "V5",
      from: "OpenAI WebSocket guide",
      mend: "Forget the parent of a failed continuation only when it was made on the same lane.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        const parent = await socket.completed({ input: SAY_OK, store: false, stream_id: "main" });
        await socket.failed({ ...next(parent, "fork"), input: [ORPHAN] });
        const orphan = { type: "function_call_output", call_id: "call_conformance_missing", output: "x" };
        const { last } = await socket.turn({ ...next(parent, "fork"), input: [orphan] });
        demand(last.type !== "response.completed", "An output for a call that does not exist was taken.", {
          got: last,
        });
        await socket.completed(next(parent, "main"));
      },
    },
    {
      id: "forks.evicted",
      level: "must",
      title: "A continuation that fails on its parent's own lane takes the unstored parent from all lanes.",
      rule: "V1",
      from: "OpenAI WebSocket guide; Open Responses",
      mend: "Forget the referenced response when a continuation on its own lane ends in 4xx or 5xx.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        const parent = await socket.completed({ input: SAY_OK, store: false, stream_id: "main" });
        await socket.failed({ ...next(parent, "main"), input: [ORPHAN] });
        for (const lane of ["fork", "main"]) {
          const frame = await socket.refused(next(parent, lane));
          same(errorOf(frame, "The error event")["code"], "previous_response_not_found", "'code' of the error");
          same(frame["stream_id"], lane, "'stream_id' of the error event");
        }
      },
    },
    {
      id: "forks.failure-elsewhere",
      level: "must",
      title: "A failure on one lane does not make another lane forget its response.",
      rule: "V3",
      from: "OpenAI WebSocket guide",
      mend: "Forget only what the failed create has named.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        const ours = await socket.completed({ input: SAY_OK, store: false, stream_id: "ours" });
        const theirs = await socket.completed({ input: SAY_OK, store: false, stream_id: "theirs" });
        await socket.failed({ ...next(theirs, "theirs"), input: [ORPHAN] });
        await socket.completed(next(ours, "ours"));
      },
    },
    {
      id: "forks.older",
      level: "extension",
      title: "An older response of the connection can be forked, with the context that it had.",
      rule: "P4",
      from: "beyond OpenAI, which keeps the latest response of a lane; some proxies mistake the latest for the one named",
      mend: "Build the context from the response that was named, or answer previous_response_not_found.",
      run: async (trial) => {
        await trial.requires(LANES);
        const socket = await trial.connect();
        const first = await socket.completed({ input: SAY_OK, store: false, stream_id: "main" });
        const second = await socket.completed(next(first, "main"));
        const third = await socket.completed({ ...next(second, "main"), input: LONG_MEMORY });
        const { last, response } = await socket.turn(next(first, "fork"));
        if (response === null) {
          same(errorOf(last, "The error event")["code"], "previous_response_not_found", "'code' of the error");
          skip("the server keeps only the latest response of a lane, as it may");
        }
        same(inputTokens(response), inputTokens(second), "The tokens of input of a fork of the first response");
        await socket.completed(next(third, "main"));
      },
    },
  ],
};

/** A short turn that continues a response on a lane. */
function next(parent: WireResponse, lane: string | null): Json {
  const where = lane === null ? {} : { stream_id: lane };
  return { input: SAY_OK, store: false, previous_response_id: parent.id, ...where };
}

/** What a turn of a lane that has to succeed came to. */
async function ended(socket: Socket, lane: string): Promise<WireResponse> {
  const { last, response } = await socket.rest(lane);
  demand(response !== null && last.type === "response.completed", `The turn on the lane '${lane}' failed.`, {
    expected: "response.completed",
    got: last,
  });
  return response;
}
