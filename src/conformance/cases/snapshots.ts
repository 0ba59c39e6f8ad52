import type { Group } from "../case.ts";
import { SAY_OK, user } from "../prompts.ts";
import { type RecordedTurn, TEXT_TURN } from "../recordings.ts";
import { missingKeys, wrongItem, wrongUsage, wrongValues } from "../snapshot.ts";
import type { Frame, Json } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { isObject } from "../wire.ts";

const DAY_SECONDS = 24 * 60 * 60;

/** The response object, in every event that shows one. */
export const SNAPSHOTS: Group = {
  name: "snapshots",
  title: "the response object in every event: 31 keys, values, usage",
  cases: [
    {
      id: "snapshots.keys",
      level: "must",
      title: "Every snapshot has all 31 keys, the one of response.created included.",
      rule: "E8",
      from: "Open Responses, ResponseResource",
      mend: "Build snapshots from one function that fills in every key, with null where the schema allows it.",
      run: async (trial) => {
        for (const { type, response } of snapshotsOf(await trial.recording(TEXT_TURN))) {
          same(missingKeys(response), [], `The keys that are missing in ${type}`);
        }
      },
    },
    {
      id: "snapshots.values",
      level: "must",
      title: "Every key holds a value of its type: numbers are not null, 'text' has a format, and so on.",
      rule: "E8",
      from: "Open Responses, ResponseResource",
      mend: "Show the default that is in force (temperature 1, top_p 1, service_tier 'default', …) instead of null.",
      run: async (trial) => {
        for (const { type, response } of snapshotsOf(await trial.recording(TEXT_TURN))) {
          same(wrongValues(response), [], `The wrong values in ${type}`);
        }
      },
    },
    {
      id: "snapshots.beginning",
      level: "must",
      title: "Before anything was generated a snapshot is in_progress, without output, error, usage or completed_at.",
      rule: "E2",
      from: "OpenAI; Open Responses",
      mend: "Do not share the object that is filled in later with the event that was sent first.",
      run: async (trial) => {
        const [created] = snapshotsOf(await trial.recording(TEXT_TURN));
        const { status, output, error, usage, completed_at, incomplete_details } = created?.response ?? {};
        demand(status === "in_progress" || status === "queued", "response.created has a wrong status.", {
          got: status,
        });
        const shown = { output, error, usage, completed_at, incomplete_details };
        const empty = { output: [], error: null, usage: null, completed_at: null, incomplete_details: null };
        same(shown, empty, "What response.created shows");
      },
    },
    {
      id: "snapshots.usage",
      level: "must",
      title: "A completed response tells its usage: input, output and total, with cached and reasoning tokens.",
      rule: "E8",
      from: "OpenAI; Open Responses; Codex fails without total_tokens",
      mend: "Ask the model server for usage (stream_options.include_usage) and fill in both detail objects.",
      run: async (trial) => {
        const { response } = await trial.recording(TEXT_TURN);
        if ((response["usage"] ?? null) === null) skip("the server reports no usage, which the schema allows");
        same(wrongUsage(response["usage"]), [], "What is wrong with 'usage'");
      },
    },
    {
      id: "snapshots.usage-adds-up",
      level: "should",
      title: "total_tokens is input_tokens and output_tokens together, and the details are parts of them.",
      rule: "E13",
      from: "OpenAI",
      mend: "Compute the total from the two counts; count cached and reasoning tokens inside them, not beside.",
      run: async (trial) => {
        const { usage } = (await trial.recording(TEXT_TURN)).response;
        if (!isObject(usage)) skip("the server reports no usage");
        const { input_tokens: input, output_tokens: output, total_tokens: total } = usage;
        same(total, Number(input) + Number(output), "'total_tokens'");
        const cached = isObject(usage["input_tokens_details"]) ? usage["input_tokens_details"]["cached_tokens"] : 0;
        const reasoned = isObject(usage["output_tokens_details"])
          ? usage["output_tokens_details"]["reasoning_tokens"]
          : 0;
        demand(Number(cached) <= Number(input), "More input tokens were cached than there are.", { got: usage });
        demand(Number(reasoned) <= Number(output), "More tokens were reasoning than there are.", { got: usage });
      },
    },
    {
      id: "snapshots.times",
      level: "should",
      title: "created_at and completed_at are seconds since 1970, in this order.",
      rule: "C3",
      from: "OpenAI; Open Responses",
      mend: "Divide milliseconds by 1000, and set completed_at when the response is completed.",
      run: async (trial) => {
        const { response } = await trial.recording(TEXT_TURN);
        const [created, completed] = [Number(response["created_at"]), Number(response["completed_at"])];
        const isNow = Math.abs(created - Date.now() / 1000) < DAY_SECONDS;
        demand(isNow, "created_at is not a time of today, in seconds.", { got: response["created_at"] });
        demand(completed >= created, "A completed response was not completed after its creation.", {
          got: { created_at: response["created_at"], completed_at: response["completed_at"] },
        });
      },
    },
    {
      id: "snapshots.ids",
      level: "should",
      title: "The id of a response begins with resp_.",
      rule: "E8",
      from: "OpenAI; clients tell ids apart by it",
      mend: "Prefix the ids that you make: resp_, msg_, fc_, rs_.",
      run: async (trial) => {
        const { response } = await trial.recording(TEXT_TURN);
        demand(/^resp_./.test(response.id), "The id has another form.", { expected: "resp_…", got: response.id });
      },
    },
    {
      id: "snapshots.items",
      level: "must",
      title: "Output items have all fields of their type: id, status, role, content with annotations.",
      rule: "E3",
      from: "Open Responses, ItemField; AI SDK and agents check it",
      mend: "Fill in 'status' of items and 'annotations' of output_text parts; leave 'phase' out rather than null.",
      run: async (trial) => {
        const { response } = await trial.recording(TEXT_TURN);
        same(response.output.flatMap(wrongItem), [], "What is wrong with the output items");
      },
    },
    {
      id: "snapshots.item-status",
      level: "must",
      title: "In a completed response every message is completed.",
      rule: "E3",
      from: "Open Responses §3",
      mend: "Set the final status on the item, not only on the response.",
      run: async (trial) => {
        const { response } = await trial.recording(TEXT_TURN);
        const states = response.output.filter(({ type }) => type === "message").map(({ status }) => status);
        demand(
          states.every((status) => status === "completed"),
          "A message is not completed.",
          { got: states },
        );
      },
    },
    {
      id: "snapshots.settings",
      level: "must",
      title: "A response shows the settings of its request.",
      rule: "C3",
      from: "OpenAI; Open Responses",
      mend: "Echo what was asked for: instructions, metadata, store, tool_choice, parallel_tool_calls, max_output_tokens.",
      run: async (trial) => {
        const socket = await trial.connect();
        const settings = {
          instructions: "Be brief.",
          metadata: { a: "1", b: "two" },
          store: false,
          tool_choice: "none",
          parallel_tool_calls: false,
          max_output_tokens: 4000,
        };
        const { frames } = await socket.turn({ input: [user(SAY_OK)], ...settings });
        for (const { type, response } of snapshotsOf({ frames })) {
          const shown = Object.fromEntries(Object.keys(settings).map((key) => [key, response[key]]));
          same(shown, settings, `The settings in ${type}`);
        }
      },
    },
    {
      id: "snapshots.defaults",
      level: "should",
      title: "A response shows the defaults of the API where its request named nothing.",
      rule: "C3",
      from: "OpenAI; Open Responses",
      mend: "Fill defaults in when the request is read: store true, tools [], tool_choice auto, truncation disabled.",
      run: async (trial) => {
        const socket = await trial.connect();
        const response = await socket.completed({ input: SAY_OK });
        const defaults = {
          previous_response_id: null,
          instructions: null,
          store: true,
          tools: [],
          tool_choice: "auto",
          parallel_tool_calls: true,
          truncation: "disabled",
          background: false,
          metadata: {},
        };
        const shown = Object.fromEntries(Object.keys(defaults).map((key) => [key, response[key]]));
        same(shown, defaults, "The defaults");
      },
    },
  ],
};

function snapshotsOf({
  frames,
}: Pick<RecordedTurn, "frames">): readonly { readonly type: string; readonly response: Json }[] {
  const shown = frames.flatMap((frame: Frame) =>
    isObject(frame["response"]) ? [{ type: frame.type, response: frame["response"] }] : [],
  );
  demand(shown.length > 1, "The turn showed no snapshots of its response.", { got: frames.at(-1) });
  return shown;
}
