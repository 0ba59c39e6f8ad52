/**
 * How model servers say that a request does not fit: the context is too long, or the output that was asked for. One table
 * for refusals, for errors inside a stream, and so for `truncation: "auto"` and compaction, which rely on it.
 */

export type Overflow = "context" | "output" | null;

export type OverflowSigns = {
  /** The HTTP status; null for an error inside a stream. */
  readonly status: number | null;
  readonly text: string | null;
  /** Codes and types of the body, in lower case. */
  readonly codes: ReadonlySet<string>;
};

export function overflowIn({ status, text, codes }: OverflowSigns): Overflow {
  if (isRateLimit(codes, text)) return null;
  const words = text ?? "";
  // A server whose key, balance or page is at fault may use the same words for other things.
  if (status !== null && !MAY_BE_TOO_LONG.has(status)) return null;
  if (OUTPUT_TOO_LARGE.some((pattern) => pattern.test(words))) return inputAloneIsTooLong(words) ? "context" : "output";
  const hasCode = [...codes].some((code) => CONTEXT_CODES.test(code));
  if (hasCode || CONTEXT_TOO_LONG.some((pattern) => pattern.test(words))) {
    return outputAloneIsTooLarge(words) ? "output" : "context";
  }
  // A body that is too large without another reason is a context that is too long.
  return status === 413 ? "context" : null;
}

const MAY_BE_TOO_LONG = new Set([400, 413, 414, 422, 500]);

const CONTEXT_CODES =
  /^(?:context_length_exceeded|exceed_context_size_error|(?:model_)?context_window_exceeded|request_too_large|prompt_too_long|input_too_long|1261|3051)$/;

/** A request that is too large for the tokens of a minute fits later, or never; nothing of the context may be cut for it. */
function isRateLimit(codes: ReadonlySet<string>, text: string | null): boolean {
  return (
    [...codes].some((code) => /^rate_limit_exceeded$/.test(code)) ||
    /\b(tokens|requests) per (minute|day|hour)\b|\(T[PI]?[MD]\)/i.test(text ?? "")
  );
}

/** The limit may be called by many names; so may what is too long for it. */
const LIMIT = String.raw`(?:context|max\w*[ _-]?seq\w*|max_model_len|model(?:'s)? (?:max\w*|token)|sequence)[ _-]*(?:length|window|size|limit|len)?`;
const INPUT = String.raw`(?:input|inputs|prompt|prompts|context|conversation|messages?|request|decoder prompt|token count|input tokens?)`;

