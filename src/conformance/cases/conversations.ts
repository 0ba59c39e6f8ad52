import type { Group } from "../case.ts";
import { CONVERSATIONS } from "../features.ts";
import { COUNT, SAY_OK, sayOkAfter, user } from "../prompts.ts";
import type { Trial } from "../trial.ts";
import type { Json } from "../types.ts";
import { demand, same } from "../violation.ts";
import { asResponse, errorOf, inputTokens, list, object } from "../wire.ts";

const FROM = "OpenAI: Conversations";

/** Conversations: items that are kept under one name, and turns that go on in them. */
export const CONVERSATION_CASES: Group = {
  name: "conversations",
  title: "conversations and their items",
  cases: [
    {
      id: "conversations.object",
      level: "should",
      title: "A conversation is made, read, changed by its metadata, and deleted.",
      rule: "D1",
      from: FROM,
      mend: "Answer with {id, object, created_at, metadata}; after DELETE the id is a 404.",
      run: async (trial) => {
        await trial.requires(CONVERSATIONS);
        const made = await answered(trial, "POST", "/conversations", { metadata: { topic: "tea" } });
        const { id, created_at } = made;
        same(made, { id, object: "conversation", created_at, metadata: { topic: "tea" } }, "The new conversation");
        demand(typeof id === "string" && typeof created_at === "number", "'id' or 'created_at' has another type.", {
          got: made,
        });
        same(await answered(trial, "GET", `/conversations/${id}`), made, "The conversation, read again,");
        const changed = await answered(trial, "POST", `/conversations/${id}`, { metadata: { topic: "milk" } });
        same(changed["metadata"], { topic: "milk" }, "'metadata' after the change");
        const deleted = await answered(trial, "DELETE", `/conversations/${id}`);
        same(deleted, { id, object: "conversation.deleted", deleted: true }, "The answer to DELETE");
        same((await trial.request("GET", `/conversations/${id}`)).status, 404, "The status of GET afterwards");
      },
    },
    {
      id: "conversations.items",
      level: "should",
      title: "Items are added, listed in either order, read and deleted by their ids.",
      rule: "D2",
      from: FROM,
      mend: "Give every item an id that stays, and list the newest first unless 'order' is \"asc\".",
      run: async (trial) => {
        await trial.requires(CONVERSATIONS);
        const id = await begun(trial, [user("one"), user("two")]);
        const added = await answered(trial, "POST", `/conversations/${id}/items`, { items: [user("three")] });
        same(textsOf(added), ["three"], "The items that were added");
        const newest = await answered(trial, "GET", `/conversations/${id}/items`);
        same(textsOf(newest), ["three", "two", "one"], "The items without 'order'");
        const page = await answered(trial, "GET", `/conversations/${id}/items?order=asc&limit=2`);
        same([textsOf(page), page["has_more"]], [["one", "two"], true], "The first page of two items");
        const rest = await answered(
          trial,
          "GET",
          `/conversations/${id}/items?order=asc&limit=2&after=${String(page["last_id"])}`,
        );
        same([textsOf(rest), rest["has_more"]], [["three"], false], "The second page");
        const path = `/conversations/${id}/items/${String(page["first_id"])}`;
        same((await answered(trial, "GET", path))["id"], page["first_id"], "'id' of the item that was read");
        same((await answered(trial, "DELETE", path))["id"], id, "'id' of the conversation that DELETE shows");
        same((await trial.request("GET", path)).status, 404, "The status of GET for the deleted item");
        const left = await answered(trial, "GET", `/conversations/${id}/items?order=asc`);
        same(textsOf(left), ["two", "three"], "The items that are left");
      },
    },
    {
      id: "conversations.turns",
      level: "should",
      title: "A turn has the conversation's items before its own, and adds its input and output to them.",
      rule: "D3",
      from: FROM,
      mend: "Put the items of the conversation before the input, and add input and output before the response ends.",
      waits: 4,
      run: async (trial) => {
        await trial.requires(CONVERSATIONS);
        const id = await begun(trial, [user(sayOkAfter(300))]);
        const socket = await trial.connect();
        const bare = await socket.completed({ input: SAY_OK, store: false });
        const first = await socket.completed({ input: SAY_OK, conversation: id });
        demand(inputTokens(first) > inputTokens(bare), "The turn has not seen the items of the conversation.", {
          expected: `more than ${inputTokens(bare)} input tokens`,
          got: inputTokens(first),
        });
        same(first["conversation"], { id }, "'conversation' of the response");
        same(first["previous_response_id"], null, "'previous_response_id' of the response");
        const answer = await trial.posted({ input: SAY_OK, conversation: { id } });
        const second = asResponse(answer.json, "The response");
        demand(inputTokens(second) > inputTokens(first), "The second turn has not seen the first.");
        const items = list((await answered(trial, "GET", `/conversations/${id}/items?order=asc`))["data"], "'data'");
        same(
          items.length,
          3 + first.output.length + second.output.length,
          "The number of items: three inputs and all outputs",
        );
      },
    },
    {
      id: "conversations.exclusive",
      level: "should",
      title: "'conversation' and 'previous_response_id' do not go together: 400.",
      rule: "D3",
      from: "OpenAI: cannot be used in conjunction with conversation",
      mend: "Refuse a request that names both.",
      run: async (trial) => {
        await trial.requires(CONVERSATIONS);
        const id = await begun(trial, []);
        const first = await (await trial.connect()).completed({ input: SAY_OK, store: true });
        const both = { input: SAY_OK, conversation: id, previous_response_id: first.id };
        same((await trial.post(both)).status, 400, "The status");
      },
    },
    {
      id: "conversations.unknown",
      level: "should",
      title: "A turn in a conversation that nobody knows is refused.",
      rule: "D3",
      from: FROM,
      mend: "Never begin a new conversation in the place of an unknown one.",
      run: async (trial) => {
        await trial.requires(CONVERSATIONS);
        const { status } = await trial.post({ input: SAY_OK, conversation: "conv_conformance_missing" });
        demand(status === 404 || status === 400, "The status is not that of a mistake.", { got: status });
      },
    },
    {
      id: "conversations.locked",
      level: "should",
      title: "While a turn runs in a conversation a second one is refused by conversation_locked.",
      rule: "D4",
      from: "OpenAI: Another process is currently operating on this conversation",
      mend: "Lock the conversation while a turn runs in it, in all processes that share it.",
      run: async (trial) => {
        await trial.requires(CONVERSATIONS);
        const id = await begun(trial, []);
        const [socket, other] = [await trial.connect(), await trial.connect()];
        socket.create({ input: COUNT, conversation: id });
        await socket.frame();
        const refused = await other.turn({ input: SAY_OK, conversation: id });
        const first = await socket.rest();
        if (refused.last.type === "error") {
          same(errorOf(refused.last, "The error event")["code"], "conversation_locked", "'code' of the error");
          await other.completed({ input: SAY_OK, conversation: id });
          return;
        }
        // A fast model may have ended before the other turn came; then both are in the conversation, one after the other.
        same(
          [first.last.type, refused.last.type],
          ["response.completed", "response.completed"],
          "How both turns ended",
        );
        const items = list((await answered(trial, "GET", `/conversations/${id}/items`))["data"], "'data'");
        const outputs = [first, refused].flatMap(({ response }) => response?.output ?? []);
        same(items.length, 2 + outputs.length, "The number of items: both inputs and all outputs");
      },
    },
    {
      id: "conversations.unstored",
      level: "should",
      title: "A turn with store: false reads a conversation and adds nothing to it.",
      rule: "D5",
      from: "OpenAI, as measured; store: false writes nothing anywhere",
      mend: "Do not write what a client has asked not to store.",
      run: async (trial) => {
        await trial.requires(CONVERSATIONS);
        const id = await begun(trial, [user("one")]);
        await (await trial.connect()).completed({ input: SAY_OK, conversation: id, store: false });
        same(textsOf(await answered(trial, "GET", `/conversations/${id}/items`)), ["one"], "The items afterwards");
      },
    },
    {
      id: "conversations.tenants",
      level: "must",
      title: "A conversation of another key can be neither read nor changed nor used.",
      rule: "A2",
      from: "tenants share nothing",
      mend: "Make the tenant part of the key under which a conversation is kept.",
      run: async (trial) => {
        const key = trial.secondKey;
        await trial.requires(CONVERSATIONS);
        const id = await begun(trial, [user("one")]);
        for (const [method, suffix, json] of [
          ["GET", "", undefined],
          ["POST", "", { metadata: {} }],
          ["GET", "/items", undefined],
          ["POST", "/items", { items: [user("x")] }],
          ["DELETE", "", undefined],
        ] as const) {
          const ask = async (conversation: string): Promise<unknown> => {
            const path = `/conversations/${conversation}${suffix}`;
            const { status, text } = await trial.request(method, path, { key, ...(json && { json }) });
            return { status, text: text.replaceAll(conversation, "…") };
          };
          same(
            await ask(id),
            await ask("conv_conformance_missing"),
            `The answer to ${method} …${suffix} for a conversation of another key, against one of nobody's,`,
          );
        }
        const { status } = await trial.post({ input: SAY_OK, conversation: id }, { key });
        demand(status === 404 || status === 400, "The other key has used the conversation.", { got: status });
        same(
          textsOf(await answered(trial, "GET", `/conversations/${id}/items`)),
          ["one"],
          "The owner's items afterwards",
        );
      },
    },
  ],
};

async function answered(trial: Trial, method: string, path: string, json?: Json): Promise<Json> {
  const answer = await trial.request(method, path, json === undefined ? {} : { json });
  same(answer.status, 200, `The status of ${method} ${path}`);
  return answer.json;
}

async function begun(trial: Trial, items: readonly Json[]): Promise<string> {
  return String((await answered(trial, "POST", "/conversations", { items }))["id"]);
}

function textsOf(page: Json): readonly unknown[] {
  return list(page["data"], "'data'").map((item) => {
    const [part] = list(object(item, "An item")["content"], "'content' of an item");
    return object(part, "A content part")["text"];
  });
}
