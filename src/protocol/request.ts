import Type from "typebox";
import { type Echo, ECHOES } from "./echo.ts";
import { ApiError } from "./errors.ts";
import { isRawInteger, type RawInteger } from "./exact-json.ts";
import { checkFormat, finish, inputInSteps } from "./input.ts";
import { type Item, type TextFormat, TextFormatSchema } from "./items.ts";
import { checkToolChoice, checkTools, showTool, type Tool, type ToolChoice, ToolSchema } from "./tools.ts";
import type { ReasoningSettings } from "./response.ts";
import { INCLUDE } from "./table.ts";
import { compileCheck, nullable, oneOf } from "./validation.ts";

/**
 * The body of a create request, the same for `POST /v1/responses` and for `response.create`. `parseCreateRequest` is the
 * border: an unknown value goes in, and a `CreateRequest` comes out that nobody checks again.
 */

export const MetadataSchema = Type.Record(Type.String(), Type.String({ maxLength: 512 }), {
  propertyNames: Type.String({ maxLength: 64 }),
  maxProperties: 16,
});

export const CreateRequestSchema = Type.Object({
  model: nullable(Type.String({ minLength: 1 })),
  input: nullable(Type.Union([Type.String(), Type.Array(Type.Object({}))])),
  previous_response_id: nullable(Type.String()),
  conversation: nullable(
    Type.Union([Type.String({ minLength: 1 }), Type.Object({ id: Type.String({ minLength: 1 }) })]),
  ),
  instructions: nullable(Type.String()),
  tools: nullable(Type.Array(ToolSchema)),
  tool_choice: nullable(Type.Union([oneOf("auto", "none", "required"), Type.Object({ type: Type.String() })])),
  parallel_tool_calls: nullable(Type.Boolean()),
  text: nullable(
    Type.Object({
      format: nullable(TextFormatSchema),
      verbosity: nullable(Type.String()),
    }),
  ),
  reasoning: nullable(
    Type.Object({
      effort: nullable(Type.String()),
      summary: nullable(Type.String()),
      /** The older name of `summary`. */
      generate_summary: nullable(Type.String()),
      context: nullable(Type.String()),
      mode: nullable(Type.String()),
    }),
  ),
  max_output_tokens: nullable(Type.Integer({ minimum: 1 })),
  max_tool_calls: nullable(Type.Integer({ minimum: 1 })),
  temperature: nullable(Type.Number({ minimum: 0, maximum: 2 })),
  top_p: nullable(Type.Number({ minimum: 0, maximum: 1 })),
  top_logprobs: nullable(Type.Integer({ minimum: 0, maximum: 20 })),
  presence_penalty: nullable(Type.Number({ minimum: -2, maximum: 2 })),
  frequency_penalty: nullable(Type.Number({ minimum: -2, maximum: 2 })),
  truncation: nullable(oneOf("auto", "disabled")),
  include: nullable(Type.Array(oneOf(...INCLUDE))),
  store: nullable(Type.Boolean()),
  stream: nullable(Type.Boolean()),
  background: nullable(Type.Boolean()),
  metadata: nullable(MetadataSchema),
  user: nullable(Type.String()),
  safety_identifier: nullable(Type.String()),
  prompt_cache_key: nullable(Type.String()),
  prompt_cache_retention: nullable(Type.String()),
  service_tier: nullable(Type.String()),
  stream_options: nullable(
    Type.Object({
      include_obfuscation: nullable(Type.Boolean()),
      /** Ours: how much of the request the events of the response repeat. */
      echo: nullable(oneOf(...ECHOES)),
    }),
  ),
  generate: nullable(Type.Boolean()),
  prompt_cache_options: nullable(Type.Object({ prewarm: nullable(Type.Boolean()) })),
  context_management: nullable(
    Type.Array(
      Type.Object({
        type: Type.String(),
        compact_threshold: nullable(Type.Integer({ minimum: 1 })),
        compact_threshold_bytes: nullable(Type.Integer({ minimum: 1 })),
      }),
    ),
  ),
});

/** Fields of the Responses API, or of its real clients, that say nothing to a model server; never passed on to one. */
export const NOT_FOR_THE_MODEL = [
  "type",
  "access_programs",
  "background_options",
  "client_metadata",
  "image",
  "moderation",
  "multi_agent",
  "prompt",
  "stream_id",
] as const;

const KNOWN_FIELDS = new Set<string>([...Object.keys(CreateRequestSchema.properties), ...NOT_FOR_THE_MODEL]);

/** Fields that change what a request means and that this server does not offer: refused, never ignored. */
const UNSUPPORTED_FIELDS: readonly UnsupportedField[] = [
  { field: "prompt", asks: isGiven, message: "Prompt templates are not supported." },
];

type UnsupportedField = {
  readonly field: string;
  /** Whether this value asks for what is not there; any other is what happens anyway. */
  readonly asks: (value: unknown) => boolean;
  readonly message: string;
};

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** How large a context may become before it is compacted; null is the server's choice. */
type CompactionThresholds = {
  readonly tokens: number | null;
  /** Ours: limits of bytes are reached first where there are images. */
  readonly bytes: number | null;
};

