import { gzipSync } from "node:zlib";
import type { Group } from "../case.ts";
import { clean } from "../findings.ts";
import { examine } from "../grammar.ts";
import { ASK_WEATHER, SAY_OK, TIME_TOOL, user, WEATHER_TOOL } from "../prompts.ts";
import { CALL_TURN } from "../recordings.ts";
import type { Socket } from "../socket.ts";
import type { Json, WireItem, WireResponse } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { callsOf } from "../wire.ts";

const NAMESPACE: Json = {
  type: "namespace",
  name: "skies",
  description: "What is in the air.",
  tools: [WEATHER_TOOL, { type: "custom", name: "notebook", description: "Takes any text." }],
};

/** Tools that a server for other people's models has no way to run. */
const HOSTED: readonly Json[] = [
  { type: "web_search" },
  { type: "file_search", vector_store_ids: ["vs_conformance"] },
  { type: "image_generation" },
];

/** A turn in which a tool has to be called, and its calls; skips where the server does not know this kind of tool. */
async function calls(socket: Socket, what: string, fields: Json): Promise<Called> {
  const request = { input: ASK_WEATHER, store: false, tool_choice: "required", ...fields };
  const { frames, response } = await socket.turn(request);
  const found = (response?.output ?? []).filter(({ type }) => type === "function_call" || type === "custom_tool_call");
  if (response === null || found.length === 0) skip(`the server does not offer ${what}`);
  clean(examine(frames));
  return { response, found };
}

type Called = { readonly response: WireResponse; readonly found: readonly WireItem[] };

const answers = (found: readonly WireItem[]): readonly Json[] =>
  found.map(({ type, call_id }) => ({ type: `${type}_output`, call_id, output: "Sunny, 21 degrees." }));

