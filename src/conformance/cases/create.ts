import type { Group } from "../case.ts";
import { COUNT, SAY_NUMBERS, SAY_OK, user } from "../prompts.ts";
import { demand, same, skip } from "../violation.ts";
import { endsTurn, errorOf, isObject, textOf } from "../wire.ts";

/** What a `response.create` may say, and that turns follow each other. */
export const CREATE: Group = {
  name: "create",
  title: "what a create may say, and turns in a row",
  cases: [
    {
      id: "create.text",
      level: "must",
      title: "A string as input is answered: completed, with an output.",
      rule: "I1",
      from: "OpenAI; Open Responses compliance 5",
      mend: "Take a string as one user message.",
      run: async (trial) => {
        const socket = await trial.connect();
        const response = await socket.completed({ input: SAY_OK, store: false });
        demand(response.output.length > 0, "The response is completed and has no output.", { got: response });
      },
    },
    {
      id: "create.items",
      level: "must",
      title: "A list of items as input is answered, with text as a string or as parts.",
      rule: "I2",
      from: "OpenAI; Open Responses",
      mend: "Take messages with 'content' as a string and as a list of input_text parts.",
      run: async (trial) => {
        const socket = await trial.connect();
        await socket.completed({ input: [user(SAY_OK)], store: false });
        await socket.completed({ input: [user([{ type: "input_text", text: SAY_OK }])], store: false });
      },
    },
    {
      id: "create.easy-messages",
      level: "must",
      title: "A message may leave out its type.",
      rule: "I1",
      from: "OpenAI (easy input message)",
      mend: "Take an item with a 'role' and no 'type' as a message.",
      run: async (trial) => {
        const socket = await trial.connect();
        await socket.completed({ input: [{ role: "user", content: SAY_OK }], store: false });
      },
    },
    {
      id: "create.roles",
      level: "must",
      title: "System, developer and assistant messages are taken, an assistant's phase included.",
      rule: "I2",
      from: "Open Responses compliance 2, 12 and 15",
      mend: "Take all four roles, output_text parts in assistant messages, and 'phase'.",
      run: async (trial) => {
        const socket = await trial.connect();
        const said = [{ type: "output_text", text: "Working on it.", annotations: [] }];
        const input = [
          { type: "message", role: "system", content: "Be brief." },
          { type: "message", role: "developer", content: "Answer in English." },
          user("Hello."),
          { type: "message", role: "assistant", phase: "commentary", content: said },
          { type: "message", role: "assistant", phase: "final_answer", content: "Hello!" },
          user(SAY_OK),
        ];
        await socket.completed({ input, store: false });
      },
    },
    {
      id: "create.stream-flag",
      level: "must",
      title: "'stream' is ignored on a WebSocket: real clients send it.",
      rule: "W6",
      from: "Codex and openai-agents-js always send stream: true",
      mend: "Ignore 'stream' in a response.create instead of refusing it.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (const stream of [true, false]) {
          const { frames, last } = await socket.turn({ input: SAY_OK, store: false, stream });
          same(last.type, "response.completed", `The end of a turn with stream: ${stream}`);
          demand(frames.length > 2, "The turn was not streamed.", { got: frames.map(({ type }) => type) });
        }
      },
    },
    {
      id: "create.background",
      level: "should",
      title: "Over WebSocket 'background': true is refused with status 400 and the name of the field.",
      rule: "O1",
      from: "OpenAI: not supported on a WebSocket; Open Responses: not to be sent",
      mend: "Refuse background: true with param 'background', rather than running it as something else.",
      run: async (trial) => {
        const socket = await trial.connect();
        const frame = await socket.refused({ input: SAY_OK, background: true });
        same(frame["status"], 400, "'status' of the error event");
        same(errorOf(frame, "The error event")["param"], "background", "'param' of the error");
      },
    },
    {
      id: "create.background-off",
      level: "should",
      title: "'background' as false or null is the default and accepted.",
      rule: "O1",
      from: "SDKs write defaults out",
      mend: "Refuse 'background' only when it is true.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (const background of [false, null]) await socket.completed({ input: SAY_OK, store: false, background });
      },
    },
    {
      id: "create.client-metadata",
      level: "must",
      title: "Fields that known clients add, such as client_metadata and prompt_cache_key, do no harm.",
      rule: "C5",
      from: "Codex sends them on every create",
      mend: "Ignore fields that you do not know, or at least client_metadata.",
      run: async (trial) => {
        const socket = await trial.connect();
        await socket.completed({
          input: SAY_OK,
          store: false,
          client_metadata: { "x-codex-turn-metadata": "{}", turn: "1" },
          prompt_cache_key: "conformance",
          include: ["reasoning.encrypted_content"],
        });
      },
    },
    {
      id: "create.nulls",
      level: "must",
      title: "Optional fields may be null, previous_response_id above all.",
      rule: "C2",
      from: "OpenAI tells clients to send previous_response_id: null after a miss",
      mend: "Treat null as if the field were absent.",
      run: async (trial) => {
        const socket = await trial.connect();
        const response = await socket.completed({
          input: SAY_OK,
          store: false,
          previous_response_id: null,
          instructions: null,
          max_output_tokens: null,
          reasoning: null,
          metadata: null,
        });
        same(response["previous_response_id"], null, "'previous_response_id' of the response");
      },
    },
    {
      id: "create.many-turns",
      level: "must",
      title: "One connection serves turn after turn.",
      rule: "L2",
      from: "OpenAI WebSocket guide; some servers stall at the second turn",
      mend: "Release what a turn holds (locks, readers) at its terminal event, before the next message is read.",
      run: async (trial) => {
        const socket = await trial.connect();
        const ids = new Set<string>();
        for (let turn = 0; turn < 6; turn += 1) ids.add((await socket.completed({ input: SAY_OK, store: false })).id);
        same(ids.size, 6, "The number of different response ids in six turns");
      },
    },
    {
      id: "create.in-order",
      level: "must",
      title: "Creates sent without waiting are answered one after the other, in order, and never mixed.",
      rule: "L2",
      from: "OpenAI (a lane is FIFO); Open Responses: at most one in flight, never multiplexed",
      mend: "Queue creates of a lane; the first event of the next turn comes after the last of the one before.",
      run: async (trial) => {
        const socket = await trial.connect();
        const numbers = ["1", "2", "3"];
        for (const number of numbers) socket.create({ input: SAY_NUMBERS, store: false, metadata: { number } });
        for (const number of numbers) {
          const { frames, response } = await socket.rest();
          const created = frames.filter(({ type }) => type === "response.created");
          same(created.length, 1, "The number of response.created events between two ends of turns");
          const first = created[0]?.["response"];
          same(isObject(first) ? first["metadata"] : null, { number }, "'metadata' of the response that began");
          same(response?.["metadata"], { number }, "'metadata' of the response that ended");
        }
      },
    },
    {
      id: "create.error-in-queue",
      level: "must",
      title: "A create that is refused while another one runs does not disturb it.",
      rule: "X4",
      from: "OpenAI: an error concerns its own request",
      mend: "Keep the error of a queued create away from the stream of the one that runs.",
      run: async (trial) => {
        const socket = await trial.connect();
        socket.create({ input: SAY_OK, store: false });
        socket.create({ input: 42, store: false });
        socket.create({ input: SAY_OK, store: false });
        const ends: string[] = [];
        while (ends.length < 3) {
          const frame = await socket.frame();
          if (endsTurn(frame)) ends.push(frame.type);
        }
        same(ends.toSorted(), ["error", "response.completed", "response.completed"], "The ends of the three turns");
      },
    },
    {
      id: "create.truncated",
      level: "should",
      title: "An answer cut off by max_output_tokens ends with response.incomplete and says so.",
      rule: "E10",
      from: "OpenAI; Open Responses, item states",
      mend: "Map the model's length limit to response.incomplete with reason 'max_output_tokens'; the cut item is incomplete too.",
      run: async (trial) => {
        const socket = await trial.connect();
        const { last, response } = await socket.turn({ input: COUNT, store: false, max_output_tokens: 16 });
        if (response === null) skip("the model takes no max_output_tokens of 16");
        const { output_tokens } = (response["usage"] ?? {}) as { readonly output_tokens?: number };
        const isShort = output_tokens === undefined || output_tokens < 16;
        if (last.type === "response.completed" && isShort) skip("the answer of the model was shorter than 16 tokens");
        same(last.type, "response.incomplete", "The end of the turn");
        same(response["incomplete_details"], { reason: "max_output_tokens" }, "'incomplete_details'");
        const item = response.output.at(-1);
        if (item?.type === "message") same(item["status"], "incomplete", "The status of the message that was cut off");
      },
    },
    {
      id: "create.echo-when-able",
      level: "should",
      title: "The model gets the text that was sent.",
      rule: "M1",
      from: "shown by a model that can repeat a word; otherwise skipped",
      mend: "Look at the prompt that reaches the model.",
      run: async (trial) => {
        const socket = await trial.connect();
        const said = textOf(await socket.completed({ input: "Reply with exactly: heliotrope", store: false }));
        if (!said.toLowerCase().includes("heliotrope"))
          skip("the model did not repeat a word that it was told to repeat");
      },
    },
    {
      id: "create.unknown-part",
      level: "should",
      title: "A content part of a type that nobody knows is refused, with its place in 'param'.",
      rule: "I2",
      from: "OpenAI: Invalid value: '…'. Supported values are: …",
      mend: "Check the types of content parts; a misspelt one would reach the model as nothing.",
      run: async (trial) => {
        const socket = await trial.connect();
        const input = [
          user([
            { type: "input_text", text: SAY_OK },
            { type: "input_conformance", text: "x" },
          ]),
        ];
        const error = errorOf(await socket.refused({ input, store: false }), "The error event");
        demand(String(error["param"]).startsWith("input[0].content[1]"), "'param' does not say where the part is.", {
          expected: "input[0].content[1]",
          got: error["param"],
        });
      },
    },
    {
      id: "create.multi-agent",
      level: "should",
      title:
        "multi_agent that is enabled is refused by a server without it; ignoring it would answer another question.",
      rule: "N5",
      from: "OpenAI: unsupported_value, param multi_agent",
      mend: "Refuse multi_agent.enabled with 400 and param 'multi_agent'.",
      run: async (trial) => {
        const socket = await trial.connect();
        const { last } = await socket.turn({ input: SAY_OK, store: false, multi_agent: { enabled: true } });
        if (last.type !== "error") skip("the server has multi-agent mode, or ignores it");
        same(errorOf(last, "The error event")["param"], "multi_agent", "'param' of the error");
      },
    },
    {
      id: "create.image",
      level: "should",
      title: "An image as a data URL is taken, or refused cleanly by a server whose model has no eyes.",
      rule: "I2",
      from: "Open Responses compliance 14",
      mend: "Take input_image parts; refuse them with status 400 when the model cannot see.",
      run: async (trial) => {
        const socket = await trial.connect();
        const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
        const image = { type: "input_image", image_url: `data:image/png;base64,${png}`, detail: "low" };
        const { last, response } = await socket.turn({
          input: [user([{ type: "input_text", text: SAY_OK }, image])],
          store: false,
        });
        if (response === null) {
          const status = last["status"];
          demand(typeof status === "number" && status < 500, "An image made the server fail.", { got: last });
          skip("the model takes no images");
        }
        if (response.status === "failed") skip("the model takes no images");
        same(last.type, "response.completed", "The end of the turn");
      },
    },
  ],
};
