import { expect } from "vitest";

/** What is right where a recording of a habit does not say it, as one line or as a pattern of it. */
const LINES: Readonly<Record<string, string | RegExp>> = {
  "h-429-date": /^rate_limit_exceeded: .*slow down/,
  "h-429-ms": /^rate_limit_exceeded: .*slow down/,
  "h-429-reset": /^rate_limit_exceeded: .*Please try again in 7m12s/,
  "h-429-float": /^rate_limit_exceeded: .*slow/,
  "h-429-quota": /^insufficient_quota: .*exceeded your current quota/,
  "h-402": /^insufficient_quota: .*Insufficient Balance/,
  "h-404-endpoints": /^invalid_prompt: .*No endpoints found that support tool use/,
  "h-404-html": /^invalid_prompt: .*end in \/v1\?/,
  "h-404-ollama": /^model_not_found: /,
  "h-403-moderation": /^invalid_prompt: .*flagged by the moderation/,
  "h-408": /^server_error: .*timeout/,
  "h-409": /^server_error: .*conflict/,
  "h-413": /^context_length_exceeded: /,
  "h-413-json": /^rate_limit_exceeded: .*tokens per minute/,
  "h-529": /^\w+: .*overloaded/,
  "h-520": /^\w+: .*520/,
  "h-500-jinja": /^invalid_prompt: .*roles must alternate/,
  "h-422-fastapi": /^invalid_prompt: .*reasoning_effort/,
  "h-400-gemini-array": /^invalid_prompt: .*web_search_options/,
  "h-400-cloudflare": /^invalid_prompt: .*AiError: bad input/,
  "h-400-text": /^invalid_prompt: .*tools are not supported by this model/,
  "h-400-msg-nested": /^invalid_prompt: .*bad/,
  "tc-noindex-id-each": 'completed call get_weather[call_1] "{\\"city\\":\\"Rome\\"}"',
  "tc-noindex-id-name-each": 'completed call get_weather[call_1] "{\\"city\\":\\"Rome\\"}"',
  "tc-args-before-name": 'completed call get_weather[call_1] "{\\"city\\":\\"Rome\\"}"',
  "tc-localai-dup-index": 'completed call get_weather[LipwoT0p] "{\\"city\\":\\"Rome\\"}"',
  "tc-noid-noindex-two": 'completed call get_weather[ours] "{\\"city\\":\\"Rome\\"}" ; call now[ours] "{}"',
  "tc-emptyid": 'completed call get_weather[ours] "{\\"city\\":\\"Rome\\"}"',
  "tc-frag-name": 'completed call get_weather[call_1] "{\\"city\\":\\"Rome\\"}"',
  "tc-cumulative-args": 'completed call get_weather[call_1] "{\\"city\\":\\"Rome\\"}"',
  "tc-id-number": 'completed call get_weather[17] "{\\"city\\":\\"Rome\\"}"',
  "tc-dup-ids": 'completed call get_weather[call_1] "{\\"city\\":\\"Rome\\"}" ; call now[ours] "{}"',
  "tc-not-array": 'completed msg(x) ; call get_weather[call_1] "{\\"city\\":\\"Rome\\"}"',
  "tc-legacy-function_call": 'completed call get_weather[ours] "{\\"city\\":\\"Rome\\"}"',
  "tc-name-missing": "server_error: The model server made a tool call without a name",
  "tc-extra_content": 'completed call get_weather[call_1] "{\\"city\\":\\"Rome\\"}"',
  "tc-openrouter-details": 'completed call get_weather[call_1] "{\\"city\\":\\"Rome\\"}"',
  "f-empty-data": "completed msg(hello)",
  "f-event-ping-text": "completed msg(hello)",
  "f-data-comment": "completed msg(hello)",
  // Data on several lines is one text, by the standard.
  "f-single-newline": "server_error: The model server sent a chunk that is not JSON: {",
  "f-done-space": "completed msg(hello)",
  "f-done-space-after": "completed msg(hello)",
  "f-done-alone": "server_error: The model server answered with nothing that a chat completion has.",
  "f-hang-after-finish": "completed msg(hello)",
  "f-hang-after-done": "completed msg(hello)",
  "f-surrogate-lone": "completed msg(a\ud83db)",
  "f-nul": "completed msg(a\u0000b\u001b[0m)",
  "f-nan": "server_error: The model server sent a chunk that is not JSON: {",
  "f-gzip": "completed msg(hello)",
  "f-ctype-upper": "completed msg(hello)",
  "f-ctype-none": "completed msg(hello)",
  "f-ctype-json": "completed msg(hello)",
  "f-json-body": "completed msg(hello)",
  "f-json-error-200": /^invalid_prompt: .*Provider returned error/,
  "c-parts-thinking": "completed think(hmm ok) ; msg(hello you)",
  "c-part-null": "completed msg(hello)",
  "c-number": "completed msg(42)",
  "c-object": "completed msg(hello)",
  "c-message-not-delta": "completed msg(hello)",
  "c-n2": "completed msg(AD)",
  "c-harmony": /^completed msg\(<\|channel\|>analysis<\|message\|>hmm<\|end\|>/,
  "c-think-inline": "completed think(hmm) ; msg(hello)",
  "c-annotations":
    'completed msg(hello)[{"type":"url_citation","url":"https://e.x","title":"t","start_index":0,"end_index":5}]',
  "r-both-one-empty": "completed think(hmm) ; msg(hello)",
  "r-details-only": "completed think(hmm) ; msg(hello)",
  "fin-MAX_TOKENS": "incomplete max_output_tokens msg(hello)",
  "fin-max_tokens": "incomplete max_output_tokens msg(hello)",
  "fin-model_length": "incomplete max_output_tokens msg(hello)",
  "fin-model_context_window_exceeded": /^context_length_exceeded: /,
  "fin-insufficient_system_resource": /^server_error: .*insufficient_system_resource/,
  "fin-error": /^server_error: .*'error'/,
  "fin-network_error": /^server_error: .*network_error/,
  "fin-sensitive": "incomplete content_filter msg(hello)",
  "u-x_groq": "completed msg(hello)",
  "u-strings": "completed msg(hello)",
  "u-floats-neg": "completed msg(hello)",
  "u-anthropic-names": "completed msg(hello)",
  "e-error-in-choice": /^server_error: .*Provider disconnected/,
  "e-native-finish": /^server_error: .*network_error/,
  "e-object-error": /^server_error: .*something broke/,
  "e-error-empty": "completed msg(hello)",
  "e-minimax-base_resp": /^[a-z_]+: .*insufficient balance/,
  "e-plain-text":
    "server_error: The model server sent a chunk that is not JSON: Number of choices must be greater than 0.",
  "e-event-error-lmstudio": /^context_length_exceeded: /,
  "e-ctx-stream": /^context_length_exceeded: /,
  "g-error-then-hang": /^server_error: .*boom/,
  // The recording shows the first of them.
  "g-hundred-calls": /^completed (call now\[call_\d+\] "\{\}"( ; |$)){100}$/,
  "g-html-200": "server_error: The model server answered with something that is not a chat completion stream",
  "g-rst-after-finish": "completed msg(hello)",
  "g-error-after-finish": /^server_error: .*late/,
};

export const EXPECTED: Readonly<Record<string, RegExp>> = Object.fromEntries(
  Object.entries(LINES).map(([id, line]) => [id, typeof line === "string" ? pattern(line) : line]),
);

/** The whole line; of a failure its beginning. */
export function pattern(line: string): RegExp {
  const isFailure = !/^(completed|incomplete)/.test(line);
  return new RegExp(`^${line.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")}${isFailure ? "" : "$"}`);
}

/** What a second turn says to the model server beside its messages. */
export const SECOND_TURN: Readonly<Record<string, (messages: string) => void>> = {
  "tc-extra_content": (messages) => {
    expect(messages).toContain('"extra_content":{"google":{"thought_signature":"SIG"}}');
  },
  "tc-openrouter-details": (messages) => {
    expect(messages).toContain(
      '"reasoning_details":[{"type":"reasoning.encrypted","data":"ENC","id":"call_1","format":"google-gemini-v1","index":0}]',
    );
  },
  "r-details-only": (messages) => {
    expect(messages).toContain('"text":"hmm"');
    expect(messages).toContain('"signature":"SIG"');
  },
};

/** Refusals and what is learned from them: the tests of the backend have those. */
export const ELSEWHERE: ReadonlySet<string> = new Set([
  "r-groq-strict",
  "r-deepseek-need-noreason",
  "r-only-kimi-empty",
  "h-503-loading",
  "d-stream_options",
  "d-effort",
  "d-max_tokens",
  "d-alternate",
  "d-no-system",
  "d-content-null",
  "d-toolcall-id9",
  "d-tool_choice",
  "g-deepseek-v4-all",
  "g-maxtokens-too-large",
]);
