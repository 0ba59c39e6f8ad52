import type { Group } from "../case.ts";
import { filler, RECITE, SAY_OK, user } from "../prompts.ts";
import { isOf } from "../reading.ts";
import type { Trial } from "../trial.ts";
import type { Frame, WireResponse } from "../types.ts";
import { demand, same } from "../violation.ts";
import { errorOf, inputTokens, isObject } from "../wire.ts";

const MISSING = "resp_conformance_missing";

/** Clients that leave, many clients, and input that is meant to hurt. */
export const ROBUSTNESS: Group = {
  name: "robustness",
  title: "clients that leave, many clients, and hostile input",
  cases: [
    {
      id: "robustness.vanished-client",
      level: "must",
      title: "A client that vanishes in the middle of a turn can come back and work.",
      rule: "K1",
      from: "Codex leaves without a close frame, always",
      mend: "Stop the model and free the lane when the connection ends, however it ends.",
      run: async (trial) => {
        for (let round = 0; round < 5; round += 1) {
          const socket = await trial.connect();
          socket.create({ input: RECITE, store: false });
          socket.create({ input: RECITE, store: false });
          await socket.frame(isOf("response.created"), "response.created");
          socket.cut();
        }
        await works(trial);
      },
    },
    {
      id: "robustness.polite-leave",
      level: "must",
      title: "A client that closes while turns run and wait is let go at once.",
      rule: "K1",
      from: "RFC 6455 §5.5.1",
      mend: "Answer a close frame when it comes, and do not wait for turns before that.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (let count = 0; count < 3; count += 1) socket.create({ input: RECITE, store: false });
        await socket.frame(isOf("response.created"), "response.created");
        same((await socket.leave()).code, 1000, "The code of the server's close");
        await works(trial);
      },
    },
    {
      id: "robustness.half-a-message",
      level: "must",
      title: "A client that sends half a message and falls silent, or vanishes, holds nobody up.",
      rule: "K1",
      from: "prudence",
      mend: "Read each connection on its own; wait for the rest of a message without holding anything that others need.",
      run: async (trial) => {
        const half = Buffer.from('{"type":"response.create","input":"');
        const silent = await trial.connect();
        silent.sendBytes(half, { binary: false, fin: false });
        await works(trial);
        silent.cut();
        await works(trial);
      },
    },
    {
      id: "robustness.come-and-go",
      level: "must",
      title: "Clients that connect, ask and vanish at once, 20 of them, leave the server able to serve.",
      rule: "K1",
      from: "prudence",
      mend: "Give back whatever a connection holds (slots, locks, queues) when it ends before its first event.",
      alone: true,
      run: async (trial) => {
        const rounds = Array.from({ length: 20 }, async () => {
          const socket = await trial.connect();
          socket.create({ input: RECITE, store: true });
          socket.cut();
        });
        await Promise.all(rounds);
        await works(trial);
      },
    },
    {
      id: "robustness.fifty-turns",
      level: "should",
      title: "One connection serves fifty turns.",
      rule: "P1",
      from: "agents stay connected for an hour",
      mend: "Look for what grows or is held with every turn of a connection.",
      alone: true,
      waits: 50,
      run: async (trial) => {
        const socket = await trial.connect();
        for (let turn = 0; turn < 50; turn += 1) await socket.completed({ input: SAY_OK, store: false });
      },
    },
    {
      id: "robustness.twenty-connections",
      level: "must",
      title: "Twenty connections at once each get their own answer.",
      rule: "W1",
      from: "prudence",
      mend: "Keep everything about a turn with its connection; queue where the model server has no room.",
      alone: true,
      waits: 20,
      run: async (trial) => {
        const sockets = await Promise.all(Array.from({ length: 20 }, () => trial.connect()));
        for (const [client, socket] of sockets.entries()) {
          socket.create({ input: SAY_OK, store: false, metadata: { client: `${client}` } });
        }
        const responses: WireResponse[] = [];
        for (const socket of sockets) {
          const { last, response } = await socket.rest();
          demand(response?.status === "completed", "One of twenty turns did not succeed.", { got: last });
          responses.push(response);
        }
        const clients = responses.map(({ metadata }) => (isObject(metadata) ? metadata["client"] : undefined));
        // A server that shows no metadata breaks `snapshots.settings`, and says nothing here of whose an answer is.
        if (clients.some((client) => client !== undefined)) {
          same(clients, [...sockets.keys()].map(String), "The clients that the answers are for");
        }
        same(new Set(responses.map(({ id }) => id)).size, 20, "The number of different response ids");
      },
    },
    {
      id: "robustness.wrong-ids",
      level: "must",
      title: "previous_response_id of another type is refused with status 400 and named as 'param'.",
      rule: "C2",
      from: "OpenAI",
      mend: "Check the type of previous_response_id; never take what is not a string for 'none given'.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (const previous_response_id of [42, true, {}, [], [MISSING]]) {
          const frame = await socket.refused({ input: SAY_OK, store: false, previous_response_id });
          same(frame["status"], 400, "'status' of the error event");
          same(errorOf(frame, "The error event")["param"], "previous_response_id", "'param' of the error");
        }
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
    {
      id: "robustness.odd-ids",
      level: "must",
      title: "Ids that were never given out are not found, whatever they look like.",
      rule: "P3",
      from: "prudence",
      mend: "Look ids up as they are: no paths, no queries, no properties of objects; refuse those that are too long.",
      run: async (trial) => {
        const socket = await trial.connect();
        const ids = [
          "../../etc/passwd",
          "__proto__",
          "constructor",
          "' OR 1=1 --",
          "resp_*",
          "resp_\u0000",
          "𝒳",
          "x".repeat(9999),
        ];
        for (const previous_response_id of ids) {
          const frame = await socket.refused({ input: SAY_OK, store: false, previous_response_id });
          clientError(frame, `The id '${previous_response_id.slice(0, 20)}'`);
        }
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
    {
      id: "robustness.ids-unguessable",
      level: "should",
      title: "Response ids differ in many characters, and do not count up.",
      rule: "A2",
      from: "an id is half of the permission to read a response",
      mend: "Make ids of at least 64 random bits.",
      run: async (trial) => {
        const socket = await trial.connect();
        const ids: string[] = [];
        for (let turn = 0; turn < 6; turn += 1) ids.push((await socket.completed({ input: SAY_OK, store: false })).id);
        for (const [index, id] of ids.entries()) {
          for (const other of ids.slice(index + 1)) {
            const theirs = Buffer.from(other);
            const differing = Buffer.from(id).filter((byte, place) => byte !== theirs[place]).length;
            demand(differing >= 8, "Two ids are nearly the same.", {
              expected: "8 characters or more",
              got: [id, other],
            });
          }
        }
      },
    },
    {
      id: "robustness.older-parent",
      level: "must",
      title: "After three turns the first can be continued again, with the context that it had and no more.",
      rule: "P4",
      from: "OpenAI: stored responses; some proxies take the latest for the one that was named",
      mend: "Build the context from the response that the request names.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({ input: SAY_OK });
        const second = await socket.completed({ input: SAY_OK, previous_response_id: first.id });
        await socket.completed({ input: `${filler(200)} ${SAY_OK}`, previous_response_id: second.id });
        const again = await socket.completed({ input: SAY_OK, previous_response_id: first.id });
        same(again["previous_response_id"], first.id, "'previous_response_id' of the response");
        same(inputTokens(again), inputTokens(second), "The tokens of input when the first turn is continued again");
      },
    },
    {
      id: "robustness.object-names",
      level: "should",
      title:
        "Names such as '__proto__' and 'constructor' are data like others: metadata with them comes back as it was.",
      rule: "I2",
      from: "prototype pollution",
      mend: "Copy foreign objects by their own keys, and keep maps in maps.",
      run: async (trial) => {
        const socket = await trial.connect();
        const metadata = '{"__proto__":"a","constructor":"b","toString":"c","length":"d"}';
        const create = `{"type":"response.create","model":${JSON.stringify(trial.model)},"input":${JSON.stringify(SAY_OK)}`;
        socket.send(`${create},"store":false,"__proto__":{"stream_id":"x"},"metadata":${metadata}}`);
        const { last, response } = await socket.rest();
        demand(response !== null, "The create was refused.", { got: last });
        same(response["metadata"], JSON.parse(metadata), "'metadata' of the response");
        demand(!("stream_id" in last), "A field of '__proto__' was taken for one of the create.", { got: last });
      },
    },
    {
      id: "robustness.lone-surrogates",
      level: "should",
      title:
        "Half a character, as JSON can spell it, is taken or refused with 4xx, and what the server sends is UTF-8.",
      rule: "F4",
      from: "RFC 8259 §8.2",
      mend: "Make texts well-formed before they are sent on, or refuse them.",
      run: async (trial) => {
        const socket = await trial.connect();
        const { last } = await socket.turn({ input: `${SAY_OK} \ud83d`, store: false, metadata: { half: "\udc00" } });
        if (last.type === "error") clientError(last, "Half a character");
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
    {
      id: "robustness.numbers",
      level: "must",
      title: "Numbers beyond all bounds are refused with 4xx, or have no effect; the connection lives.",
      rule: "C2",
      from: "JSON has numbers that no integer holds",
      mend: "Check that numbers are finite and within their bounds.",
      run: async (trial) => {
        const socket = await trial.connect();
        const create = `{"type":"response.create","model":${JSON.stringify(trial.model)},"store":false`;
        for (const field of [
          '"temperature":1e400',
          '"max_output_tokens":1e400',
          '"max_output_tokens":-1e30',
          '"top_p":-0.1',
        ]) {
          socket.send(`${create},"input":${JSON.stringify(SAY_OK)},${field}}`);
          const { last } = await socket.rest();
          if (last.type === "error") clientError(last, field);
        }
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
    {
      id: "robustness.wrong-items",
      level: "should",
      title: "Items that are no items (null, numbers, lists, messages without content) are refused with 4xx.",
      rule: "I2",
      from: "OpenAI",
      mend: "Check the items of an input one by one, and say which is wrong.",
      run: async (trial) => {
        const socket = await trial.connect();
        const wrong = [
          null,
          42,
          "text",
          [],
          {},
          { role: "user" },
          { role: 7, content: "x" },
          user(null),
          user([null]),
          user([{}]),
        ];
        for (const item of wrong) {
          const frame = await socket.refused({ input: [item], store: false });
          clientError(frame, `The item ${JSON.stringify(item)}`);
        }
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
  ],
};

async function works(trial: Trial): Promise<void> {
  const socket = await trial.connect();
  await socket.completed({ input: SAY_OK, store: false });
}

/** Demands that an error is one of the client's, with its status. */
function clientError(frame: Frame, what: string): void {
  const { status } = frame;
  demand(
    typeof status === "number" && status >= 400 && status < 500,
    `${what} is answered by another status than 4xx.`,
    {
      expected: "4xx",
      got: frame,
    },
  );
}
