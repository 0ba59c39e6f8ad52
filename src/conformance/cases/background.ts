import type { Group } from "../case.ts";
import { BACKGROUND } from "../features.ts";
import { SAY_OK } from "../prompts.ts";
import type { Trial } from "../trial.ts";
import type { Json } from "../types.ts";
import { demand, same } from "../violation.ts";
import { object } from "../wire.ts";

/** Responses that outlive whoever asked for them. */
export const BACKGROUNDS: Group = {
  name: "background",
  title: "background responses over HTTP: run, followed, cancelled; requests that come again",
  cases: [
    {
      id: "background.runs",
      level: "extension",
      title: "A background response is answered before it has ended, and comes to its end by itself.",
      rule: "O1",
      from: "OpenAI: background mode",
      mend: "Answer with the response as it is, and let its turn go on without its client.",
      waits: 3,
      run: async (trial) => {
        await trial.requires(BACKGROUND);
        const { status, json } = await trial.post({ input: SAY_OK, background: true });
        same(status, 200, "The status of the answer");
        same(json["background"], true, "'background' of the response");
        same((await ended(trial, String(json["id"])))["status"], "completed", "'status' in the end");
      },
    },
    {
      id: "background.stream",
      level: "extension",
      title: "The stream of a background response is the one that is streamed again, from its first event on.",
      rule: "O1",
      from: "OpenAI: background mode, stream, starting_after",
      mend: "Number the events once, and keep them for those who come later.",
      waits: 2,
      run: async (trial) => {
        await trial.requires(BACKGROUND);
        const made = await trial.post({ input: SAY_OK, background: true, stream: true });
        const { id } = object(made.events[0]?.["response"], "The response of the first event");
        const again = await trial.request("GET", `/responses/${String(id)}?stream=true&starting_after=1`);
        same(again.events, made.events.slice(2), "The events behind number 1");
      },
    },
    {
      id: "background.cancel",
      level: "extension",
      title: "Cancelling a background response is harmless however often, and leaves it ended.",
      rule: "O3",
      from: "OpenAI: cancelling twice is idempotent",
      mend: "Answer a second cancel with the response as it is.",
      waits: 2,
      run: async (trial) => {
        await trial.requires(BACKGROUND);
        const { json } = await trial.post({ input: SAY_OK, background: true });
        const [first, second] = [await cancel(trial, json["id"]), await cancel(trial, json["id"])];
        same(first.status, 200, "The status of the answer");
        demand(isOver(first.json["status"]), "The response has not ended.", { got: first.json["status"] });
        same(second.json["status"], first.json["status"], "'status' after the second cancel");
      },
    },
    {
      id: "background.cancel-foreground",
      level: "extension",
      title: "A response that was not made in the background cannot be cancelled: 400.",
      rule: "O3",
      from: "OpenAI",
      mend: "Refuse to cancel what its own request waits for.",
      run: async (trial) => {
        await trial.requires(BACKGROUND);
        const { json } = await trial.post({ input: SAY_OK, store: true });
        same((await cancel(trial, json["id"])).status, 400, "The status of the answer");
      },
    },
    {
      id: "background.idempotency",
      level: "extension",
      title: "A request that is sent twice with one Idempotency-Key makes one response.",
      rule: "O7",
      from: "The draft of the IETF on the Idempotency-Key header",
      mend: "Write the key down before the model is asked, and answer a second request with the first one's response.",
      waits: 2,
      run: async (trial) => {
        await trial.requires(BACKGROUND);
        const headers = { "idempotency-key": `conformance-${Math.random()}` };
        const [first, second] = [
          await trial.post({ input: SAY_OK, store: true }, { headers }),
          await trial.post({ input: SAY_OK, store: true }, { headers }),
        ];
        same(second.json["id"], first.json["id"], "The id of the second answer");
      },
    },
  ],
};

function cancel(trial: Trial, id: unknown) {
  return trial.request("POST", `/responses/${String(id)}/cancel`);
}

function isOver(status: unknown): boolean {
  return status !== "queued" && status !== "in_progress";
}

/** The response in its last form. */
async function ended(trial: Trial, id: string): Promise<Json> {
  const patience = Date.now() + trial.timeoutMs;
  for (;;) {
    const { json } = await trial.request("GET", `/responses/${id}`);
    if (isOver(json["status"])) return json;
    demand(Date.now() < patience, "The response does not come to an end.", { got: json["status"] });
  }
}