const CONTEXT_TOO_LONG: readonly RegExp[] = [
  // The name of the limit beside a word that says that it is reached.
  new RegExp(
    String.raw`\b(?:exceed\w*|surpass\w*|over(?:flow\w*|ran)?|beyond|longer than|larger than|greater than|too (?:long|large|big|many)|more than|not enough|does(?: no|n')t fit|do not fit|above)\b[^.]{0,120}\b${LIMIT}`,
    "i",
  ),
  new RegExp(
    String.raw`\b${LIMIT}\b[^.]{0,120}\b(?:exceed\w*|surpass\w*|overflow\w*|too (?:long|small|large)|reached|not enough|is only|but (?:the )?request)`,
    "i",
  ),
  /\bmax(?:imum)? (?:allowed )?(?:context|prompt|input|sequence|model)(?: token)? ?(?:length|window|size|limit)?(?: of| is|:)? ?\d/i,
  /\bcontext[ _-]?(?:length|window|size)\b(?: of the model)?(?: is| of|:|=)? ?(?:only )?\(?\d/i,
  // What was sent, and that it is too much.
  new RegExp(
    String.raw`\b${INPUT}\b(?: \([^)]*\))?(?: (?:is|are|was|were|of|has|have|contains?|length|size|tokens?|\d+|tokens,|the|your)){0,6} (?:too (?:long|large|big)|(?:longer|larger|greater|bigger) than|exceed\w*|over the)`,
    "i",
  ),
  new RegExp(String.raw`\b(?:too (?:long|large|big))\b[^.]{0,60}\b(?:context|prompt|input|model|tokens)\b`, "i"),
  /\btoo many (?:input |prompt |total )?tokens\b/i,
  /\btokens?\b[^.]{0,60}\bexceed\w*/i,
  /\bexceed\w*\b[^.]{0,80}\b(?:number of tokens|tokens allowed|token (?:limit|count|budget)|max\w*[ _-](?:input|prompt|context|model|seq)\w*|max(?:imum)? length)/i,
  /\b(?:inputs?|prompt)\b[^.]{0,60}\bmust (?:have|be|contain) (?:less|fewer|shorter|at most|<)/i,
  /\btokens\b.{0,40}\+.{0,40}\bmust be <=/i,
  /\bshould not exceed max\w*/i,
  /\breduce (?:the |your )?(?:length|size|number) of (?:the |your )?(?:messages|prompt|input|context|tokens|request)/i,
  /\btokens to keep\b.{0,60}\bgreater than\b|\bkeep the first \d+ tokens\b/i,
  /\binput length \d+ exceeds\b|\blength of (?:the )?(?:prompt|input|messages)\b[^.]{0,60}\b(?:exceed\w*|too)/i,
  /\b(?:kv[ _-]?cache|n_ctx|num_ctx|ctx[_-]size)\b[^.]{0,80}\b(?:full|exceed\w*|too small|not enough|overflow\w*)/i,
  /\b(?:failed to find|no) (?:a )?(?:free )?(?:memory |kv )?slot\b.{0,40}\b(?:batch|kv|context|prompt)/i,
  /\brange of (?:the )?(?:input|prompt|messages?) (?:length|tokens?)\b|\b(?:input|prompt)[ _](?:length|tokens?) should be (?:in|within|less|at most|between|<)/i,
  /\bmessages\S*\.content\S*: string too long\b/i,
  // Servers and gateways of other languages.
  /(?:上下文|输入|輸入|提示词|提示詞|请求|請求|token|tokens|消息|文本|内容)[^。]{0,30}(?:超出|超过|超過|过长|過長|太长|太長|超限)/i,
  /(?:超出|超过|超過)[^。]{0,30}(?:上下文|最大长度|最大長度|长度限制|長度限制|token|输入|輸入)/i,
  /(?:コンテキスト|トークン|入力|プロンプト)[^。]{0,30}(?:超え|超過|長すぎ|上限)/,
  /(?:컨텍스트|토큰|입력|프롬프트)[^.]{0,30}(?:초과|너무 깁니다|너무 길)/,
  /(?:контекст|токен|запрос|промпт|ввод)\S*[^.]{0,60}(?:превыш\S*|слишком (?:длин|больш|велик)\S*)|превыш\S*[^.]{0,60}(?:контекст|токен|длин)\S*/i,
  /\b(?:kontext|eingabe|anfrage|prompt)\w*\b[^.]{0,60}(?:überschreit\w*|überschritten|zu lang|zu groß)|überschreit\w*[^.]{0,60}(?:kontext|token|länge)\w*/i,
  /\b(?:contexte|requête|prompt|entrée|messages?)\b[^.]{0,60}(?:dépass\w*|trop (?:long\w*|grand\w*))|dépass\w*[^.]{0,60}(?:contexte|jetons|tokens|longueur)/i,
  /\b(?:contexto|entrada|solicitud|prompt|mensaj\w*|mensagens?)\b[^.]{0,60}(?:exced\w*|super\w*|ultrapass\w*|demasiad\w*|muito long\w*)|(?:excede|supera|ultrapassa)\b[^.]{0,60}(?:contexto|tokens|longitud|comprimento)/i,
];

const OUTPUT_NAME = String.raw`['"\x60]?(?:max_(?:completion_|output_|new_)?tokens|maxoutputtokens|max_output_tokens|max_tokens_to_sample)['"\x60]?`;

const OUTPUT_TOO_LARGE: readonly RegExp[] = [
  new RegExp(
    String.raw`${OUTPUT_NAME}(?: or ${OUTPUT_NAME})?(?: value| parameter)?:? ?(?:\(?\d+\)? ?)?(?:is |was )?(?:too (?:large|big|high)|exceeds|must be (?:less|at most|<|smaller|lower|between|in|within)|cannot (?:exceed|be (?:greater|larger|more))|should be (?:less|at most|<|between|in|within)|may not exceed|out of range|(?:is )?(?:greater|larger|higher) than)`,
    "i",
  ),
  new RegExp(
    String.raw`(?:invalid|illegal|unsupported|wrong) (?:value (?:for|of) )?(?:parameter )?${OUTPUT_NAME}(?: value)?[^.]*\b(?:range|at most|between|max(?:imum)?|less|exceed\w*|limit)\b`,
    "i",
  ),
  new RegExp(String.raw`(?:range|maximum(?: value)?|limit|upper bound) (?:of|for) ${OUTPUT_NAME}`, "i"),
  /\bsupports? at most \d+ (?:completion|output) tokens\b/i,
  new RegExp(String.raw`${OUTPUT_NAME}: \d+ > \d+`, "i"),
  new RegExp(String.raw`${OUTPUT_NAME} specified (?:greater|larger|higher)`, "i"),
  /\b(?:requested )?(?:output|completion) tokens\b[^.]{0,40}\bexceed\w*/i,
  /\bmax(?:imum)?(?: number of)? (?:output|completion|generated|new) tokens\b[^.]{0,60}\b(?:exceed\w*|is|of|allowed|limit)/i,
];

type Numbers = { readonly limit: number; readonly input: number; readonly output: number };

const NUMBERS: { readonly [N in keyof Numbers]: readonly RegExp[] } = {
  limit: [
    /(?:context (?:length|window|size|limit)|max_seq_len|max_model_len)\b\D{0,30}?\(?(\d+)/i,
    /must be <= (\d+)/,
    /\d+ \+ \d+ > (\d+)/,
  ],
  input: [
    /(\d+)(?: tokens)? (?:of text input|in (?:the |your )?(?:messages|prompt|input))\b/i,
    /(\d+) (?:input|prompt) tokens\b/i,
    /(\d+) [`'"]inputs[`'"] tokens/i,
    /prompt length \((\d+)\)/i,
    /(\d+) \+ \d+ > \d+/,
  ],
  output: [
    /(\d+)(?: tokens)? in (?:the |your )?(?:completion|output|response)\b/i,
    /(\d+) (?:output|completion) tokens\b/i,
    /(\d+) [`'"]max_new_tokens[`'"]/i,
    /max_(?:completion_|output_|new_)?tokens['"`]? \((\d+)\)/i,
    /max_(?:completion_|output_|new_)?tokens['"`]? is too large: (\d+)/i,
    /\d+ \+ (\d+) > \d+/,
  ],
};

/** The numbers of a sentence such as "4900 in the messages, 100 in the completion"; null when not all are there. */
function numbersIn(text: string): Numbers | null {
  const [limit, input, output] = (["limit", "input", "output"] as const).map((name) => {
    for (const pattern of NUMBERS[name]) {
      const found = pattern.exec(text)?.[1];
      if (found !== undefined) return Number(found);
    }
    return undefined;
  });
  return limit === undefined || input === undefined || output === undefined ? null : { limit, input, output };
}

/** A context that fills less than half of the window is not what is too long: there the output asks for the rest. */
function outputAloneIsTooLarge(text: string): boolean {
  const numbers = numbersIn(text);
  if (numbers === null) return false;
  const { limit, input, output } = numbers;
  return input + output > limit && input < limit / 2 && output > input;
}

function inputAloneIsTooLong(text: string): boolean {
  const numbers = numbersIn(text);
  return numbers !== null && numbers.input >= numbers.limit;
}