/** Kinds of tools and items beyond plain functions, as coding agents use them. */
export const TOOL_KINDS: Group = {
  name: "kinds",
  title: "namespaces, tools that come as items, hosted tools, history of other tools",
  cases: [
    {
      id: "kinds.namespace",
      level: "extension",
      title: "A call of a tool in a namespace has the tool's own name, and the namespace beside it, in every event.",
      rule: "M11",
      from: "OpenAI; Codex refuses a call by any other name",
      mend: "Flatten namespaces only towards the model; answer with 'name' and 'namespace' as the client declared them.",
      run: async (trial) => {
        await trial.recording(CALL_TURN);
        const socket = await trial.connect();
        const { response, found } = await calls(socket, "namespaces", { tools: [NAMESPACE] });
        const inner = ["get_weather", "notebook"];
        for (const call of found) {
          demand(inner.includes(String(call["name"])), "The name is not the tool's own.", {
            expected: inner.join(" or "),
            got: call["name"],
          });
          same(call["namespace"], "skies", "'namespace' of the call");
        }
        const next = { input: answers(found), store: false, tools: [NAMESPACE], tool_choice: "none" };
        await socket.completed({ ...next, previous_response_id: response.id });
      },
    },
    {
      id: "kinds.namespace-replayed",
      level: "extension",
      title: "Calls with a namespace, replayed as input with their outputs, are taken as they were.",
      rule: "M11",
      from: "OpenAI; Codex after a reconnect",
      mend: "Take 'namespace' in call items of the input.",
      run: async (trial) => {
        await trial.recording(CALL_TURN);
        const socket = await trial.connect();
        const { found } = await calls(socket, "namespaces", { tools: [NAMESPACE] });
        const input = [user(ASK_WEATHER), ...found, ...answers(found)];
        await socket.completed({ input, store: false, tools: [NAMESPACE], tool_choice: "none" });
      },
    },
    {
      id: "kinds.additional-tools",
      level: "extension",
      title: "Tools of an 'additional_tools' item can be called in its turn, and in those that continue it.",
      rule: "M12",
      from: "OpenAI; Codex sends them once, in a warm-up",
      mend: "Collect the tools of these items along the chain, and offer them to the model with those of the request.",
      run: async (trial) => {
        await trial.recording(CALL_TURN);
        const socket = await trial.connect();
        const added = { type: "additional_tools", role: "developer", tools: [TIME_TOOL] };
        const first = await calls(socket, "'additional_tools' items", { input: [added, user(ASK_WEATHER)] });
        for (const call of first.found) same(call["name"], "get_time", "The function that was called");
        const again = await socket.completed({
          input: [...answers(first.found), user("And in Oslo?")],
          store: false,
          tool_choice: "required",
          previous_response_id: first.response.id,
        });
        same([...new Set(callsOf(again).map(({ name }) => name))], ["get_time"], "The functions that were called then");
      },
    },
    {
      id: "kinds.additional-tools-fork",
      level: "extension",
      title: "Tools of an 'additional_tools' item are not there in a fork that begins before it.",
      rule: "M12",
      from: "OpenAI: made available at this item",
      mend: "Keep the tools with the response whose input brought them, not with the connection.",
      run: async (trial) => {
        await trial.recording(CALL_TURN);
        const socket = await trial.connect();
        const root = await socket.completed({ input: SAY_OK, store: false });
        const fork = (tool: Json) =>
          calls(socket, "'additional_tools' items", {
            input: [{ type: "additional_tools", role: "developer", tools: [tool] }, user(ASK_WEATHER)],
            previous_response_id: root.id,
          });
        await fork(TIME_TOOL);
        const { found } = await fork(WEATHER_TOOL);
        for (const call of found) same(call["name"], "get_weather", "The function that was called");
      },
    },
    {
      id: "kinds.hosted",
      level: "should",
      title: "Hosted tools that the server cannot run do not fail a turn that does without them.",
      rule: "M5",
      from: "Codex declares web_search and tool_search always",
      mend: "Leave out what you cannot run; refuse it only where the client insists on it.",
      run: async (trial) => {
        const socket = await trial.connect();
        const tools = [...HOSTED, { type: "tool_search", execution: "client" }, WEATHER_TOOL];
        const response = await socket.completed({ input: SAY_OK, store: false, tools, tool_choice: "auto" });
        same(response.status, "completed", "'status' of the response");
      },
    },
    {
      id: "kinds.history",
      level: "should",
      title: "History of other tools (shell, patches, MCP, kinds that nobody knows) does not fail a turn.",
      rule: "M15",
      from: "a conversation that began elsewhere",
      mend: "Pass unknown items on or leave them out of the prompt; check only the pairs that you made yourself.",
      run: async (trial) => {
        const socket = await trial.connect();
        const shell = { call_id: "call_sh", status: "completed" };
        const input = [
          { type: "shell_call", ...shell, action: { commands: ["ls"] } },
          {
            type: "shell_call_output",
            ...shell,
            output: [{ stdout: "a", stderr: "", outcome: { type: "exit", exit_code: 0 } }],
          },
          {
            type: "apply_patch_call",
            call_id: "call_ap",
            status: "completed",
            operation: { type: "delete_file", path: "a" },
          },
          { type: "apply_patch_call_output", call_id: "call_ap", status: "completed", output: "done" },
          { type: "web_search_call", id: "ws_1", status: "completed", action: { type: "search", query: "x" } },
          { type: "hologram_call_output", call_id: "call_nobody", output: "x" },
          user(SAY_OK),
        ];
        await socket.completed({ input, store: false });
      },
    },
    {
      id: "kinds.configuration-update",
      level: "extension",
      title: "A 'configuration_update' item sets the format of the answer, in its turn and in those that continue it.",
      rule: "M13",
      from: "OpenAI",
      mend: "Keep what the item says with the response whose input brought it.",
      run: async (trial) => {
        const socket = await trial.connect();
        const update = { type: "configuration_update", text: { format: { type: "json_object" } } };
        const ask = user("Say hello, as a JSON object.");
        const first = await socket.turn({ input: [update, ask], store: false });
        if (first.response?.status !== "completed" || !isJson(first.response)) {
          skip("the server does not offer 'configuration_update' items");
        }
        const previous_response_id = first.response.id;
        const second = await socket.completed({ input: [ask], store: false, previous_response_id });
        demand(isJson(second), "The answer of the next turn is not JSON.", { got: second.output });
      },
    },
    {
      id: "kinds.compressed-body",
      level: "extension",
      title: "A body that is compressed with gzip is read like any other.",
      rule: "H1",
      from: "RFC 9110; pi compresses its requests",
      mend: "Unpack by 'content-encoding', and count the unpacked bytes against the limit.",
      run: async (trial) => {
        const body = gzipSync(JSON.stringify({ model: trial.model, input: SAY_OK, store: false }));
        const headers = { "content-encoding": "gzip" };
        const answer = await trial.request("POST", "/responses", { body, headers });
        if (answer.status === 415) skip("the server takes no compressed bodies");
        same(answer.status, 200, "The status");
        same(answer.json["status"], "completed", "'status' of the response");
      },
    },
  ],
};

function isJson({ output }: WireResponse): boolean {
  const said = output.flatMap(({ content }) => (Array.isArray(content) ? content : []) as readonly Json[]);
  try {
    JSON.parse(said.map((part) => part["text"]).join(""));
    return true;
  } catch {
    return false;
  }
}
