import { BAD_REQUESTS } from "../bad-requests.ts";
import type { Group } from "../case.ts";
import { envelope, fieldsOf } from "../error-body.ts";
import { SAY_OK, user } from "../prompts.ts";
import { demand, same, skip } from "../violation.ts";
import { endsTurn, errorIn, errorOf, saysOf } from "../wire.ts";

const MISSING = { input: SAY_OK, previous_response_id: "resp_conformance_missing" };

/** What is said when a request cannot be served, over each transport. */
export const ERRORS: Group = {
  name: "errors",
  title: "what is said when a request cannot be served, on WebSocket, HTTP and SSE",
  cases: [
    {
      id: "errors.event-shape",
      level: "must",
      title: "An error event has type, status and error, and that has type, code and message as strings.",
      rule: "X1",
      from: "Open Responses, WebSocketErrorEvent; Codex ignores errors without a status",
      mend: "Send { type: 'error', status: 400, error: { type, code, message, param } }, not a flat one.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (const fields of [MISSING, { input: 42 }]) {
          const frame = await socket.refused({ store: false, ...fields });
          demand(Number.isInteger(frame["status"]), "'status' is not an integer.", { got: frame });
          const error = errorOf(frame, "The error event");
          for (const field of ["type", "code", "message"]) {
            demand(typeof error[field] === "string" && error[field] !== "", `'error.${field}' is not a string.`, {
              got: frame,
            });
          }
          const { param } = error;
          demand(param === undefined || param === null || typeof param === "string", "'error.param' is no string.", {
            got: frame,
          });
        }
      },
    },
    {
      id: "errors.refused-before-created",
      level: "must",
      title:
        "A request that is refused gets one error event and nothing else: no response.created before, nothing after.",
      rule: "E1",
      from: "OpenAI; a turn is refused, or has one terminal event",
      mend: "Check a request, its parent included, before response.created is sent.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (const [, fields] of BAD_REQUESTS) {
          socket.create({ store: false, ...fields });
          const first = await socket.frame();
          same(first.type, "error", "The first event of a turn that is refused");
          await socket.ping();
          same(socket.unread, [], "Events after the error");
        }
      },
    },
    {
      id: "errors.usable-after",
      level: "must",
      title: "A connection outlives the errors of its requests.",
      rule: "X4",
      from: "OpenAI WebSocket guide",
      mend: "Close a connection for its own failures only, never for those of a request.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (const [, fields] of BAD_REQUESTS) {
          await socket.refused({ store: false, ...fields });
          await socket.completed({ input: SAY_OK, store: false });
        }
      },
    },
    {
      id: "errors.invalid-request",
      level: "must",
      title: "A request with a wrong value is refused with status 400 and the type invalid_request_error.",
      rule: "C2",
      from: "OpenAI",
      mend: "Validate requests before they reach the model server, whose complaints would come back as 500.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (const [what, fields] of BAD_REQUESTS) {
          const frame = await socket.refused({ store: false, ...fields });
          same(frame["status"], 400, `'status' of the error for ${what}`);
          const type = String(errorOf(frame, "The error event")["type"]);
          demand(type.startsWith("invalid_request"), `'error.type' for ${what} says something else.`, {
            expected: "invalid_request_error",
            got: type,
          });
        }
      },
    },
    {
      id: "errors.param",
      level: "should",
      title: "'param' tells where the wrong value is.",
      rule: "C2",
      from: "OpenAI ('input[0].role')",
      mend: "Fill 'param' with the path of the field that failed validation.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (const [what, fields, expected] of BAD_REQUESTS) {
          const { param } = errorOf(await socket.refused({ store: false, ...fields }), "The error event");
          demand(expected.test(String(param)), `'param' for ${what} does not tell the place.`, {
            expected: expected.source,
            got: param,
          });
        }
      },
    },
    {
      id: "errors.no-input",
      level: "should",
      title: "A create with neither input nor previous_response_id is refused with status 400.",
      rule: "C1",
      from: "OpenAI",
      mend: "Demand one of the two.",
      run: async (trial) => {
        const socket = await trial.connect();
        same((await socket.refused({ store: false }))["status"], 400, "'status' of the error event");
      },
    },
    {
      id: "errors.unknown-model",
      level: "must",
      title: "A model that does not exist is refused with a 4xx that names it, on both transports.",
      rule: "C7",
      from: "OpenAI (model_not_found)",
      mend: "Resolve the model of each create, not only at the handshake, and answer 400 or 404.",
      run: async (trial) => {
        const model = "conformance-no-such-model";
        const socket = await trial.connect();
        const { last, response } = await socket.turn({ model, input: SAY_OK, store: false });
        const { status, text } = await trial.post({ model, input: SAY_OK, store: false });
        if (last.type === "response.completed" && status === 200) skip("the server serves any model name");
        demand(status >= 400 && status < 500, "POST with an unknown model is not a 4xx.", {
          expected: 404,
          got: `${status} ${text}`,
        });
        demand(last.type !== "response.completed", "The model is refused over HTTP and served over WebSocket.", {
          got: last,
        });
        // The snapshot of a response repeats the model of the request: only the error itself counts.
        const overSocket = last.type === "error" ? last["error"] : response?.["error"];
        demand(saysOf(overSocket).includes(model), "The error over WebSocket does not name the model.", { got: last });
        demand(saysOf(errorIn(text)).includes(model), "The error over HTTP does not name the model.", { got: text });
        if (last.type === "error") {
          const code = Number(last["status"]);
          demand(code >= 400 && code < 500, "'status' of the error event is not a 4xx.", { got: last });
        }
      },
    },
    {
      id: "errors.metadata-limits",
      level: "should",
      title: "More than 16 pairs of metadata, or values longer than 512 characters, are refused.",
      rule: "C2",
      from: "OpenAI",
      mend: "Check metadata: 16 pairs, keys of 64 and values of 512 characters.",
      run: async (trial) => {
        const socket = await trial.connect();
        const many = Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`key${index}`, "x"]));
        for (const metadata of [many, { key: "x".repeat(513) }, { ["k".repeat(65)]: "x" }]) {
          same(
            (await socket.refused({ input: SAY_OK, store: false, metadata }))["status"],
            400,
            "'status' of the error event",
          );
        }
      },
    },
    {
      id: "errors.default-lane",
      level: "must",
      title: "An error on the default lane has no stream_id.",
      rule: "F5",
      from: "openai-node drops events whose stream_id is null",
      mend: "Leave the key out where the create named no lane.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (const frame of [await socket.refused({ input: 42 }), await socket.refused("{")]) {
          demand(!("stream_id" in frame), "The error has a stream_id.", { got: frame });
        }
      },
    },
    {
      id: "errors.place-in-queue",
      level: "should",
      title: "Turns that wait are refused in their place, after the turns before them.",
      rule: "L2",
      from: "OpenAI: a lane is FIFO",
      mend: "Put a refused create into the queue too, so that a client can tell which request the error belongs to.",
      run: async (trial) => {
        const socket = await trial.connect();
        socket.create({ input: SAY_OK, store: false });
        socket.create({ ...MISSING, store: false });
        socket.create({ input: SAY_OK, store: false });
        const ends: string[] = [];
        while (ends.length < 3) {
          const frame = await socket.frame();
          if (endsTurn(frame)) ends.push(frame.type);
        }
        same(ends, ["response.completed", "error", "response.completed"], "The ends of the turns");
      },
    },
    {
      id: "errors.http-body",
      level: "must",
      title: "An error over HTTP is JSON: { error: { message, type, param, code } }, with all four keys.",
      rule: "X1",
      from: "OpenAI; SDKs read them",
      mend: "Write the same error body everywhere, unknown routes and broken JSON included.",
      run: async (trial) => {
        for (const [what, fields] of BAD_REQUESTS) envelope(await trial.post({ store: false, ...fields }), 400, what);
      },
    },
    {
      id: "errors.http-stream",
      level: "must",
      title: "With stream: true a request that is refused gets a plain 4xx answer, not a stream.",
      rule: "H3",
      from: "OpenAI; Open Responses",
      mend: "Write the head of the stream with the first event, not before the request is accepted.",
      run: async (trial) => {
        for (const fields of [{ input: 42 }, MISSING]) {
          const answer = await trial.post({ store: false, stream: true, ...fields });
          demand(answer.status === 400 || answer.status === 404, "The request was not refused.", {
            expected: 400,
            got: `${answer.status} ${answer.text}`,
          });
          demand(/json/.test(String(answer.headers["content-type"])), "The refusal is not JSON.", {
            got: answer.headers["content-type"],
          });
        }
      },
    },
    {
      id: "errors.same-on-both",
      level: "should",
      title: "WebSocket and HTTP refuse the same request with the same status, type, code, param and message.",
      rule: "X1",
      from: "OpenAI: one resource, two transports",
      mend: "Make errors in one place and let the transports only wrap them.",
      run: async (trial) => {
        const socket = await trial.connect();
        for (const fields of [...BAD_REQUESTS.map(([, bad]) => bad), MISSING]) {
          const frame = await socket.refused({ store: false, ...fields });
          const answer = await trial.post({ store: false, ...fields });
          const overSocket = { status: frame["status"], ...fieldsOf(errorOf(frame, "The error event")) };
          const overHttp = { status: answer.status, ...fieldsOf(errorOf(answer.json, "The body of the answer")) };
          same(overSocket, overHttp, "The error over WebSocket (got), measured against HTTP (expected),");
        }
      },
    },
    {
      id: "errors.http-json",
      level: "must",
      title: "A body that is not JSON, or no object, is refused with status 400.",
      rule: "X1",
      from: "OpenAI",
      mend: "Catch the parse error and answer it with an error body.",
      run: async (trial) => {
        for (const body of ["{", "", "[]", "null"])
          envelope(await trial.request("POST", "/responses", { body }), 400, `the body '${body}'`);
      },
    },
    {
      id: "errors.http-route",
      level: "should",
      title: "An unknown path, and a wrong method, are answered with an error body and 404 or 405.",
      rule: "H6",
      from: "OpenAI",
      mend: "Write the error body of the API for unknown routes too, not the framework's page.",
      run: async (trial) => {
        const answers = [
          await trial.request("GET", "/conformance/nowhere"),
          await trial.request("PUT", "/responses", { json: {} }),
        ];
        for (const answer of answers) {
          demand(answer.status === 404 || answer.status === 405, "It was not refused.", {
            expected: "404 or 405",
            got: answer.status,
          });
          envelope(answer, answer.status, "a wrong route");
        }
      },
    },
    {
      id: "errors.nothing-leaks",
      level: "must",
      title: "No error shows stack traces or paths of the server.",
      rule: "X3",
      from: "OWASP",
      mend: "Answer unexpected errors with a fixed sentence, and write the rest to the log.",
      run: async (trial) => {
        const said: string[] = [];
        const socket = await trial.connect();
        const deep = `${"[".repeat(2000)}${"]".repeat(2000)}`;
        for (const event of [
          "{",
          '{"type":"response.create","input":{"__proto__":1}}',
          `{"type":"response.create","input":${deep}}`,
        ]) {
          said.push(JSON.stringify(await socket.refused(event)));
        }
        for (const body of ["{", `{"model":${deep}}`])
          said.push((await trial.request("POST", "/responses", { body })).text);
        for (const text of said) {
          const leak =
            /Traceback|\bat [^ ]+ \(|node_modules|\/(home|usr|app|srv|opt)\/|\.(js|ts|py|go|rs|java):\d+/.exec(text);
          demand(leak === null, "An error shows something of the server's inside.", { got: text });
        }
      },
    },
    {
      id: "errors.unknown-items",
      level: "should",
      title: "Items of unknown types in the input do not make the server fail: they pass, or are refused with 400.",
      rule: "I2",
      from: "OpenAI adds types; clients replay what they got",
      mend: "Pass unknown items through or refuse them; never answer them with 500.",
      run: async (trial) => {
        const socket = await trial.connect();
        const { last } = await socket.turn({
          input: [{ type: "conformance_item", id: "x" }, user(SAY_OK)],
          store: false,
        });
        const status = last["status"] ?? 200;
        demand(
          typeof status === "number" && status < 500 && last.type !== "response.failed",
          "An unknown item made the server fail.",
          { got: last },
        );
      },
    },
  ],
};
