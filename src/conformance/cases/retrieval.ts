import type { Group } from "../case.ts";
import { RETRIEVAL } from "../features.ts";
import { SAY_OK } from "../prompts.ts";
import { demand, same, skip } from "../violation.ts";
import { errorOf, list, object } from "../wire.ts";

/** Stored responses over HTTP. */
export const RETRIEVALS: Group = {
  name: "retrieval",
  title: "stored responses over HTTP: shown, listed, deleted",
  cases: [
    {
      id: "retrieval.shown",
      level: "should",
      title: "GET /responses/{id} shows a stored response as its last event did.",
      rule: "R1",
      from: "OpenAI",
      mend: "Serve GET /responses/{id} from the store.",
      run: async (trial) => {
        await trial.requires(RETRIEVAL);
        const socket = await trial.connect();
        const made = await socket.completed({ input: SAY_OK, store: true, metadata: { a: "1" } });
        const answer = await trial.request("GET", `/responses/${made.id}`);
        same(answer.status, 200, "The status of GET for a stored response");
        const { id, status, output, metadata, usage } = answer.json;
        same(
          { id, status, output, metadata, usage },
          { id: made.id, status: "completed", output: made.output, metadata: { a: "1" }, usage: made["usage"] },
          "What GET shows",
        );
      },
    },
    {
      id: "retrieval.unstored",
      level: "must",
      title: "GET of an unstored or unknown response is 404.",
      rule: "R1",
      from: "OpenAI",
      mend: "Serve GET from the store only, not from the memory of connections.",
      run: async (trial) => {
        await trial.requires(RETRIEVAL);
        const socket = await trial.connect();
        const { id } = await socket.completed({ input: SAY_OK, store: false });
        for (const unknown of [id, "resp_conformance_missing"]) {
          same((await trial.request("GET", `/responses/${unknown}`)).status, 404, "The status of GET");
        }
      },
    },
    {
      id: "retrieval.input-items",
      level: "extension",
      title: "GET /responses/{id}/input_items lists what a response was given.",
      rule: "R3",
      from: "OpenAI",
      mend: "Serve the list with object, data, first_id, last_id and has_more.",
      run: async (trial) => {
        await trial.requires(RETRIEVAL);
        const socket = await trial.connect();
        const { id } = await socket.completed({ input: SAY_OK, store: true });
        const { status, json } = await trial.request("GET", `/responses/${id}/input_items`);
        same(status, 200, "The status of GET input_items");
        same(json["object"], "list", "'object'");
        demand(list(json["data"], "'data'").length === 1, "The list has not the one item that was sent.", {
          got: json,
        });
      },
    },
    {
      id: "retrieval.delete",
      level: "extension",
      title: "After DELETE /responses/{id} a response is neither shown nor continued elsewhere.",
      rule: "R2",
      from: "OpenAI",
      mend: "Delete from the store, and answer { id, object: 'response', deleted: true }.",
      run: async (trial) => {
        await trial.requires(RETRIEVAL);
        const socket = await trial.connect();
        const { id } = await socket.completed({ input: SAY_OK, store: true });
        const { status, text } = await trial.request("DELETE", `/responses/${id}`);
        same(status, 200, `The status of DELETE (${text})`);
        same((await trial.request("GET", `/responses/${id}`)).status, 404, "The status of GET afterwards");
        const other = await trial.connect();
        const refusal = await other.refused({ input: SAY_OK, previous_response_id: id });
        same(errorOf(refusal, "The error event")["code"], "previous_response_not_found", "The code of the error");
      },
    },
    {
      id: "retrieval.pages",
      level: "extension",
      title: "The input items of a response come in pages, in either order, each once.",
      rule: "R3",
      from: "OpenAI: limit, order, after; first_id, last_id, has_more",
      mend: "Give every item an id that stays, and begin a page behind the item that 'after' names.",
      run: async (trial) => {
        await trial.requires(RETRIEVAL);
        const socket = await trial.connect();
        const input = ["a", "b", "c"].map((text) => ({ role: "user", content: `${SAY_OK} (${text})` }));
        const { id } = await socket.completed({ input, store: true });
        const orders: unknown[][] = [];
        for (const order of ["asc", "desc"]) {
          const ids: unknown[] = [];
          for (let after = "", more = true; more; ) {
            const path = `/responses/${id}/input_items?order=${order}&limit=2${after}`;
            const { json } = await trial.request("GET", path);
            const data = list(json["data"], "'data'").map((item) => object(item, "An item of the list"));
            same(json["last_id"], data.at(-1)?.["id"], "'last_id'");
            demand(data.length > 0 && data.length <= 2, "The page has not one or two items.", { got: json });
            ids.push(...data.map((item) => item["id"]));
            after = `&after=${String(json["last_id"])}`;
            more = json["has_more"] === true;
          }
          orders.push(ids);
        }
        same(orders[0]?.length, 3, "How many items there are over all pages");
        same(orders[1], orders[0]?.toReversed(), "The ids in descending order");
      },
    },
    {
      id: "retrieval.replay",
      level: "extension",
      title:
        "GET /responses/{id}?stream=true streams a response's events again; starting_after leaves out the first ones.",
      rule: "R4",
      from: "OpenAI: stream, starting_after",
      mend: "Record what the events are made from, and give each the number that it had.",
      run: async (trial) => {
        await trial.requires(RETRIEVAL);
        const made = await trial.post({ input: SAY_OK, store: true, stream: true });
        const response = object(made.events.at(-1)?.["response"], "The response of the last event");
        const again = await trial.request("GET", `/responses/${String(response["id"])}?stream=true`);
        if (again.status === 400) skip("it streams again only what was made in the background");
        same(again.status, 200, "The status of GET with stream=true");
        same(again.events, made.events, "The events that are streamed again");
        const rest = await trial.request("GET", `/responses/${String(response["id"])}?stream=true&starting_after=2`);
        same(rest.events, made.events.slice(3), "The events behind number 2");
      },
    },
  ],
};