/** A create request with every default filled in. Settings that the client left out and that have no default are null. */
export type CreateRequest = {
  /** Empty where the client left it out: the server then takes the only model that it has. */
  readonly model: string;
  readonly input: readonly Item[];
  readonly previous_response_id: string | null;
  /** Id of the conversation that the turn reads and, if it is stored, adds to. */
  readonly conversation: string | null;
  readonly instructions: string | null;
  readonly tools: readonly Tool[];
  readonly tool_choice: ToolChoice;
  readonly parallel_tool_calls: boolean | null;
  readonly text: { readonly format: TextFormat; readonly verbosity: string | null };
  readonly reasoning: ReasoningSettings;
  readonly max_output_tokens: number | null;
  /** Only shown: it counts hosted tools, which this server does not run. */
  readonly max_tool_calls: number | RawInteger | null;
  readonly temperature: number | null;
  readonly top_p: number | null;
  readonly top_logprobs: number | null;
  /** Whether the log probabilities of the model's text are to be shown. */
  readonly logprobs: boolean;
  /** Whether reasoning also comes in a form that a client can send back and nobody else can read. */
  readonly sealedReasoning: boolean;
  readonly presence_penalty: number | null;
  readonly frequency_penalty: number | null;
  readonly truncation: "auto" | "disabled";
  readonly store: boolean;
  readonly stream: boolean;
  /** Whether deltas are padded, so that their sizes on the wire say less of what they hold. */
  readonly obfuscated: boolean;
  /** How much of the request the events repeat; null leaves it to the connection. */
  readonly echo: Echo | null;
  /** Whether the response is made whether or not anybody waits for it. */
  readonly background: boolean;
  readonly metadata: { readonly [key: string]: string };
  readonly user: string | null;
  readonly safety_identifier: string | null;
  readonly prompt_cache_key: string | null;
  readonly prompt_cache_retention: string | null;
  readonly service_tier: string | null;
  /** False for a warm-up: the context is taken in and nothing is generated. */
  readonly generate: boolean;
  /** When the context is to be compacted on the way; null when it is not to be. */
  readonly compaction: CompactionThresholds | null;
  /** Fields that the API does not know (`top_k`, `seed`, …), for the model server to make sense of. */
  readonly extra: { readonly [field: string]: unknown };
};

const checkBody = compileCheck(CreateRequestSchema);

/**
 * Checks a create request and fills in its defaults.
 * @throws ApiError `invalid_type`, `invalid_value`, `missing_required_parameter` or `unsupported_parameter`, with `param`.
 */
export function parseCreateRequest(value: unknown): CreateRequest {
  return finish(createRequestInSteps(value));
}

export function* createRequestInSteps(value: unknown): Generator<void, CreateRequest> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ApiError("invalid_type", "The request body must be a JSON object.");
  }
  const body = checkedBody(value);
  for (const { field, asks, message } of UNSUPPORTED_FIELDS) {
    if (asks((body as Record<string, unknown>)[field])) {
      throw new ApiError("unsupported_parameter", message, { param: field });
    }
  }
  const { multi_agent: agents } = body as { readonly multi_agent?: { readonly enabled?: unknown } | null };
  if (agents?.enabled === true) {
    throw new ApiError("unsupported_value", "Multi-agent mode is not supported.", { param: "multi_agent" });
  }
  const conversation = (typeof body.conversation === "string" ? body.conversation : body.conversation?.id) ?? null;
  const previous = body.previous_response_id ?? null;
  if ((body.input ?? null) === null && previous === null && conversation === null) {
    const message = "Missing required parameter: 'input' (or 'previous_response_id', or 'conversation').";
    throw new ApiError("missing_required_parameter", message, { param: "input" });
  }
  if (body.background === true && body.store === false) {
    const message = "Background responses must be stored: 'background: true' and 'store: false' exclude each other.";
    throw new ApiError("invalid_value", message, { param: "background" });
  }
  if (previous !== null && conversation !== null) {
    const message = "Mutually exclusive parameters: provide only one of 'previous_response_id' and 'conversation'.";
    throw new ApiError("invalid_value", message, { param: "conversation" });
  }
  const tools = body.tools ?? [];
  checkTools(tools, "tools");
  const choice = body.tool_choice ?? "auto";
  checkToolChoice(choice);
  const format = body.text?.format ?? { type: "text" };
  checkFormat(format, "text.format");
  return {
    model: body.model ?? "",
    input: yield* inputInSteps(body.input ?? []),
    previous_response_id: previous,
    conversation,
    instructions: body.instructions ?? null,
    tools: tools.map(showTool),
    tool_choice: choice,
    parallel_tool_calls: body.parallel_tool_calls ?? null,
    text: { format, verbosity: body.text?.verbosity ?? null },
    reasoning: parseReasoning(body.reasoning),
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: body.max_tool_calls ?? null,
    temperature: body.temperature ?? null,
    top_p: body.top_p ?? null,
    top_logprobs: body.top_logprobs ?? null,
    logprobs: (body.include ?? []).includes("message.output_text.logprobs"),
    sealedReasoning: (body.include ?? []).includes("reasoning.encrypted_content"),
    presence_penalty: body.presence_penalty ?? null,
    frequency_penalty: body.frequency_penalty ?? null,
    truncation: body.truncation ?? "disabled",
    store: body.store ?? true,
    stream: body.stream ?? false,
    obfuscated: body.stream_options?.include_obfuscation ?? false,
    echo: body.stream_options?.echo ?? null,
    background: body.background ?? false,
    metadata: body.metadata ?? {},
    user: body.user ?? null,
    safety_identifier: body.safety_identifier ?? null,
    prompt_cache_key: body.prompt_cache_key ?? null,
    prompt_cache_retention: body.prompt_cache_retention ?? null,
    service_tier: body.service_tier ?? null,
    generate: (body.generate ?? true) && body.prompt_cache_options?.prewarm !== true,
    compaction: parseThresholds(body.context_management ?? []),
    extra: Object.fromEntries(Object.entries(body).filter(([field]) => !KNOWN_FIELDS.has(field))),
  };
}

