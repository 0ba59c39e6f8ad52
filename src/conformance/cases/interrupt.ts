import type { Group } from "../case.ts";
import { INTERRUPT, LANES } from "../features.ts";
import { clean } from "../findings.ts";
import { examine } from "../grammar.ts";
import { COUNT, RECITE, SAY_OK } from "../prompts.ts";
import { idOf, isDelta, isOf, isOn, isTerminal } from "../reading.ts";
import { begin, interrupt, INTERRUPTED_TURN, type Interruption } from "../steered.ts";
import type { Trial } from "../trial.ts";
import type { Turn } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { inputTokens, object } from "../wire.ts";

const CODEX = "Codex; not documented by OpenAI";

/** `response.interrupt`: the one way to stop a response and keep the connection. */
export const INTERRUPTS: Group = {
  name: "interrupt",
  title: "response.interrupt: a response is stopped and the connection goes on",
  cases: [
    {
      id: "interrupt.accepted",
      level: "extension",
      title: "An interrupt is acknowledged once, with the id of its response, before the response ends.",
      rule: "N2",
      from: CODEX,
      mend: "Send response.interrupt.accepted with exactly the response_id that the client named.",
      run: async (trial) => {
        const { frames, id } = await interrupted(trial);
        const accepted = frames.filter(isOf("response.interrupt.accepted"));
        same(accepted.length, 1, "The number of response.interrupt.accepted events");
        same(accepted[0]?.["response_id"], id, "'response_id' of response.interrupt.accepted");
      },
    },
    {
      id: "interrupt.ends",
      level: "extension",
      title: "The response ends with response.incomplete and the reason 'interrupted'.",
      rule: "N2",
      from: CODEX,
      mend: "End an interrupted response as incomplete, with incomplete_details.reason 'interrupted'.",
      run: async (trial) => {
        const { last, response } = await interrupted(trial);
        same(last.type, "response.incomplete", "The end of the interrupted response");
        same(response.status, "incomplete", "'status' of the response");
        same(response["incomplete_details"], { reason: "interrupted" }, "'incomplete_details' of the response");
      },
    },
    {
      id: "interrupt.open-items",
      level: "extension",
      title: "Each item that was open is dropped by output_item.interrupted, or is done; none stays open.",
      rule: "N2",
      from: CODEX,
      mend: "Send response.output_item.interrupted with item_id and output_index for every item that is not done.",
      run: async (trial) => {
        const { frames, id } = await interrupted(trial);
        const open = new Map<unknown, unknown>();
        const dropped = new Set<unknown>();
        for (const frame of frames) {
          const index = frame["output_index"];
          demand(index === undefined || !dropped.has(index), "An item goes on after it was dropped.", { got: frame });
          if (frame.type === "response.output_item.added") open.set(index, object(frame["item"], "'item'")["id"]);
          if (frame.type === "response.output_item.done") open.delete(index);
          if (frame.type !== "response.output_item.interrupted") continue;
          demand(open.has(index), "An item was interrupted that was not open.", { got: frame });
          same(frame["item_id"], open.get(index), "'item_id' of response.output_item.interrupted");
          same(frame["response_id"], id, "'response_id' of response.output_item.interrupted");
          open.delete(index);
          dropped.add(index);
        }
        same([...open.values()], [], "The items that are still open at the end");
      },
    },
    {
      id: "interrupt.output",
      level: "extension",
      title: "The output of the interrupted response is the items that were done, and no half ones.",
      rule: "N2",
      from: CODEX,
      mend: "Leave the items that were dropped out of 'output', of what is kept as well as of what is shown.",
      run: async (trial) => {
        const { frames, response } = await interrupted(trial);
        const done = frames.filter(isOf("response.output_item.done")).map(({ item }) => item);
        same(response.output, done, "'output' of the interrupted response");
        const dropped = frames.filter(isOf("response.output_item.interrupted")).map(({ item_id }) => item_id);
        const both = done.filter((item) => dropped.includes((item as { readonly id?: unknown }).id));
        same(both, [], "The items that were dropped and done all the same");
      },
    },
    {
      id: "interrupt.numbers",
      level: "extension",
      title: "The events of an interrupt count on in the sequence numbers of the response.",
      rule: "S2",
      from: "seen in Codex's tests",
      mend: "Take the sequence_number of interrupt events from the counter of the response.",
      run: async (trial) => {
        clean(examine((await interrupted(trial)).frames), "numbers", "fields");
      },
    },
    {
      id: "interrupt.continued",
      level: "extension",
      title: "The interrupted response can be continued at once, unstored too, and nothing of it comes after its end.",
      rule: "P6",
      from: "Codex continues on the same connection",
      mend: "Keep an interrupted response as any other one, with the items that were done, before its last event is sent.",
      run: async (trial) => {
        const { next, id, response } = await interrupted(trial);
        same(next.last.type, "response.completed", "The end of the turn that continues it");
        clean(examine(next.frames), "lifecycle", "ids");
        const child = next.response ?? response;
        same(child["previous_response_id"], id, "'previous_response_id' of the next response");
        if (response["usage"] === null) return;
        demand(inputTokens(child) > inputTokens(response), "The next turn has not seen the interrupted one.", {
          expected: `more than ${inputTokens(response)} tokens of input`,
          got: inputTokens(child),
        });
      },
    },
    {
      id: "interrupt.over",
      level: "extension",
      title: "Interrupts of a finished or unknown response are ignored in silence: an answer would meet the next turn.",
      rule: "N3",
      from: "clients take an error event for the end of their next turn",
      mend: "Drop an interrupt that names no running response.",
      run: async (trial) => {
        await trial.requires(INTERRUPT);
        const socket = await trial.connect();
        const { id } = await socket.completed({ input: SAY_OK, store: false });
        for (const response_id of [id, "resp_conformance_missing", id]) {
          socket.send({ type: "response.interrupt", response_id, mode: "discard_partial_items" });
        }
        const { frames, last } = await socket.turn({ input: SAY_OK, store: false, previous_response_id: id });
        same(frames[0]?.type, "response.created", "The first event after the interrupts");
        same(last.type, "response.completed", "The end of the turn after the interrupts");
      },
    },
    {
      id: "interrupt.twice",
      level: "extension",
      title: "A second interrupt of the same response does no harm.",
      rule: "N3",
      from: CODEX,
      mend: "Ignore an interrupt of a response that is ending.",
      run: async (trial) => {
        await trial.requires(INTERRUPT);
        const socket = await trial.connect();
        const running = await begin(socket, {});
        socket.send({ type: "response.interrupt", response_id: running.id, mode: "discard_partial_items" });
        const { frames } = await interrupt(socket, running);
        demand(frames.filter(isOf("response.interrupt.accepted")).length > 0, "The interrupt was not acknowledged.");
        const { frames: after } = await socket.turn({ input: SAY_OK, store: false });
        // The second acknowledgement may come late, but nothing else may.
        clean(examine(after.filter((frame) => frame["response_id"] !== running.id)), "lifecycle");
      },
    },
    {
      id: "interrupt.queue",
      level: "extension",
      title: "An interrupt does not wait behind the creates of its lane, and these go on after it.",
      rule: "N1",
      from: CODEX,
      mend: "Handle an interrupt when it is read, apart from the queue of creates; stop the one response only.",
      run: async (trial) => {
        await trial.requires(INTERRUPT);
        const socket = await trial.connect();
        const running = await begin(socket, {});
        socket.create({ input: SAY_OK, store: false });
        await interrupt(socket, running);
        const { frames, last } = await socket.rest();
        clean(examine(frames), "lifecycle");
        same(last.type, "response.completed", "The end of the turn that waited");
      },
    },
    {
      id: "interrupt.other-lane",
      level: "extension",
      title: "An interrupt of one lane's response leaves the response of another lane alone.",
      rule: "L2",
      from: CODEX,
      mend: "Find the response by its id and stop that one only.",
      run: async (trial) => {
        await trial.requires(INTERRUPT);
        await trial.requires(LANES);
        const socket = await trial.connect();
        socket.create({ input: RECITE, store: false, stream_id: "stopped" });
        socket.create({ input: COUNT, store: false, stream_id: "other", max_output_tokens: 200 });
        const created = await socket.frame((frame) => isOn("stopped")(frame) && isOf("response.created")(frame));
        await socket.frame((frame) => isOn("stopped")(frame) && (isDelta(frame) || isTerminal(frame)));
        socket.send({ type: "response.interrupt", response_id: idOf(created), mode: "discard_partial_items" });
        const stopped = await socket.rest("stopped");
        if (stopped.last.type === "response.completed") skip("the response had ended before it was interrupted");
        for (const frame of stopped.frames) same(frame["stream_id"], "stopped", `'stream_id' of ${frame.type}`);
        const { frames, last, response } = await socket.rest("other");
        clean(examine(frames), "lifecycle", "items", "folding");
        same(
          frames.filter(({ type }) => type.includes("interrupt")),
          [],
          "Interrupts on the other lane",
        );
        demand(last.type !== "response.failed" && response !== null, "The other lane failed.", { got: last });
      },
    },
    {
      id: "interrupt.cancel",
      level: "extension",
      title: "response.cancel stops a response too.",
      rule: "N1",
      from: "a habit of the Realtime API",
      mend: "Take response.cancel as another name of response.interrupt.",
      run: async (trial) => {
        await trial.requires(INTERRUPT);
        const socket = await trial.connect();
        const running = await begin(socket, {});
        const { last } = await interrupt(socket, running, "response.cancel");
        same(last.type, "response.incomplete", "The end of the cancelled response");
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
  ],
};

async function interrupted(trial: Trial): Promise<Interruption & { readonly id: string; readonly next: Turn }> {
  await trial.requires(INTERRUPT);
  return trial.recording(INTERRUPTED_TURN);
}
