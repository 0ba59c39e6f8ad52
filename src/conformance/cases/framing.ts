import type { Group } from "../case.ts";
import { filler, SAY_OK } from "../prompts.ts";
import { TEXT_TURN } from "../recordings.ts";
import type { Socket } from "../socket.ts";
import type { Frame } from "../types.ts";
import { demand, same } from "../violation.ts";
import { errorOf, isObject } from "../wire.ts";

/** Text that breaks servers which count in bytes, in UTF-16 units or in lines. */
const UNICODE = 'é 漢字 😀👩‍👩‍👧 \u2028\u2029 \u0000 "quoted" \\back\\slash\\ \t end';

/** What goes over the socket apart from what it means: messages, frames, pings, closes. */
export const FRAMING: Group = {
  name: "framing",
  title: "messages, frames, pings and closes",
  cases: [
    {
      id: "framing.one-object",
      level: "must",
      title: "Every message of the server is one JSON object in a text message, with a 'type'.",
      rule: "F2",
      from: "OpenAI WebSocket guide; Codex treats a binary message as fatal",
      mend: "Send each event as one text message that is one JSON object; no batches, no binary messages.",
      run: async (trial) => {
        const socket = await trial.connect();
        await socket.completed({ input: SAY_OK, store: false });
        for (const { text, isBinary } of socket.messages) {
          demand(!isBinary, "A message was binary.", { got: text });
          const value: unknown = JSON.parse(text);
          demand(isObject(value) && typeof value["type"] === "string", "A message is no event.", { got: text });
        }
      },
    },
    {
      id: "framing.no-sse",
      level: "must",
      title: "There is no SSE framing and no [DONE] on a WebSocket.",
      rule: "F2",
      from: "OpenAI WebSocket guide",
      mend: "Write the JSON of an event only; 'event:', 'data:' and [DONE] belong to HTTP.",
      run: async (trial) => {
        const socket = await trial.connect();
        await socket.completed({ input: SAY_OK, store: false });
        await socket.ping();
        for (const { text } of socket.messages) {
          demand(/^\s*\{/.test(text), "A message does not begin with an object.", { got: text });
        }
      },
    },
    {
      id: "framing.reserved-types",
      level: "must",
      title:
        "No event has a type that the OpenAI SDK keeps for itself: raw, close, event, open, reconnecting, reconnected.",
      rule: "F5",
      from: "openai-node rejects them",
      mend: "Rename the event; these are names of the SDK's own emitter.",
      run: async (trial) => {
        const { frames } = await trial.recording(TEXT_TURN);
        const reserved = ["raw", "close", "event", "open", "reconnecting", "reconnected"];
        for (const { type } of frames) demand(!reserved.includes(type), "An event has a reserved type.", { got: type });
      },
    },
    {
      id: "framing.invalid-json",
      level: "must",
      title: "A message that is not JSON is answered by an error event, and the connection stays usable.",
      rule: "W5",
      from: "Open Responses: failures are an error envelope",
      mend: "Catch the parse error of one message, answer it with an error event of status 400, and read on.",
      run: async (trial) => {
        const socket = await trial.connect();
        await refusedAndAlive(socket, '{"type":"response.create",');
      },
    },
    {
      id: "framing.not-an-object",
      level: "must",
      title: "JSON that is not an object is answered by an error event, and the connection stays usable.",
      rule: "W5",
      from: "Open Responses: failures are an error envelope",
      mend: "Check that a message is an object before its fields are read: null, a list and a number are JSON too.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (const message of ["null", "[]", "42", '"response.create"'])
          isClientError(await socket.refused(message), message);
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
    {
      id: "framing.missing-type",
      level: "must",
      title: "An event without a type, or with one that is no string, is answered by an error event.",
      rule: "W5",
      from: "Open Responses: failures are an error envelope",
      mend: "Do not guess what an event without a type means; answer it with an error event of status 400.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (const message of ["{}", `{"input":${JSON.stringify(SAY_OK)}}`, '{"type":7}', '{"type":null}']) {
          isClientError(await socket.refused(message), message);
        }
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
    {
      id: "framing.unknown-type",
      level: "must",
      title:
        "An event of an unknown type is answered by an error event that names it, and the connection stays usable.",
      rule: "W5",
      from: "Open Responses: failures are an error envelope",
      mend: "Answer unknown events with status 400 instead of dropping them or the connection.",
      run: async (trial) => {
        const socket = await trial.connect();
        await refusedAndAlive(socket, '{"type":"response.conformance_unknown"}');
      },
    },
    {
      id: "framing.nested-create",
      level: "should",
      title:
        "A create whose fields are nested under 'response', as in the Realtime API, is refused and not run without them.",
      rule: "C1",
      from: "OpenAI: the fields of a create stand beside its type",
      mend: "Demand 'input' (or previous_response_id) beside 'type', so that a nested create fails with a clear message.",
      run: async (trial) => {
        const socket = await trial.connect();
        const nested = { type: "response.create", response: { model: trial.model, input: SAY_OK } };
        await refusedAndAlive(socket, JSON.stringify(nested));
      },
    },
    {
      id: "framing.binary",
      level: "should",
      title: "A binary message is answered by an error event, or by a close with 1003 or 1008.",
      rule: "K4",
      from: "RFC 6455 §7.4.1",
      mend: "Do not ignore binary messages: say so with an error event, or close with 1003.",
      run: async (trial) => {
        const socket = await trial.connect();
        socket.sendBytes(Buffer.from(JSON.stringify({ type: "response.conformance_unknown" })), { binary: true });
        const answer = await Promise.race([socket.frame(undefined, "an answer").catch(() => null), socket.closed()]);
        if (answer === null || "code" in answer) {
          const { code } = await socket.closed();
          demand(code === 1003 || code === 1008, "The close code does not say why.", { expected: 1003, got: code });
        } else same(answer.type, "error", "The type of the answer");
      },
    },
    {
      id: "framing.invalid-utf8",
      level: "must",
      title: "A text message that is not UTF-8 ends the connection with 1007.",
      rule: "F4",
      from: "RFC 6455 §8.1",
      mend: "Turn on UTF-8 validation in the WebSocket library.",
      run: async (trial) => {
        const socket = await trial.connect();
        const bytes = Buffer.concat([Buffer.from('{"type":"x'), Buffer.from([0xc3, 0x28, 0xff]), Buffer.from('"}')]);
        socket.sendBytes(bytes, { binary: false });
        same((await socket.closed()).code, 1007, "The close code");
      },
    },
    {
      id: "framing.fragments",
      level: "must",
      title: "A message in many fragments is one message, also when a character is split between two.",
      rule: "F2",
      from: "RFC 6455 §5.4",
      mend: "Put fragments together before they are decoded.",
      run: async (trial) => {
        const socket = await trial.connect();
        const create = { type: "response.create", model: trial.model, input: SAY_OK, store: false };
        const bytes = Buffer.from(JSON.stringify({ ...create, metadata: { text: "漢字😀".repeat(20) } }));
        for (let start = 0; start < bytes.length; start += 50) {
          const end = start + 50;
          socket.sendBytes(bytes.subarray(start, end), { binary: false, fin: end >= bytes.length });
        }
        const { last, response } = await socket.rest();
        same(last.type, "response.completed", "The end of the turn");
        same(response?.["metadata"], { text: "漢字😀".repeat(20) }, "'metadata' of the response");
      },
    },
    {
      id: "framing.whitespace",
      level: "must",
      title: "JSON with line breaks, indentation and escapes means the same.",
      rule: "F2",
      from: "RFC 8259",
      mend: "Parse messages with a JSON parser, not with patterns.",
      run: async (trial) => {
        const socket = await trial.connect();
        const create = { type: "response.create", model: trial.model, input: SAY_OK, store: false };
        const text = JSON.stringify(create, null, "\t").replace("response.create", String.raw`response\u002ecreate`);
        socket.send(`\r\n ${text}\n`);
        same((await socket.rest()).last.type, "response.completed", "The end of the turn");
      },
    },
    {
      id: "framing.unicode",
      level: "must",
      title: "Text of any script survives the way in and out.",
      rule: "F4",
      from: "RFC 8259; shown by metadata, which is echoed",
      mend: "Decode as UTF-8 once, encode once, and let JSON do the escaping.",
      run: async (trial) => {
        const socket = await trial.connect();
        const metadata = { text: UNICODE, "ключ 鍵": "значение" };
        const response = await socket.completed({ input: `${SAY_OK} ${UNICODE}`, store: false, metadata });
        same(response["metadata"], metadata, "'metadata' of the response");
      },
    },
    {
      id: "framing.ping",
      level: "must",
      title: "A ping is answered by a pong with the same payload, also while a turn runs.",
      rule: "W7",
      from: "RFC 6455 §5.5.2; SDKs watch for it",
      mend: "Answer pings at once; do not let a running turn block the socket.",
      run: async (trial) => {
        const socket = await trial.connect();
        await socket.ping(Buffer.from("conformance"));
        socket.create({ input: SAY_OK, store: false });
        await socket.ping(Buffer.alloc(125, 7));
        same((await socket.rest()).last.type, "response.completed", "The end of the turn");
      },
    },
    {
      id: "framing.close",
      level: "must",
      title: "A close is answered by a close with the same code.",
      rule: "K4",
      from: "RFC 6455 §5.5.1",
      mend: "Let the WebSocket library finish the closing handshake; do not cut the connection.",
      run: async (trial) => {
        for (const code of [1000, 4000]) {
          const socket = await trial.connect();
          socket.close(code);
          same((await socket.closed()).code, code, "The close code that came back");
        }
      },
    },
    {
      id: "framing.large-message",
      level: "should",
      title: "A message of two megabytes is read: agents replay whole conversations.",
      rule: "L7",
      from: "clients replay histories of megabytes; the platform takes 16 MiB",
      mend: "Raise the limit of the WebSocket library (often 1 MiB) to 16 MiB or more.",
      run: async (trial) => {
        const socket = await trial.connect();
        // Refused for its parent, so that no model has to read it.
        const input = filler(1000).padEnd(2 * 1024 * 1024, " filler");
        const frame = await socket.refused({ input, store: false, previous_response_id: "resp_conformance_missing" });
        same(errorOf(frame, "The error event")["code"], "previous_response_not_found", "The code of the error");
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
  ],
};

async function refusedAndAlive(socket: Socket, message: string): Promise<void> {
  isClientError(await socket.refused(message), message);
  await socket.completed({ input: SAY_OK, store: false });
}

function isClientError(frame: Frame, message: string): void {
  const { status } = frame;
  const isSo = typeof status === "number" && status >= 400 && status < 500;
  demand(isSo, `'status' of the error event for ${message} blames the server.`, { expected: 400, got: status });
}
