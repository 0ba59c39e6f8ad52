import type { Group } from "../case.ts";
import { WARM_UP } from "../features.ts";
import { isOf } from "../reading.ts";
import { SAY_OK, user } from "../prompts.ts";
import type { Socket } from "../socket.ts";
import type { Trial } from "../trial.ts";
import type { Frame } from "../types.ts";
import { demand, same, skip } from "../violation.ts";
import { endsTurn, errorOf, isObject } from "../wire.ts";

const MEBIBYTE = 1024 * 1024;
const DEPTH = 10_000;

/** What a server does about too much: it says so, and goes on. */
export const LIMITS: Group = {
  name: "limits",
  title: "too large, too many, too deep: said clearly, and survived",
  cases: [
    {
      id: "limits.message-15-mib",
      level: "should",
      title: "A message of 15 MiB is read, as OpenAI reads up to 16 MiB.",
      rule: "K4",
      from: "measured on the platform; agents with pictures send more",
      mend: "Raise the largest message of the WebSocket library; its default is often 1 MiB.",
      alone: true,
      run: async (trial) => {
        const socket = await trial.connect();
        sendPadded(trial, socket, 15 * MEBIBYTE);
        const { last } = await socket.rest();
        same(last.type, "response.completed", "The end of a turn whose message had 15 MiB");
      },
    },
    {
      id: "limits.message-17-mib",
      level: "must",
      title:
        "A message of 17 MiB is read, refused by an error event, or ends the connection with 1009; it is never just lost.",
      rule: "K4",
      from: "RFC 6455 §7.4.1; OpenAI closes with 1009",
      mend: "Close with 1009 when a message is larger than the limit, and wait for the client's close before the socket is cut.",
      alone: true,
      run: async (trial) => {
        const socket = await trial.connect();
        sendPadded(trial, socket, 17 * MEBIBYTE);
        const answer = await socket.rest().catch(() => null);
        if (answer === null) same((await socket.closed()).code, 1009, "The close code for a message that is too large");
        else if (answer.last.type === "error") clientError(answer.last, "A message of 17 MiB");
        await works(trial);
      },
    },
    {
      id: "limits.body-17-mib",
      level: "should",
      title: "A body of 17 MiB over HTTP is read, or refused with 413 and an error body.",
      rule: "H1",
      from: "HTTP; the same limit for both transports",
      mend: "Answer 413 with an error body, and read or drop the rest of the request before the connection is closed.",
      alone: true,
      run: async (trial) => {
        const body = padded(JSON.stringify({ model: trial.model, input: SAY_OK, store: false }), 17 * MEBIBYTE);
        const answer = await trial.request("POST", "/responses", { body });
        if (answer.status === 200) return;
        if (answer.status === 404 || answer.status === 405) skip("the server does not take creates over HTTP");
        same(answer.status, 413, "The status for a body that is too large");
        errorOf(answer.json, "The body of the answer");
      },
    },
    {
      id: "limits.queued",
      level: "must",
      title: "Of 24 creates sent at once every one is answered: in order, or by an error of status 429 with a code.",
      rule: "L4",
      from: "OpenAI: surplus creates are queued, not refused",
      mend: "Queue creates; above a limit refuse with 429, and never drop one in silence.",
      waits: 24,
      run: async (trial) => {
        const socket = await trial.connect();
        await answersAll(socket, 24, {});
      },
    },
    {
      id: "limits.flood",
      level: "should",
      title:
        "Of 500 creates sent at once every one is answered: in order, or by an error of status 429 or 503 with a code.",
      rule: "L4",
      from: "prudence",
      mend: "Bound the queue of a connection and answer what is above the bound; stop reading rather than dropping.",
      alone: true,
      run: async (trial) => {
        await trial.requires(WARM_UP);
        const socket = await trial.connect();
        await answersAll(socket, 500, { generate: false });
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
    {
      id: "limits.nesting",
      level: "must",
      title:
        "JSON that is nested 10,000 deep is answered: by a turn or by status 4xx; the server and the connection live.",
      rule: "C2",
      from: "prudence: one frame must not overflow a stack",
      mend: "Bound the depth of what is walked through recursively, and answer with 400 beyond it.",
      run: async (trial) => {
        const deep = `${"[".repeat(DEPTH)}${"]".repeat(DEPTH)}`;
        const model = JSON.stringify(trial.model);
        const said = JSON.stringify(SAY_OK);
        for (const fields of [
          `"input":${deep}`,
          `"input":${said},"metadata":{"deep":${deep}}`,
          `"input":${said},"tools":[{"type":"function","name":"f","parameters":{"deep":${deep}}}],"tool_choice":"none"`,
          `"input":${said},"client_metadata":{"deep":${deep}}`,
        ]) {
          const socket = await trial.connect();
          socket.send(`{"type":"response.create","model":${model},"store":false,${fields}}`);
          const { last } = await socket.rest();
          if (last.type === "error") clientError(last, `'${fields.slice(0, 40)}…'`);
          await socket.completed({ input: SAY_OK, store: false });
        }
      },
    },
    {
      id: "limits.thousand-items",
      level: "should",
      title: "An input of 1,000 items is taken: long conversations are replayed as a whole.",
      rule: "I2",
      from: "clients replay after every reconnect",
      mend: "Look for checks that compare every item with every other, or for limits on the number of items.",
      run: async (trial) => {
        const socket = await trial.connect();
        const input = Array.from({ length: 1000 }, (_, index) => user(`${index}`));
        const { last } = await socket.turn({ input: [...input, user(SAY_OK)], store: false });
        if (last.type === "response.completed") return;
        if (last.type === "error") clientError(last, "An input of 1,000 items");
        skip("the context of the model is too small for 1,000 items");
      },
    },
    {
      id: "limits.inject",
      level: "should",
      title:
        "response.inject that cannot be applied is answered by response.inject.failed, with its input; no error frame.",
      rule: "N5",
      from: "OpenAI recordings, multi-agent",
      mend: "Answer with response_not_found, response_already_completed or invalid_input; an error frame ends the client's turn.",
      run: async (trial) => {
        const socket = await trial.connect();
        const { id } = await socket.completed({ input: SAY_OK, store: false });
        const input = [{ type: "function_call_output", call_id: "call_conformance", output: "x" }];
        socket.send({ type: "response.inject", response_id: id, input });
        const frame = await socket.frame();
        if (frame.type === "error") skip("the server does not know response.inject");
        same(frame.type, "response.inject.failed", "The type of the answer");
        same(frame["response_id"], id, "'response_id' of the answer");
        same(JSON.stringify(frame["input"]), JSON.stringify(input), "'input' of the answer");
        await socket.completed({ input: SAY_OK, store: false, previous_response_id: id });
      },
    },
    {
      id: "limits.processed",
      level: "should",
      title: "response.processed is ignored: it says that a client has handled a response, and wants no answer.",
      rule: "W4",
      from: "Codex",
      mend: "Ignore response.processed; an error event would end the client's next turn.",
      run: async (trial) => {
        const socket = await trial.connect();
        const { id } = await socket.completed({ input: SAY_OK, store: false });
        socket.send({ type: "response.processed", response_id: id });
        const { frames, last } = await socket.turn({ input: SAY_OK, store: false, previous_response_id: id });
        same(frames[0]?.type, "response.created", "The first event after response.processed");
        same(last.type, "response.completed", "The end of the turn after response.processed");
      },
    },
    {
      id: "limits.application-pings",
      level: "should",
      title: "A 'ping' as an event is ignored, answered, or refused with 400; the turns around it work.",
      rule: "W4",
      from: "seen in clients",
      mend: "Treat a ping event as any other unknown event, or ignore it; do not close.",
      run: async (trial) => {
        const socket = await trial.connect();
        socket.send({ type: "ping" });
        socket.create({ input: SAY_OK, store: false });
        const first = await socket.frame();
        if (first.type === "error") clientError(first, "A ping event");
        const end = await socket.frame(isOf("response.completed"), "the end of the turn after a ping event");
        demand(isObject(end["response"]), "response.completed has no response.", { got: end });
      },
    },
    {
      id: "limits.errors-in-a-row",
      level: "must",
      title: "Of 40 wrong messages in a row each is answered by an error event, or the connection ends with 1008.",
      rule: "K4",
      from: "prudence: OpenAI names no limit",
      mend: "Answer every one; a server that has had enough closes with 1008, after the last answer.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (let count = 0; count < 40; count += 1) {
          socket.send(count % 2 === 0 ? "{" : '{"type":"response.conformance_unknown"}');
          const answer = await socket.frame(undefined, "the error event").catch(() => null);
          if (answer !== null) {
            clientError(answer, "A wrong message");
            continue;
          }
          demand(count > 0 && !socket.isOpen, `Wrong message ${count + 1} was not answered.`);
          same((await socket.closed()).code, 1008, `The close code after ${count} wrong messages in a row`);
          return works(trial);
        }
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
  ],
};

/** A text made as long as wanted by spaces, which JSON does not mind and no model reads. */
function padded(json: string, length: number): Buffer {
  const padding = Buffer.alloc(length - json.length, " ");
  return Buffer.concat([Buffer.from(json.slice(0, -1)), padding, Buffer.from("}")]);
}

function sendPadded(trial: Trial, socket: Socket, length: number): void {
  const create = JSON.stringify({ type: "response.create", model: trial.model, input: SAY_OK, store: false });
  socket.sendBytes(padded(create, length), { binary: false });
}

/** Demands that an error is one of the client's, with its status. */
function clientError(frame: Frame, what: string): void {
  const { type, status } = frame;
  same(type, "error", `The answer to: ${what}`);
  demand(
    typeof status === "number" && status >= 400 && status < 500,
    `${what} is answered by another status than 4xx.`,
    {
      expected: "4xx",
      got: frame,
    },
  );
}

/** Demands that the server is there for others. */
async function works(trial: Trial): Promise<void> {
  const socket = await trial.connect();
  await socket.completed({ input: SAY_OK, store: false });
}

async function answersAll(socket: Socket, count: number, fields: { readonly generate?: boolean }): Promise<void> {
  for (let number = 0; number < count; number += 1) {
    socket.create({ input: SAY_OK, store: false, metadata: { number: String(number) }, ...fields });
  }
  let latest = -1;
  for (let answered = 0; answered < count; answered += 1) {
    const last = await socket.frame(endsTurn, `answer ${answered + 1} of ${count}`);
    if (last.type === "error") {
      const { status } = last;
      demand(status === 429 || status === 503, "A create was refused for another reason than that there were many.", {
        expected: 429,
        got: last,
      });
      demand(typeof errorOf(last, "The error event")["code"] === "string", "The refusal has no code.", { got: last });
      continue;
    }
    const metadata = isObject(last["response"]) ? last["response"]["metadata"] : null;
    const number = Number(isObject(metadata) ? metadata["number"] : Number.NaN);
    demand(number > latest, "A turn ended before one that was asked for earlier.", {
      expected: latest + 1,
      got: number,
    });
    latest = number;
  }
}
