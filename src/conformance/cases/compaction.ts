import type { Group } from "../case.ts";
import { COMPACTION, COMPACTION_TRIGGER, CONTEXT_MANAGEMENT, TOKEN_COUNTS } from "../features.ts";
import { clean } from "../findings.ts";
import { examine } from "../grammar.ts";
import { filler, SAY_OK, user } from "../prompts.ts";
import { wrongItem, wrongUsage } from "../snapshot.ts";
import type { Recording, Trial } from "../trial.ts";
import type { Json, Turn, WireItem, WireResponse } from "../types.ts";
import { demand, same } from "../violation.ts";
import { errorOf, inputTokens, list, object } from "../wire.ts";

const OPENAI = "OpenAI";
const BOTH = "OpenAI; Open Responses 2026-04-24";
const TRIGGER: Json = { type: "compaction_trigger" };

/** A conversation whose weight lies in what the model has said, which no compaction keeps word for word. */
const TALK: readonly Json[] = [
  user("Tell me something."),
  { type: "message", role: "assistant", content: [{ type: "output_text", text: filler(1500) }] },
  user(SAY_OK),
];

/** One compaction over HTTP, looked at by several cases. */
const COMPACTED: Recording<Json> = {
  make: async (trial) => {
    const json = { model: trial.model, input: TALK };
    const answer = await trial.request("POST", "/responses/compact", { json });
    same(answer.status, 200, "The status of a compaction");
    return answer.json;
  },
};

type Managed = { readonly first: WireResponse; readonly turn: Turn; readonly next: WireResponse };

/** A turn that is compacted on the way, with the one before it and the one behind it. */
const MANAGED_TURN: Recording<Managed> = {
  make: async (trial) => {
    const socket = await trial.connect();
    const first = await socket.completed({ input: TALK, store: false });
    const compact_threshold = Math.floor(inputTokens(first) / 2);
    const turn = await socket.turn({
      input: SAY_OK,
      previous_response_id: first.id,
      store: false,
      context_management: [{ type: "compaction", compact_threshold }],
    });
    same(turn.last.type, "response.completed", "The last event of a turn that is compacted on the way");
    const next = await socket.completed({ input: SAY_OK, previous_response_id: idOf(turn), store: false });
    return { first, turn, next };
  },
};

