/**
 * Which fields of a request, beyond those of the API, reach the model server. Engines take many more than sampling: fields
 * that schedule, share caches, load adapters, call other hosts or choose another model. So a client's fields pass by a list,
 * and an operator may lengthen it.
 */

type Fields = { readonly [field: string]: unknown };

/** What shapes the text of an answer and nothing else, in vLLM, SGLang, llama.cpp, Ollama and hosted APIs. */
const SAMPLING: ReadonlySet<string> = new Set([
  "top_k",
  "top_a",
  "top_n_sigma",
  "min_p",
  "typical_p",
  "typ_p",
  "tfs_z",
  "min_keep",
  "min_tokens",
  "max_tokens",
  "max_completion_tokens",
  "temperature_last",
  "smoothing_factor",
  "smoothing_curve",
  "repetition_penalty",
  "repeat_penalty",
  "repeat_last_n",
  "penalty_range",
  "no_repeat_ngram_size",
  "length_penalty",
  "logit_bias",
  "bad_words",
  "seed",
  "random_seed",
  "stop",
  "stop_token_ids",
  "skip_special_tokens",
  "spaces_between_special_tokens",
  "mirostat",
  "mirostat_tau",
  "mirostat_eta",
  "dynatemp_range",
  "dynatemp_exponent",
  "dry_multiplier",
  "dry_base",
  "dry_allowed_length",
  "dry_penalty_last_n",
  "dry_sequence_breakers",
  "xtc_probability",
  "xtc_threshold",
  "samplers",
  "verbosity",
  "safe_prompt",
  "think",
  "thinking",
  "thinking_budget",
  "enable_thinking",
  "reasoning_effort",
  "chat_template_kwargs",
]);

/** Fields that are the request's own shape: neither a client nor an operator sets them. */
const RESERVED: ReadonlySet<string> = new Set([
  "model",
  "messages",
  "stream",
  "tools",
  "n",
  "best_of",
  "functions",
  "function_call",
]);

/**
 * Fields by which a request chooses its model, or brings further fields: a key's models would bind nobody who may send
 * them. No list allows them.
 */
const CHOOSES_MODEL =
  /^(?:models?|fallback|rout|draft|speculative|lora|adapter|preset|plugins|extra_?(?:body|args|query|headers))/i;

/** Fields of engines and routers that are worth naming in a log; the names of all others are the client's own words. */
const KNOWN_CONTROLS: ReadonlySet<string> = new Set([
  "model",
  "models",
  "route",
  "provider",
  "plugins",
  "preset",
  "transforms",
  "fallbacks",
  "priority",
  "cache_salt",
  "extra_key",
  "session_id",
  "session_params",
  "request_id",
  "rid",
  "id_slot",
  "slot_id",
  "cache_prompt",
  "keep_alive",
  "options",
  "kv_transfer_params",
  "vllm_xargs",
  "extra_args",
  "extra_body",
  "custom_params",
  "custom_logit_processor",
  "logits_processors",
  "bootstrap_host",
  "bootstrap_port",
  "bootstrap_room",
  "data_parallel_rank",
  "routed_dp_rank",
  "lora",
  "lora_path",
  "lora_request",
  "chat_template",
  "add_generation_prompt",
  "continue_final_message",
  "documents",
  "mm_processor_kwargs",
  "structured_outputs",
  "guided_json",
  "guided_regex",
  "guided_choice",
  "guided_grammar",
  "guided_decoding_backend",
  "grammar",
  "json_schema",
  "regex",
  "ebnf",
  "ignore_eos",
  "best_of",
  "n",
  "use_beam_search",
  "prompt_logprobs",
  "echo",
  "return_token_ids",
  "return_tokens_as_token_ids",
  "return_hidden_states",
  "return_cached_tokens_details",
  "return_progress",
  "stream_interval",
  "nvext",
  "web_search_options",
  "modalities",
  "audio",
  "prediction",
  "messages",
]);

/** Whether an operator may let clients send the field. */
export function isAllowable(field: string): boolean {
  return field === "*" || (!RESERVED.has(field) && !CHOOSES_MODEL.test(field));
}

/** Whether an operator may set the field for every request. */
export function isSettable(field: string): boolean {
  return !RESERVED.has(field);
}

export type PassedFields = {
  readonly passed: Fields;
  /** Names of the fields that were dropped, as they may be logged. */
  readonly dropped: readonly string[];
};

/** @param allowed further fields that clients may send; `*` is every field that may be allowed */
export function passFields(extra: Fields, allowed: readonly string[]): PassedFields {
  const passed: [string, unknown][] = [];
  const dropped = new Set<string>();
  for (const [field, value] of Object.entries(extra)) {
    const isListed = allowed.includes(field) || allowed.includes("*");
    if (isListed && isAllowable(field)) passed.push([field, value]);
    else if (SAMPLING.has(field)) passed.push([field, field === "chat_template_kwargs" ? switches(value) : value]);
    else dropped.add(KNOWN_CONTROLS.has(field) ? field : "(another)");
  }
  return { passed: Object.fromEntries(passed), dropped: [...dropped] };
}

/** Arguments of the function that renders a template, which engines let a template's own switches override. */
const OF_THE_RENDERER =
  /^(?:chat_template|conversations?|messages|tools|documents|tokenize|padding|truncation|max_length|return_|add_generation|continue_final|add_special|tokenizer|processor)/;

/** What a client may tell a chat template: plain switches, such as `enable_thinking`. */
function switches(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).filter(
    ([name, each]) => !OF_THE_RENDERER.test(name) && (typeof each !== "object" || each === null),
  );
  return Object.fromEntries(entries);
}
