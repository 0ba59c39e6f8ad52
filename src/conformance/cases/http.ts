import type { Group } from "../case.ts";
import { clean } from "../findings.ts";
import { examine } from "../grammar.ts";
import { filler, SAY_OK } from "../prompts.ts";
import { CALL_STREAM, TEXT_ANSWER, TEXT_STREAM } from "../recordings.ts";
import { missingKeys, wrongItem, wrongUsage, wrongValues } from "../snapshot.ts";
import { splitSse } from "../sse.ts";
import { demand, same, skip } from "../violation.ts";
import { asResponse, list, object } from "../wire.ts";

/** The same resource over HTTP: one JSON answer, or a stream of SSE events. */
export const HTTP: Group = {
  name: "http",
  title: "POST /responses: JSON, and the bytes of an SSE stream",
  cases: [
    {
      id: "http.json",
      level: "must",
      title: "POST without 'stream' is answered by one JSON response: 200, application/json, completed.",
      rule: "H1",
      from: "OpenAI; Open Responses compliance 1",
      mend: "Collect the stream of the turn, and answer with what its last event shows.",
      run: async (trial) => {
        const answer = await trial.posted({ input: SAY_OK, store: false });
        demand(String(answer.headers["content-type"]).startsWith("application/json"), "The answer is not JSON.", {
          got: answer.headers["content-type"],
        });
        const response = asResponse(answer.json, "The body of the answer");
        same(response.status, "completed", "'status' of the response");
        demand(response.output.length > 0, "The response has no output.", { got: response });
      },
    },
    {
      id: "http.json-shape",
      level: "must",
      title: "The JSON response has all 31 keys, right values, right items and usage.",
      rule: "E8",
      from: "Open Responses, ResponseResource",
      mend: "Make it with the function that makes the snapshots of streams.",
      run: async (trial) => {
        const { response } = await trial.recording(TEXT_ANSWER);
        same(missingKeys(response), [], "The missing keys");
        same(wrongValues(response), [], "The wrong values");
        same(response.output.flatMap(wrongItem), [], "What is wrong with the output items");
        if ((response["usage"] ?? null) !== null) same(wrongUsage(response["usage"]), [], "What is wrong with 'usage'");
      },
    },
    {
      id: "http.stream-false",
      level: "must",
      title: "stream: false is the same as no 'stream'.",
      rule: "H1",
      from: "OpenAI",
      mend: "Stream only when 'stream' is true.",
      run: async (trial) => {
        const answer = await trial.posted({ input: SAY_OK, store: false, stream: false });
        same(answer.json["object"], "response", "'object' of the answer");
      },
    },
    {
      id: "http.sse-headers",
      level: "must",
      title: "A stream is answered with 200 and text/event-stream.",
      rule: "F3",
      from: "OpenAI; Open Responses §2",
      mend: "Set the content type before the first event is written.",
      run: async (trial) => {
        const { headers } = await trial.recording(TEXT_STREAM);
        const type = String(headers["content-type"]);
        demand(type.startsWith("text/event-stream"), "The content type is another.", {
          expected: "text/event-stream",
          got: type,
        });
      },
    },
    {
      id: "http.sse-no-cache",
      level: "should",
      title: "A stream may not be cached.",
      rule: "F3",
      from: "HTML standard, server-sent events",
      mend: "Send cache-control: no-cache (and x-accel-buffering: no for nginx).",
      run: async (trial) => {
        const { headers } = await trial.recording(TEXT_STREAM);
        const control = String(headers["cache-control"] ?? "");
        demand(/no-cache|no-store/.test(control), "cache-control does not forbid it.", {
          expected: "no-cache",
          got: control,
        });
      },
    },
    {
      id: "http.sse-blocks",
      level: "must",
      title: "Every SSE block has one 'event' and one line of 'data', and the event is the type of the data.",
      rule: "F3",
      from: "Open Responses §2; openai-node",
      mend: "Write 'event: <type>', 'data: <JSON on one line>' and an empty line.",
      run: async (trial) => {
        const { text } = await trial.recording(TEXT_STREAM);
        for (const block of splitSse(text)) {
          if (block.isComment || block.data === "[DONE]") continue;
          same(block.dataLines, 1, "The number of 'data' lines in a block");
          const { type } = object(JSON.parse(block.data ?? "null"), "The data of a block");
          same(block.event, type, "'event' of a block");
        }
      },
    },
    {
      id: "http.sse-no-id",
      level: "should",
      title: "SSE blocks have no 'id'.",
      rule: "F3",
      from: "Open Responses §2",
      mend: "Leave 'id:' out; sequence_number takes its place.",
      run: async (trial) => {
        const { text } = await trial.recording(TEXT_STREAM);
        for (const block of splitSse(text)) same(block.id, null, "'id' of a block");
      },
    },
    {
      id: "http.sse-done",
      level: "must",
      title: "A stream ends with data: [DONE], once, after its terminal event.",
      rule: "F3",
      from: "Open Responses §2",
      mend: "Write 'data: [DONE]' and an empty line after the terminal event, and end the answer.",
      run: async (trial) => {
        const { text } = await trial.recording(TEXT_STREAM);
        const blocks = splitSse(text).filter(({ isComment }) => !isComment);
        same(blocks.at(-1)?.data, "[DONE]", "The last block");
        same(blocks.filter(({ data }) => data === "[DONE]").length, 1, "The number of [DONE]s");
        demand(text.endsWith("\n\n"), "The last block is not ended by an empty line.", { got: text.slice(-40) });
      },
    },
    {
      id: "http.sse-grammar",
      level: "must",
      title: "The events of a stream obey the same grammar as those of a WebSocket turn.",
      rule: "F1",
      from: "OpenAI; Open Responses compliance 4",
      mend: "Make the events once, for all transports.",
      run: async (trial) => clean(examine((await trial.recording(TEXT_STREAM)).frames)),
    },
    {
      id: "http.sse-calls",
      level: "must",
      title: "Function calls in a stream obey the same grammar too.",
      rule: "F1",
      from: "OpenAI; Open Responses",
      mend: "Make the events once, for all transports.",
      run: async (trial) => clean(examine((await trial.recording(CALL_STREAM)).frames)),
    },
    {
      id: "http.request-id",
      level: "should",
      title: "Every answer has an x-request-id of its own, errors included.",
      rule: "H6",
      from: "OpenAI; SDKs show it",
      mend: "Add the header in one place, before routes and errors.",
      run: async (trial) => {
        const fine = await trial.posted({ input: SAY_OK, store: false });
        const answers = [fine, await trial.post({ input: 42 }), await trial.request("GET", "/conformance/nowhere")];
        const ids = answers.map(({ headers }) => headers["x-request-id"]);
        demand(
          ids.every((id) => typeof id === "string" && id !== ""),
          "An answer has none.",
          { got: ids },
        );
        same(new Set(ids).size, ids.length, "The number of different ids");
      },
    },
    {
      id: "http.models",
      level: "should",
      title: "GET /models lists the models.",
      rule: "H5",
      from: "OpenAI; clients ask for it first",
      mend: "Answer { object: 'list', data: [{ id, object: 'model', created, owned_by }] }.",
      run: async (trial) => {
        const { status, json } = await trial.request("GET", "/models");
        same(status, 200, "The status of GET /models");
        same(json["object"], "list", "'object'");
        for (const model of list(json["data"], "'data'")) {
          const { id, object: kind } = object(model, "A model");
          demand(typeof id === "string" && kind === "model", "A model is not described as one.", { got: model });
        }
      },
    },
    {
      id: "http.large-body",
      level: "should",
      title: "A body of two megabytes is read.",
      rule: "L7",
      from: "clients that replay whole conversations",
      mend: "Raise the limit of the HTTP framework (often 1 MiB) to 16 MiB or more.",
      run: async (trial) => {
        const input = filler(1000).padEnd(2 * 1024 * 1024, " filler");
        const { status, text } = await trial.post({
          input,
          store: false,
          previous_response_id: "resp_conformance_missing",
        });
        const got = `${status} ${text}`;
        demand(status !== 413 && !isAboutSize(text), "A large body was refused for its size.", {
          expected: "400",
          got,
        });
        // Any other answer of 4xx, or an answer to the text itself, shows that the body was read.
        demand(status < 500, "A large body made the server fail.", { expected: "400", got });
      },
    },
    {
      id: "http.content-type",
      level: "should",
      title: "A body of another content type is refused with 400 or 415.",
      rule: "H1",
      from: "Open Responses §2",
      mend: "Demand application/json: a browser sends text/plain to other sites without asking.",
      run: async (trial) => {
        const body = JSON.stringify({ model: trial.model, input: SAY_OK, store: false });
        const { status } = await trial.request("POST", "/responses", {
          body,
          headers: { "content-type": "text/plain" },
        });
        demand(status === 400 || status === 415, "It was taken.", { expected: 415, got: status });
      },
    },
    {
      id: "http.at-the-same-time",
      level: "must",
      title: "Requests at the same time do not wait for each other's mistakes and are not mixed.",
      rule: "H2",
      from: "HTTP",
      mend: "Keep state with the request.",
      run: async (trial) => {
        const numbers = ["1", "2", "3", "4", "5"];
        const answers = await Promise.all(
          numbers.map((number) => trial.posted({ input: SAY_OK, store: false, metadata: { number } })),
        );
        same(
          answers.map(({ json }) => json["metadata"]),
          numbers.map((number) => ({ number })),
          "'metadata' of the responses",
        );
        const ids = new Set(answers.map(({ json }) => json["id"]));
        if (ids.size < numbers.length) demand(false, "Two responses have one id.", { got: [...ids] });
      },
    },
    {
      id: "http.left-alone",
      level: "should",
      title: "generate, stream_id and the like, which belong to WebSockets, do no harm over HTTP.",
      rule: "H2",
      from: "clients fall back with the same body",
      mend: "Ignore WebSocket fields over HTTP, or refuse them with 400; do not pass them to the model server.",
      run: async (trial) => {
        const { status, text } = await trial.post({
          input: SAY_OK,
          store: false,
          stream_id: "main",
          type: "response.create",
        });
        if (status === 400) skip("the server refuses WebSocket fields over HTTP");
        same(status, 200, `The status (${text.slice(0, 200)})`);
      },
    },
  ],
};

/** Whether an error body complains about the size of the request's body, as servers do that answer 400 for it. */
function isAboutSize(text: string): boolean {
  return /(body|payload|entity|request)[ _](is |was )?too[ _]large/i.test(text);
}