function parseReasoning(given: RawBody["reasoning"]): ReasoningSettings {
  const { effort, summary, generate_summary, context, mode } = given ?? {};
  return {
    effort: effort ?? null,
    summary: summary ?? generate_summary ?? null,
    context: context ?? null,
    mode: mode ?? null,
  };
}

/** The largest integer that OpenAI takes. */
const LARGEST_INTEGER = 2n ** 63n - 1n;

/**
 * The body, with integers that no JavaScript number holds. They are checked as numbers; those that are only shown, or passed
 * on, are kept as they were sent.
 * @throws ApiError
 */
function checkedBody(value: object): RawBody {
  const large = Object.entries(value).filter(([, field]) => isRawInteger(field)) as [string, RawInteger][];
  if (large.length === 0) {
    checkBody(value, "");
    return value;
  }
  const near = Object.fromEntries(large.map(([name, { rawJSON }]) => [name, rounded(rawJSON)]));
  checkBody({ ...value, ...near }, "");
  for (const [name, { rawJSON }] of large) {
    if (BigInt(rawJSON) <= LARGEST_INTEGER || !KNOWN_FIELDS.has(name)) continue;
    const words = `integer above maximum value. Expected a value <= ${LARGEST_INTEGER}, but got ${rawJSON} instead.`;
    throw new ApiError("integer_above_max_value", `Invalid '${name}': ${words}`, { param: name });
  }
  const exact = Object.fromEntries(large.filter(([name]) => name === "max_tool_calls" || !KNOWN_FIELDS.has(name)));
  return { ...value, ...near, ...exact };
}

/** The nearest integer that a JavaScript number holds exactly. */
function rounded(integer: string): number {
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number(integer), Number.MAX_SAFE_INTEGER));
}

function parseThresholds(management: NonNullable<RawBody["context_management"]>): CompactionThresholds | null {
  if (management.length === 0) return null;
  management.forEach(({ type }, index) => {
    if (type === "compaction") return;
    const message = `Invalid value: '${type}'. Supported values are: 'compaction'.`;
    throw new ApiError("invalid_value", message, { param: `context_management[${index}].type` });
  });
  return {
    tokens: lowest(management.map((entry) => entry.compact_threshold)),
    bytes: lowest(management.map((entry) => entry.compact_threshold_bytes)),
  };
}

function lowest(values: readonly (number | null | undefined)[]): number | null {
  const named = values.filter((value) => typeof value === "number");
  return named.length === 0 ? null : named.reduce((least, value) => Math.min(least, value));
}

/** The shape that `checkBody` has proved. */
type RawBody = { readonly model?: string | null; readonly input?: string | readonly object[] | null } & {
  readonly [Field in Exclude<
    keyof CreateRequest,
    | "model"
    | "input"
    | "extra"
    | "text"
    | "reasoning"
    | "compaction"
    | "conversation"
    | "logprobs"
    | "sealedReasoning"
    | "obfuscated"
    | "echo"
  >]?: CreateRequest[Field] | null;
} & {
  readonly text?: { readonly format?: TextFormat | null; readonly verbosity?: string | null } | null;
  readonly reasoning?:
    | {
        readonly [Field in keyof ReasoningSettings | "generate_summary"]?: string | null;
      }
    | null;
  readonly stream_options?: { readonly include_obfuscation?: boolean | null; readonly echo?: Echo | null } | null;
  readonly include?: readonly (typeof INCLUDE)[number][] | null;
  readonly conversation?: string | { readonly id: string } | null;
  readonly prompt_cache_options?: { readonly prewarm?: boolean | null } | null;
  readonly context_management?:
    | readonly {
        readonly type: string;
        readonly compact_threshold?: number | null;
        readonly compact_threshold_bytes?: number | null;
      }[]
    | null;
};
