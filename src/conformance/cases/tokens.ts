import type { Group } from "../case.ts";
import { TOKEN_COUNTS } from "../features.ts";
import { filler, SAY_OK, user } from "../prompts.ts";
import type { Trial } from "../trial.ts";
import type { Json } from "../types.ts";
import { demand, same } from "../violation.ts";

const FROM = "OpenAI";

/** Tokens counted before they are spent. */
export const TOKENS: Group = {
  name: "tokens",
  title: "POST /responses/input_tokens: tokens counted before they are spent",
  cases: [
    {
      id: "tokens.count",
      level: "should",
      title: "A count is an object of its own kind, with a number of tokens above 0.",
      rule: "Z1",
      from: FROM,
      mend: 'Answer with {"object": "response.input_tokens", "input_tokens": n}.',
      run: async (trial) => {
        await trial.requires(TOKEN_COUNTS);
        const { object, input_tokens } = await counted(trial, { input: SAY_OK });
        same(object, "response.input_tokens", "'object' of a count");
        demand(Number.isInteger(input_tokens) && Number(input_tokens) > 0, "'input_tokens' is not a number above 0.", {
          got: input_tokens,
        });
      },
    },
    {
      id: "tokens.grows",
      level: "should",
      title: "Instructions, tools, more input and the chain before it count.",
      rule: "Z1",
      from: FROM,
      mend: "Count all that the model would read, from the instructions to the last item.",
      run: async (trial) => {
        await trial.requires(TOKEN_COUNTS);
        const socket = await trial.connect();
        const { id } = await socket.completed({ input: SAY_OK, store: true });
        const base = await tokens(trial, { input: SAY_OK });
        const tool = { type: "function", name: "look", description: filler(50), parameters: { type: "object" } };
        const more: { readonly [what: string]: Json } = {
          "More input": { input: [user(filler(50)), user(SAY_OK)] },
          Instructions: { input: SAY_OK, instructions: filler(50) },
          "A tool": { input: SAY_OK, tools: [tool] },
          "The chain": { input: SAY_OK, previous_response_id: id },
        };
        for (const [what, fields] of Object.entries(more)) {
          const count = await tokens(trial, fields);
          demand(count > base, `${what} does not count.`, { expected: `more than ${base}`, got: count });
        }
      },
    },
    {
      id: "tokens.unknown-parent",
      level: "should",
      title: "A count on top of a response that nobody knows is refused.",
      rule: "Z1",
      from: FROM,
      mend: "Look the response up as a create request would, and refuse what is not there.",
      run: async (trial) => {
        await trial.requires(TOKEN_COUNTS);
        const fields = { model: trial.model, input: SAY_OK, previous_response_id: "resp_conformance_missing" };
        const { status } = await trial.request("POST", "/responses/input_tokens", { json: fields });
        demand(status === 400 || status === 404, "It was not refused.", { expected: "400 or 404", got: status });
      },
    },
  ],
};

async function counted(trial: Trial, fields: Json): Promise<Json> {
  const answer = await trial.request("POST", "/responses/input_tokens", { json: { model: trial.model, ...fields } });
  same(answer.status, 200, "The status of a count");
  return answer.json;
}

async function tokens(trial: Trial, fields: Json): Promise<number> {
  return Number((await counted(trial, fields))["input_tokens"]);
}