/** Contexts that are made smaller. */
export const COMPACTIONS: Group = {
  name: "compaction",
  title: "contexts that are made smaller: compact, triggers, context management",
  cases: [
    {
      id: "compaction.shape",
      level: "must",
      title: "POST /responses/compact gives items of which exactly one is a compaction, and a usage.",
      rule: "Z4",
      from: BOTH,
      mend: 'Answer with id, object "response.compaction", created_at, output and usage.',
      run: async (trial) => {
        await trial.requires(COMPACTION);
        const { id, object: kind, created_at, output, usage } = await trial.recording(COMPACTED);
        same([typeof id, kind, typeof created_at], ["string", "response.compaction", "number"], "The compaction");
        same(wrongUsage(usage), [], "What is wrong with 'usage'");
        const items = itemsOf(output);
        same(items.filter(isCompaction).length, 1, "The number of compaction items");
        for (const item of items) same(wrongItem(item), [], "What is wrong with an item");
        const compaction = items.find(isCompaction);
        const [itemId, content] = [compaction?.["id"], compaction?.["encrypted_content"]];
        same([typeof itemId, typeof content], ["string", "string"], "The types of 'id' and 'encrypted_content'");
      },
    },
    {
      id: "compaction.new-chain",
      level: "must",
      title: "Its output, as it is, begins a new chain over WebSocket, and the model sees what it stands for.",
      rule: "Z3",
      from: `${BOTH}; a server has to read what it has written`,
      mend: "Expand compaction items of any input for the model.",
      run: async (trial) => {
        await trial.requires(COMPACTION);
        const output = itemsOf((await trial.recording(COMPACTED))["output"]);
        const socket = await trial.connect();
        const whole = await socket.completed({ input: [...output, user(SAY_OK)], store: false });
        const left = output.filter((item) => !isCompaction(item));
        const without = await socket.completed({ input: [...left, user(SAY_OK)], store: false });
        demand(inputTokens(whole) > inputTokens(without), "The model sees nothing of the compaction item.", {
          expected: `more than ${inputTokens(without)} tokens`,
          got: inputTokens(whole),
        });
      },
    },
    {
      id: "compaction.smaller",
      level: "should",
      title: "What is left is smaller than what there was.",
      rule: "Z4",
      from: OPENAI,
      mend: "Keep the user's words and a summary, not the words of the model.",
      run: async (trial) => {
        await trial.requires(COMPACTION);
        await trial.requires(TOKEN_COUNTS);
        const output = itemsOf((await trial.recording(COMPACTED))["output"]);
        const [before, after] = [await count(trial, TALK), await count(trial, output)];
        demand(after < before, "The output has as many tokens as the input.", {
          expected: `below ${before}`,
          got: after,
        });
      },
    },
    {
      id: "compaction.no-model",
      level: "must",
      title: "A compaction without a model is refused with 400 or 422.",
      rule: "Z4",
      from: "Open Responses 2026-04-24",
      mend: "Demand 'model', as for any response.",
      run: async (trial) => {
        await trial.requires(COMPACTION);
        const { status } = await trial.request("POST", "/responses/compact", { json: { input: TALK } });
        demand(status === 400 || status === 422, "It was not refused.", { expected: "400 or 422", got: status });
      },
    },
    {
      id: "compaction.not-chainable",
      level: "should",
      title: "The id of a compaction cannot be continued.",
      rule: "Z4",
      from: BOTH,
      mend: "Store nothing under the id of a compaction.",
      run: async (trial) => {
        await trial.requires(COMPACTION);
        const { id } = await trial.recording(COMPACTED);
        const socket = await trial.connect();
        const refused = await socket.refused({ input: SAY_OK, previous_response_id: id, store: false });
        same(errorOf(refused, "The refusal")["code"], "previous_response_not_found", "The code of the refusal");
      },
    },
    {
      id: "compaction.forged",
      level: "should",
      title: "A compaction item that the server has not written is refused, and the connection goes on.",
      rule: "Z3",
      from: "what is encrypted has to be authentic: nobody may put words into a context that look like the server's",
      mend: "Authenticate the content of compaction items, and answer 400 to any other.",
      run: async (trial) => {
        await trial.requires(COMPACTION);
        const output = itemsOf((await trial.recording(COMPACTED))["output"]);
        const real = String(output.find(isCompaction)?.["encrypted_content"]);
        const middle = Math.floor(real.length / 2);
        const changed = real.slice(0, middle) + (real[middle] === "A" ? "B" : "A") + real.slice(middle + 1);
        const socket = await trial.connect();
        for (const encrypted_content of [changed, "forged", ""]) {
          const input = [{ type: "compaction", encrypted_content }, user(SAY_OK)];
          await socket.refused({ input, store: false });
        }
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
    {
      id: "compaction.other-key",
      level: "must",
      title: "A compaction item of another tenant is refused as one that nobody has written.",
      rule: "Z3",
      from: "tenants share nothing",
      mend: "Bind the content of compaction items to the tenant.",
      run: async (trial) => {
        const key = trial.secondKey;
        await trial.requires(COMPACTION);
        const output = itemsOf((await trial.recording(COMPACTED))["output"]);
        const stranger = await trial.connect({ key });
        const refuse = async (item: Json): Promise<Json> => {
          const refused = await stranger.refused({ input: [item, user(SAY_OK)], store: false });
          return errorOf(refused, "The refusal");
        };
        const theirs = await refuse(output.find(isCompaction) ?? {});
        const nobodys = await refuse({ type: "compaction", encrypted_content: "forged" });
        same(
          [theirs["code"], theirs["message"]],
          [nobodys["code"], nobodys["message"]],
          "The refusal, against nobody's,",
        );
      },
    },
    {
      id: "compaction.trigger",
      level: "extension",
      title: "A compaction_trigger as the last item is answered with one compaction item and nothing else.",
      rule: "Z5",
      from: "Codex fails a compaction with any other output",
      mend: "Answer such a turn with the compaction alone: no message, no reasoning.",
      run: async (trial) => {
        await trial.requires(COMPACTION_TRIGGER);
        const socket = await trial.connect();
        const { id } = await socket.completed({ input: TALK, store: false });
        const turn = await socket.turn({ input: [TRIGGER], previous_response_id: id, store: false });
        same(turn.last.type, "response.completed", "The last event");
        clean(examine(turn.frames), "lifecycle", "numbers", "fields", "items", "ids", "output");
        same(
          turn.response?.output.map(({ type }) => type),
          ["compaction"],
          "The output",
        );
      },
    },
    {
      id: "compaction.trigger-sent-back",
      level: "extension",
      title: "The item of a trigger, sent back among other items on another connection, is seen by the model.",
      rule: "Z5",
      from: "Codex sends all it has kept, and the item, as a new chain",
      mend: "Make the content of the item complete in itself: it must not lean on the connection.",
      run: async (trial) => {
        await trial.requires(COMPACTION_TRIGGER);
        const { output } = await (await trial.connect()).completed({ input: [...TALK, TRIGGER], store: false });
        const socket = await trial.connect();
        const whole = await socket.completed({ input: [...output, user(SAY_OK)], store: false });
        const without = await socket.completed({ input: [user(SAY_OK)], store: false });
        demand(inputTokens(whole) > inputTokens(without), "The model sees nothing of the compaction item.", {
          expected: `more than ${inputTokens(without)} tokens`,
          got: inputTokens(whole),
        });
      },
    },
    {
      id: "compaction.managed",
      level: "extension",
      title: "Beyond the threshold a compaction item comes first in the stream, then the answer.",
      rule: "Z6",
      from: OPENAI,
      mend: "Compact before the model is asked, and show the item as an output item of its own.",
      run: async (trial) => {
        await trial.requires(CONTEXT_MANAGEMENT);
        const { turn } = await trial.recording(MANAGED_TURN);
        clean(examine(turn.frames), "lifecycle", "numbers", "fields", "items", "ids", "output");
        const types = turn.response?.output.map(({ type }) => type) ?? [];
        same(
          [types[0], types.includes("message")],
          ["compaction", true],
          "The first item, and whether there is an answer",
        );
      },
    },
    {
      id: "compaction.managed-smaller",
      level: "extension",
      title: "What continues a compacted response sees the compacted context, not what was before it.",
      rule: "Z7",
      from: OPENAI,
      mend: "Take the compaction for the beginning of the chain.",
      run: async (trial) => {
        await trial.requires(CONTEXT_MANAGEMENT);
        const { first, next } = await trial.recording(MANAGED_TURN);
        demand(inputTokens(next) < inputTokens(first), "The context is as large as before.", {
          expected: `below ${inputTokens(first)} tokens`,
          got: inputTokens(next),
        });
      },
    },
    {
      id: "compaction.managed-replayed",
      level: "extension",
      title: "A client that sends all of its items, the compaction among them, has the same context.",
      rule: "Z7",
      from: "OpenAI: items before the compaction may be left out, and need not be",
      mend: "Leave out what a compaction of context management stands for, whoever sends it.",
      run: async (trial) => {
        await trial.requires(CONTEXT_MANAGEMENT);
        const { first, turn, next } = await trial.recording(MANAGED_TURN);
        const behind = [...(turn.response?.output ?? []), user(SAY_OK)];
        const socket = await trial.connect();
        const whole = await socket.completed({
          input: [...TALK, ...first.output, user(SAY_OK), ...behind],
          store: false,
        });
        const short = await socket.completed({ input: behind, store: false });
        const expected = [inputTokens(next), inputTokens(next)];
        same(
          [inputTokens(whole), inputTokens(short)],
          expected,
          "The input tokens, with all items and without the old",
        );
      },
    },
    {
      id: "compaction.managed-below",
      level: "extension",
      title: "Below the threshold nothing is compacted.",
      rule: "Z6",
      from: OPENAI,
      mend: "Look at the size of the context before you compact it.",
      run: async (trial) => {
        await trial.requires(CONTEXT_MANAGEMENT);
        const context_management = [{ type: "compaction", compact_threshold: 1_000_000 }];
        const { output } = await (await trial.connect()).completed({ input: TALK, store: false, context_management });
        same(output.filter(isCompaction).length, 0, "The number of compaction items");
      },
    },
  ],
};

function itemsOf(output: unknown): readonly WireItem[] {
  return list(output, "'output'").map((item) => object(item, "An item of 'output'") as WireItem);
}

function isCompaction({ type }: WireItem): boolean {
  return type === "compaction";
}

function idOf({ response }: Turn): string {
  demand(response !== null, "The last event has no response.");
  return response.id;
}

async function count(trial: Trial, input: readonly Json[]): Promise<number> {
  const { json } = await trial.request("POST", "/responses/input_tokens", { json: { model: trial.model, input } });
  return Number(json["input_tokens"]);
}
