import {
  choice,
  fieldNames,
  integer,
  jsonObject,
  models,
  onOff,
  optionalText,
  seconds,
  secondsOrNever,
  url,
} from "./setting-kinds.ts";
import { dialect } from "./setting-dialect.ts";

/** The rows of `settings.ts` about the model and what serves it, and about the simulator that stands in for it. */
export const MODEL_SETTINGS = {
  backend: {
    ...url("An OpenAI-compatible model server, such as http://localhost:8000/v1. Without it: the simulator."),
    group: "Model",
  },
  backendKey: {
    ...optionalText("<key>", "a key", { description: "API key that the model server wants." }),
    secret: true,
    group: "Model",
  },
  models: {
    ...models("A model name that clients use, and the model server's own. '*=name' serves every other name."),
    flag: "model",
    group: "Model",
  },
  defaultModel: {
    ...optionalText("<name>", "a name", {
      description:
        "The model server's name of a model that stands in for every name that nobody knows, such as gpt-5.5.",
    }),
    group: "Model",
  },
  connectTimeout: {
    ...seconds({ default: 10, description: "To reach the model server." }),
    group: "Model",
  },
  firstByteTimeout: {
    ...seconds({ default: 300, description: "Until the model server begins to answer." }),
    group: "Model",
  },
  acceptTimeout: {
    ...secondsOrNever({
      default: 1,
      description:
        "How long the first event waits for the model server's status, so that a refusal is an HTTP status or an error frame; 0 does not wait.",
    }),
    group: "Model",
  },
  silenceTimeout: {
    ...seconds({ default: 120, description: "Without a byte in the middle of an answer." }),
    group: "Model",
  },
  backendRetries: {
    ...integer({
      minimum: 0,
      maximum: 10,
      default: 2,
      description: "Further attempts while nothing has been answered.",
    }),
    group: "Model",
  },
  reasoningPassback: {
    ...choice(["reasoning_content", "reasoning", "none"], {
      default: "reasoning_content",
      description: "Message field in which earlier reasoning goes back to the model server.",
    }),
    value: "<field|none>",
    group: "Model",
  },
  thinkTags: {
    ...choice(["auto", "open", "off"], {
      default: "auto",
      description:
        "Thinking in tags such as <think>: auto reads it at the beginning of an answer, open where the opening tag is missing.",
    }),
    group: "Model",
  },
  strictTools: {
    ...onOff("Refuse tools that the model server cannot be offered, instead of leaving them out."),
    group: "Model",
  },
  mcpTools: {
    ...choice(["refuse", "omit"], {
      default: "refuse",
      description:
        "Tools of the kind mcp, which nothing here can run: refuse the request, or omit them and say so in the log.",
    }),
    value: "<what>",
    group: "Model",
  },
  backendMaxTokensField: {
    ...choice(["max_tokens", "max_completion_tokens"], {
      default: "max_tokens",
      description: "Field that carries the output limit: max_tokens or max_completion_tokens.",
    }),
    value: "<field>",
    group: "Model",
  },
  prefill: {
    ...onOff("On a warm-up, have the model server read the context at once: it costs a request of one token."),
    group: "Model",
  },
  tokenizer: {
    ...choice(["auto", "o200k_base", "cl100k_base"], {
      default: "auto",
      description: "How input tokens are counted; auto: by the model server where it can, else by o200k_base.",
    }),
    group: "Model",
  },
  backendDialect: {
    ...dialect("What the model server demands of requests, where it is not to be learned: docs/model-servers.md."),
    group: "Model",
  },
  backendExtraBody: {
    ...jsonObject("Fields of every request to the model server, above what clients say."),
    group: "Model",
  },
  backendDefaultBody: {
    ...jsonObject("Fields of requests to the model server that say nothing else: clients override them."),
    group: "Model",
  },
  backendAllowFields: {
    ...fieldNames(
      "Fields that clients may send to the model server besides those of sampling, such as priority; '*' is all.",
    ),
    group: "Model",
  },

  simDelayMs: {
    ...integer({ minimum: 0, maximum: 600_000, default: 0, description: "Milliseconds before the first token." }),
    value: "<ms>",
    group: "Simulator",
  },
  simRate: {
    ...integer({
      minimum: 0,
      maximum: 1_000_000,
      default: 0,
      description: "Tokens per second; 0 is as fast as it can.",
    }),
    group: "Simulator",
  },
  simRounds: {
    ...integer({ minimum: 0, maximum: 1000, default: 3, description: "Rounds of tool calls before it answers." }),
    group: "Simulator",
  },
  simTools: {
    ...choice(["safe", "all", "none"], {
      default: "safe",
      description:
        "Tools that it calls unless tool_choice decides: those that only read (and one echo in a shell), all, or none.",
    }),
    value: "<safe|all|none>",
    group: "Simulator",
  },
} as const;
