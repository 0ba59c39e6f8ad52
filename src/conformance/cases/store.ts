import type { Group } from "../case.ts";
import type { HttpAnswer } from "../http.ts";
import { SAY_OK, sayOkAfter, user } from "../prompts.ts";
import { recalls, TELL } from "../recall.ts";
import type { Socket } from "../socket.ts";
import type { Trial } from "../trial.ts";
import type { WireResponse } from "../types.ts";
import { demand, same } from "../violation.ts";
import { asResponse, errorOf, inputTokens, object } from "../wire.ts";

const LONG = sayOkAfter(300);

/** What outlives a connection, and what must not. */
export const STORE: Group = {
  name: "store",
  title: "store true and false: other connections, reconnects, HTTP",
  cases: [
    {
      id: "store.reconnect",
      level: "must",
      title: "A stored response is continued on a new connection after the old one has ended.",
      rule: "T1",
      from: "OpenAI: reconnect and continue",
      mend: "Write responses with store: true to a store that does not belong to the connection.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({ input: LONG, store: true });
        await socket.leave();
        await continues(await trial.connect(), first);
      },
    },
    {
      id: "store.after-cut",
      level: "must",
      title: "A stored response is continued after its connection was cut.",
      rule: "T1",
      from: "OpenAI: reconnect and continue; Codex never closes politely",
      mend: "Write the response before its terminal event leaves, not when the connection closes.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({ input: LONG, store: true });
        socket.cut();
        await continues(await trial.connect(), first);
      },
    },
    {
      id: "store.other-connection",
      level: "must",
      title: "A stored response is continued on another connection at once, again and again.",
      rule: "T1",
      from: "OpenAI; Open Responses §7",
      mend: "Make a stored response readable before its terminal event is sent: no queue or log in between.",
      run: async (trial) => {
        const [writer, reader] = [await trial.connect(), await trial.connect()];
        for (let turn = 0; turn < 5; turn += 1) {
          await continues(reader, await writer.completed({ input: LONG, store: true }));
        }
      },
    },
    {
      id: "store.default",
      level: "must",
      title: "Without 'store' a response is stored.",
      rule: "T1",
      from: "OpenAI; Open Responses",
      mend: "The default of 'store' is true, on a WebSocket too.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({ input: LONG });
        await continues(await trial.connect(), first);
      },
    },
    {
      id: "store.chain",
      level: "must",
      title: "A stored chain is continued elsewhere with all of its turns.",
      rule: "P1",
      from: "OpenAI; Open Responses §7",
      mend: "Store what a response continues, or its whole context, not only its own input and output.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({ input: LONG });
        const second = await socket.completed({ input: SAY_OK, previous_response_id: first.id });
        const third = await socket.completed({ input: SAY_OK, previous_response_id: second.id });
        await socket.leave();
        const fourth = await continues(await trial.connect(), third);
        demand(inputTokens(fourth) > inputTokens(first), "The fourth turn has not seen the first.", {
          expected: `more than ${inputTokens(first)} input tokens`,
          got: inputTokens(fourth),
        });
      },
    },
    {
      id: "store.recall",
      level: "must",
      title: "A stored chain that goes on elsewhere knows what was said in its first turn, where the model can say so.",
      rule: "P1",
      from: "OpenAI; for servers that report no usage",
      mend: "Store what a response continues, or its whole context, not only its own input and output.",
      run: async (trial) => {
        const [socket, other] = [await trial.connect(), await trial.connect()];
        const first = await socket.completed({ input: TELL });
        const second = await socket.completed({ input: SAY_OK, previous_response_id: first.id });
        const context = [user(TELL), ...first.output, user(SAY_OK), ...second.output];
        await recalls((fields) => other.completed(fields), second.id, context);
      },
    },
    {
      id: "store.false-reconnect",
      level: "must",
      title: "An unstored response is unknown on a new connection: previous_response_not_found.",
      rule: "T2",
      from: "OpenAI WebSocket guide; Open Responses compliance 8",
      mend: "Keep store: false in the memory of its connection only.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({ input: SAY_OK, store: false });
        await notFound(await trial.connect(), first.id);
        await socket.leave();
        await notFound(await trial.connect(), first.id);
      },
    },
    {
      id: "store.false-recovery",
      level: "must",
      title: "After that miss the new connection takes the full context.",
      rule: "P3",
      from: "Open Responses compliance 8",
      mend: "Keep the connection open after a miss.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({ input: SAY_OK, store: false });
        const other = await trial.connect();
        await notFound(other, first.id);
        await other.completed({
          input: [{ role: "user", content: SAY_OK }, ...first.output, { role: "user", content: SAY_OK }],
          store: false,
        });
      },
    },
    {
      id: "store.ws-to-http",
      level: "must",
      title: "What a WebSocket stored is continued over HTTP.",
      rule: "T1",
      from: "OpenAI: one resource, two transports",
      mend: "Use one store for both transports.",
      run: async (trial) => {
        const socket = await trial.connect();
        const first = await socket.completed({ input: LONG, store: true });
        await postContinues(trial, first);
      },
    },
    {
      id: "store.http-to-ws",
      level: "must",
      title: "What HTTP stored is continued over a WebSocket, as is what an SSE stream stored.",
      rule: "T1",
      from: "OpenAI: one resource, two transports",
      mend: "Use one store for both transports.",
      run: async (trial) => {
        const socket = await trial.connect();
        const collected = asResponse((await trial.posted({ input: LONG, store: true })).json, "The body of the answer");
        await continues(socket, collected);
        const streamed = (await trial.posted({ input: LONG, store: true, stream: true })).events.at(-1);
        await continues(socket, asResponse(streamed?.["response"], "'response' of the last event"));
      },
    },
    {
      id: "store.http-to-http",
      level: "must",
      title: "What HTTP stored is continued over HTTP, at once.",
      rule: "T1",
      from: "OpenAI; Open Responses §7",
      mend: "Take previous_response_id over HTTP as over a WebSocket.",
      run: async (trial) => {
        const first = asResponse((await trial.posted({ input: LONG })).json, "The body of the answer");
        const second = await postContinues(trial, first);
        await postContinues(trial, second);
      },
    },
    {
      id: "store.false-over-http",
      level: "must",
      title: "An unstored response is unknown over HTTP, whichever transport made it.",
      rule: "T2",
      from: "OpenAI; Open Responses",
      mend: "Keep store: false out of everything that outlives the request or the connection.",
      run: async (trial) => {
        const socket = await trial.connect();
        const made = await socket.completed({ input: SAY_OK, store: false });
        const posted = asResponse((await trial.posted({ input: SAY_OK, store: false })).json, "The body of the answer");
        for (const { id } of [made, posted])
          notFoundOver(await trial.post({ input: SAY_OK, previous_response_id: id }));
        await notFound(socket, posted.id);
      },
    },
    {
      id: "store.mixed",
      level: "must",
      title: "In a chain of stored and unstored turns each is found where it should be.",
      rule: "T2",
      from: "OpenAI: the referenced response must have been stored",
      mend: "Look at the 'store' of the referenced response, not of the request that names it.",
      run: async (trial) => {
        const socket = await trial.connect();
        const stored = await socket.completed({ input: LONG, store: true });
        const unstored = await socket.completed({ input: SAY_OK, store: false, previous_response_id: stored.id });
        await continues(await trial.connect(), stored);
        await notFound(await trial.connect(), unstored.id);
      },
    },
    {
      id: "store.stored-child",
      level: "must",
      title: "A stored response with an unstored parent is continued elsewhere with the whole context, or not at all.",
      rule: "T4",
      from: "no context may be lost in silence",
      mend: "Store the context with the response, or refuse to continue it; never continue it with a part.",
      run: async (trial) => {
        const socket = await trial.connect();
        const parent = await socket.completed({ input: LONG, store: false });
        const child = await socket.completed({ input: SAY_OK, store: true, previous_response_id: parent.id });
        const other = await trial.connect();
        const { last, response } = await other.turn({ input: SAY_OK, previous_response_id: child.id });
        if (response === null)
          return same(errorOf(last, "The error event")["code"], "previous_response_not_found", "The code of the error");
        demand(inputTokens(response) > inputTokens(parent), "It was continued without the context of its parent.", {
          expected: `more than ${inputTokens(parent)} input tokens, or previous_response_not_found`,
          got: inputTokens(response),
        });
      },
    },
    {
      id: "store.shown",
      level: "must",
      title: "A response shows whether it is stored.",
      rule: "C3",
      from: "OpenAI; Open Responses",
      mend: "Echo 'store'.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (const store of [true, false])
          same((await socket.completed({ input: SAY_OK, store }))["store"], store, "'store' of the response");
      },
    },
  ],
};

