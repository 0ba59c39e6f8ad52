import type { Case, Group } from "../case.ts";
import { isKnownEvent } from "../event-fields.ts";
import { type Aspect, clean } from "../findings.ts";
import { examine } from "../grammar.ts";
import { SAY_OK } from "../prompts.ts";
import { TEXT_TURN } from "../recordings.ts";
import { demand, same } from "../violation.ts";

/** A case that looks at one aspect of the events of a plain answer. */
function ofText(id: string, aspect: Aspect, about: Pick<Case, "level" | "title" | "from" | "mend" | "rule">): Case {
  return {
    id,
    ...about,
    run: async (trial) => clean(examine((await trial.recording(TEXT_TURN)).frames), aspect),
  };
}

/** The events of a plain answer over WebSocket. */
export const EVENTS: Group = {
  name: "events",
  title: "the events of a plain answer: order, numbers, items, parts, deltas",
  cases: [
    ofText("events.lifecycle", "lifecycle", {
      level: "must",
      title:
        "A turn begins with response.created, once, and ends with one terminal event, after which it says nothing.",
      rule: "E1",
      from: "OpenAI; Open Responses; openai-node throws otherwise",
      mend: "Emit response.created first and exactly one of completed, failed and incomplete last.",
    }),
    {
      id: "events.in-progress",
      level: "should",
      title: "response.in_progress comes second.",
      rule: "E2",
      from: "OpenAI; Open Responses",
      mend: "Emit response.in_progress when generation begins, before the first item; clients wait for it before they fork.",
      run: async (trial) => {
        const { frames } = await trial.recording(TEXT_TURN);
        const types = frames.map(({ type }) => type).filter((type) => type !== "response.queued");
        same(types[1], "response.in_progress", "The second event");
        same(
          types.filter((type) => type === "response.in_progress").length,
          1,
          "The number of response.in_progress events",
        );
      },
    },
    {
      id: "events.quiet-after-end",
      level: "must",
      title: "Nothing of a turn comes after its terminal event.",
      rule: "E1",
      from: "OpenAI; Open Responses",
      mend: "Send usage, items and all else before the terminal event; clients have stopped listening.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (let turn = 0; turn < 3; turn += 1) {
          await socket.completed({ input: SAY_OK, store: false });
          await socket.ping();
          same(socket.unread, [], "Events after the end of the turn");
        }
      },
    },
    ofText("events.numbers", "numbers", {
      level: "must",
      title: "Every event of a response has a sequence_number, and it rises.",
      rule: "S1",
      from: "OpenAI; Open Responses",
      mend: "Number every event of a response with one counter.",
    }),
    ofText("events.counting", "counting", {
      level: "should",
      title: "sequence_number counts 0, 1, 2, … and leaves nothing out.",
      rule: "S1",
      from: "OpenAI's real traffic; needed to resume a stream",
      mend: "Start a counter at 0 for each response and number what is sent, not what is thought of.",
    }),
    {
      id: "events.counting-restarts",
      level: "should",
      title: "Each response on a connection counts from 0 again.",
      rule: "S1",
      from: "OpenAI: numbers belong to a response",
      mend: "Keep the counter with the response, not with the connection.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (let turn = 0; turn < 3; turn += 1) {
          const { frames } = await socket.turn({ input: SAY_OK, store: false });
          same(frames[0]?.["sequence_number"], 0, `sequence_number of the first event of turn ${turn + 1}`);
        }
      },
    },
    ofText("events.fields", "fields", {
      level: "must",
      title: "Every event has the fields of its type: item_id, output_index, content_index, delta and the like.",
      rule: "E3",
      from: "Open Responses schemas",
      mend: "Fill in all fields of an event; AI SDK, langchain and openai-node look items up by them.",
    }),
    ofText("events.items", "items", {
      level: "must",
      title: "An item is added empty and in progress at the next output_index, and is done once, with its status.",
      rule: "E3",
      from: "OpenAI; Open Responses §3",
      mend: "Emit output_item.added with status in_progress and content [], and output_item.done when the item is final.",
    }),
    ofText("events.parts", "parts", {
      level: "must",
      title: "A content part is added empty, filled by deltas, its text is done, then the part is done, then the item.",
      rule: "E3",
      from: "OpenAI; Open Responses §3",
      mend: "Keep the order: content_part.added, output_text.delta …, output_text.done, content_part.done, output_item.done.",
    }),
    ofText("events.folding", "folding", {
      level: "must",
      title: "The deltas add up to the text of the done events and of the item.",
      rule: "E3",
      from: "OpenAI; Open Responses",
      mend: "Build the final text from the very deltas that were sent: do not trim, decode or join them differently.",
    }),
    ofText("events.ids", "ids", {
      level: "must",
      title: "Ids of the response and of its items are the same in every event, and no two items share one.",
      rule: "E6",
      from: "openai-node throws otherwise",
      mend: "Make an id once, when the response or item begins.",
    }),
    ofText("events.output", "output", {
      level: "must",
      title: "'output' of response.completed is exactly the items that were done, in order.",
      rule: "E7",
      from: "OpenAI; Open Responses; agents read only this",
      mend: "Fill 'output' of the last snapshot with the items as output_item.done showed them.",
    }),
    ofText("events.snapshots", "snapshots", {
      level: "must",
      title: "The snapshots of a response agree: in progress and empty at first, then with the status of their event.",
      rule: "E2",
      from: "OpenAI; Open Responses",
      mend: "Serialise a snapshot when it is sent; do not change an object that was already yielded.",
    }),
    {
      id: "events.no-stream-id",
      level: "must",
      title: "Events of the default lane have no stream_id, not even null.",
      rule: "F5",
      from: "openai-node drops events whose stream_id is null",
      mend: "Leave the key out where the create named no lane.",
      run: async (trial) => {
        for (const frame of (await trial.recording(TEXT_TURN)).frames) {
          demand(!("stream_id" in frame), "An event of the default lane has a stream_id.", { got: frame });
        }
      },
    },
    {
      id: "events.known",
      level: "should",
      title: "Only events of the API are sent, or such with a vendor's prefix.",
      rule: "F5",
      from: "openai-node's stream helper throws at any other; Open Responses, extensions",
      mend: "Do not send events of your own unless the client asked for them; prefix their type with 'vendor:'.",
      run: async (trial) => {
        for (const { type } of (await trial.recording(TEXT_TURN)).frames) {
          demand(isKnownEvent(type), "An event is of no type of the API.", { got: type });
        }
      },
    },
    {
      id: "events.has-deltas",
      level: "must",
      title: "Text is sent in output_text.delta events, not only in the done events.",
      rule: "E3",
      from: "AI SDK and langchain show only deltas",
      mend: "Emit the text as deltas even when the model gave it in one piece.",
      run: async (trial) => {
        const { frames } = await trial.recording(TEXT_TURN);
        const count = (type: string): number => frames.filter((frame) => frame.type === type).length;
        if (count("response.output_text.done") === 0) return;
        demand(count("response.output_text.delta") > 0, "There is an output_text.done and no output_text.delta.");
      },
    },
  ],
};