/** Continues a response that had a long input, and demands that the context is there. */
async function continues(socket: Socket, parent: WireResponse): Promise<WireResponse> {
  return grown(parent, await socket.completed({ input: SAY_OK, previous_response_id: parent.id }));
}

async function postContinues(trial: Trial, parent: WireResponse): Promise<WireResponse> {
  const answer = await trial.posted({ input: SAY_OK, previous_response_id: parent.id });
  return grown(parent, asResponse(answer.json, "The body of the answer"));
}

function grown(parent: WireResponse, child: WireResponse): WireResponse {
  same(child["previous_response_id"], parent.id, "'previous_response_id' of the response");
  demand(inputTokens(child) > inputTokens(parent), "The continued turn has not seen its parent.", {
    expected: `more than ${inputTokens(parent)} input tokens`,
    got: inputTokens(child),
  });
  return child;
}

async function notFound(socket: Socket, id: string): Promise<void> {
  const frame = await socket.refused({ input: SAY_OK, previous_response_id: id });
  same(errorOf(frame, "The error event")["code"], "previous_response_not_found", "The code of the error");
}

function notFoundOver(answer: HttpAnswer): void {
  demand(answer.status === 400 || answer.status === 404, "An unstored response was found.", {
    expected: 400,
    got: answer.status,
  });
  same(object(answer.json["error"], "'error'")["code"], "previous_response_not_found", "The code of the error");
}
