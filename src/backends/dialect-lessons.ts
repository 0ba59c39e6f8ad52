import { type Dialect, type DialectChange, hasAlready, OMITTABLE_FIELDS } from "./dialect.ts";

/**
 * What a refusal teaches: one table of wordings and of the traits that they ask for. A refusal may leave several ways open;
 * they are tried in order, and only those that change the request at all.
 */

/** A way to answer a refusal. */
export type Lesson = {
  /** Names the row of the table: a server that refuses again for the same row was not helped. */
  readonly name: string;
  readonly change: DialectChange;
};

/** @param text the server's own words */
export function lessonsIn(text: string, dialect: Dialect): readonly Lesson[] {
  const lessons: Lesson[] = [];
  for (const { name, pattern, unless, teaches } of ROWS) {
    const match = pattern.exec(text);
    if (match === null || unless?.test(text)) continue;
    for (const change of teaches(text, dialect)) if (!hasAlready(dialect, change)) lessons.push({ name, change });
  }
  return lessons;
}

/** The rows of the table that a text is a case of, in whatever dialect the request was. */
export function rowsIn(text: string): readonly string[] {
  return ROWS.filter(({ pattern, unless }) => pattern.test(text) && !unless?.test(text)).map(({ name }) => name);
}

type Row = {
  readonly name: string;
  readonly pattern: RegExp;
  /** Words that make it another matter. */
  readonly unless?: RegExp;
  readonly teaches: (text: string, dialect: Dialect) => readonly DialectChange[];
};

/** How servers say that they do not know something, or do not take it. */
const UNKNOWN = String.raw`(?:un(?:known|recogni[sz]ed|expected|supported|available)|not (?:supported|permitted|allowed|available|recogni[sz]ed|a valid|implemented|enabled|accepted|compatible)|(?:does|do|did)(?: not|n't) (?:support|accept|allow|recogni[sz]e)|no(?:t| longer) support\w*|only supports?|extra (?:inputs?|fields?|forbidden|parameters?)|additional propert\w*|cannot find field|no such|invalid|forbidden|disallowed|must not|should not|cannot be|can't be|unsupported_\w+|extra_forbidden|not_supported|one of|expected)`;

/** A name, and near it that it is unknown; quotes and backticks may be around it. */
const unknown = (name: string): RegExp =>
  new RegExp(String.raw`\b${name}\b[^\n]{0,160}\b${UNKNOWN}\b|\b${UNKNOWN}\b[^\n]{0,160}\b${name}\b`, "i");

/** Never back to more of them: that would be learned for ever. */
function fewerSystem({ system }: Dialect): readonly DialectChange[] {
  if (system === "none") return [];
  return system === "anywhere" ? [{ system: "first" }, { system: "none" }] : [{ system: "none" }];
}

const THREE_TRAITS: DialectChange = { sameRole: "joined", firstMessage: "user", afterTool: "assistant" };

const ROWS: readonly Row[] = [
  {
    name: "roles alternate",
    pattern:
      /\b(?:roles?|messages?|turns?|conversation)\b[^.]{0,60}\b(?:must|should|have to|need to)? ?(?:be )?alternat\w*|\balternat\w*\b[^.]{0,60}\b(?:roles?|user|assistant|turns?)\b|\bconsecutive\b[^.]{0,60}\b(?:messages?|roles?|user|assistant|turns?)\b|\b(?:same role|in a row)\b|\b(?:multiple|two) (?:user|assistant) (?:messages|turns|role)\b|\bunexpected role ['"`]?(?:user|assistant)['"`]? after role ['"`]?(?:user|assistant)\b/i,
    teaches: (_text, { system }) => [
      THREE_TRAITS,
      ...(system === "anywhere" ? [{ system: "first" } as const] : []),
      { toolMessages: "text" },
    ],
  },
  {
    name: "an assistant behind a tool",
    pattern:
      /\brole ['"`]?user['"`]? (?:after|behind|following) (?:a )?(?:role )?['"`]?(?:tool|function)\b|\b(?:tool|function) (?:messages?|role|responses?|results?|outputs?)\b[^.]{0,60}\b(?:must be|should be|be) followed by\b[^.]{0,40}\bassistant\b|\bafter (?:a |the )?['"`]?tool['"`]?[^.]{0,40}\bexpected\b[^.]{0,40}\bassistant\b|\bassistant\b[^.]{0,30}\b(?:must|should) follow\b[^.]{0,30}\btool\b|\bnot the same number of function calls and responses\b/i,
    teaches: () => [{ afterTool: "assistant" }],
  },
  {
    name: "no system message",
    pattern:
      /\b(?:system|developer)\b ?(?:roles?|messages?|prompts?|instructions?)?\b[^.]{0,30}\b(?:not (?:be )?(?:supported|allowed|enabled|accepted|permitted)|unsupported)\b|\b(?:does(?: not|n't)|do not|don't) support (?:a |the )?(?:system|developer)\b|\bno system (?:role|message|prompt)s?\b/i,
    unless: /\b(?:beginning|first|start)\b/i,
    teaches: () => [{ system: "none" }],
  },
  {
    name: "the system first",
    pattern:
      /\bsystem\b[^.]{0,40}\b(?:messages?|prompts?|role)\b[^.]{0,60}\b(?:beginning|first|start|once|one|initial|multiple|only)\b|\b(?:only|first|initial|multiple|more than one)\b[^.]{0,40}\bsystem (?:messages?|prompts?|role)\b|\brole ['"`]?(?:system|developer)['"`]? (?:after|behind|following)\b|\b(?:got|role|roles?:?|unexpected|invalid)\W{1,3}(?:system|developer)\b/i,
    teaches: (_text, dialect) => fewerSystem(dialect),
  },
  {
    name: "no role of tools",
    pattern:
      /\b(?:role|got|roles?:|unknown variant|unexpected|invalid|unsupported)\W{1,3}(?:tool|function)\b(?![ _-]?(?:call|choice|type|name))|\btool (?:role|messages?)\b[^.]{0,30}\b(?:not supported|unsupported|not allowed)\b|\bonly (?:system, )?user(?:,)? and assistant roles?\b/i,
    teaches: () => [{ toolMessages: "text" }],
  },
  {
    name: "a role that is not known",
    pattern:
      /\b(?:invalid|unexpected|unsupported|unknown|unrecognized) (?:message )?roles?\b|\bonly\b[^.]{0,60}\broles? (?:are|is) (?:supported|allowed)\b|\broles?\b[^.]{0,40}\b(?:must be|should be|is not|not) (?:one of|supported|allowed|valid|in)\b|\bunexpected message role\b/i,
    teaches: (_text, dialect) => [...fewerSystem(dialect), { toolMessages: "text" }],
  },
  {
    name: "the user first",
    pattern:
      /\bfirst\b[^.]{0,40}\b(?:user|message)\b[^.]{0,40}|\b(?:conversations?|messages?|prompt|roles?)\b[^.]{0,40}\b(?:must|should|has to|have to|needs? to) (?:start|begin)\b|\b(?:start|begin)s? with (?:a |the )?['"`]?user\b|\bno (?:user|human) (?:query|message|prompt|turn|input)s?\b|\bat least one (?:user|non-system) message\b|\bmessages? (?:must not|cannot|should not) be empty\b|\bexpected non-empty messages\b/i,
    teaches: () => [{ firstMessage: "user" }],
  },
  {
    name: "the user last",
    pattern:
      /\b(?:last|final)\b[^.]{0,40}\b(?:role|message|turn|content)\b[^.]{0,80}\b(?:user|assistant|tool|model)\b|\bend(?:s|ing)? with (?:a |an |the )?(?:user|assistant|tool)\b|\badd_generation_prompt\b[^.]{0,80}\bassistant\b|\bprefill\w*\b[^.]{0,60}\b(?:not supported|unsupported|not allowed)\b/i,
    teaches: () => [{ lastMessage: "user" }],
  },
  {
    name: "one call a message",
    pattern:
      /\b(?:single|one|1) (?:tool|function)[ _-]?calls?\b|\b(?:multiple|parallel|several|more than one) (?:tool|function)[ _-]?(?:calls?|calling|use)\b/i,
    teaches: () => [{ callsPerMessage: "one" }, { omit: ["parallel_tool_calls"] }],
  },
  {
    name: "short call ids",
    pattern:
      /\b(?:tool|function)[ _-]?(?:call|use|result)s?(?:\[\d+\])?[ ._-]?ids?\b[^\n]{0,120}\b(?:alphanumeric|a-z|length|characters|pattern|match|too long|too short|at most|maximum|must be|should be|invalid)\b|\b(?:tool_calls?|messages)\S*\.(?:id|tool_call_id)\b[^\n]{0,120}\b(?:alphanumeric|length|characters|pattern|match|too long|at most|maximum|invalid)\b|\bids?\b[^.]{0,40}\balphanumeric\b/i,
    unless: /\bnot found\b|\bno (?:matching|such)\b|\bmust be a response\b|\bmust be followed\b|\bduplicate\b/i,
    teaches: () => [{ callIds: "alphanumeric9" }],
  },
  {
    name: "reasoning is wanted",
    pattern:
      /\b(?:reasoning_content|reasoning)\b[^\n]{0,80}\b(?:missing|is required|are required|must be (?:passed|provided|present|included|returned|sent|set|non-null)|passed back|not (?:found|provided|present|set)|required)\b|\b(?:missing|requires?|required|expected|needs|without)\b[^\n]{0,40}\breasoning(?:_content)?\b/i,
    unless: new RegExp(
      String.raw`\breasoning(?:_content)?\b[^\n]{0,60}\b(?:un(?:known|supported|recogni[sz]ed)|not (?:supported|permitted|allowed)|extra)\b`,
      "i",
    ),
    teaches: (text) => [{ reasoning: reasoningFieldIn(text), reasoningOn: "all" }],
  },
  {
    name: "reasoning is not known",
    pattern: unknown("reasoning(?:_content)?"),
    unless: /\b(?:missing|must be (?:passed|provided|present|included|returned))\b/i,
    teaches: (text, { reasoning }) => {
      const other = /\b(?:use|did you mean|instead:?|rename(?:d)? to)\W{1,3}(reasoning_content|reasoning)\b/i.exec(
        text,
      )?.[1];
      const field = other === undefined ? undefined : reasoningFieldIn(other);
      const none: DialectChange = { reasoning: "none", reasoningOn: "thoughts" };
      return field !== undefined && field !== reasoning ? [{ reasoning: field }, none] : [none];
    },
  },
  {
    name: "no empty content",
    pattern:
      /\b(?:content|text|messages?|assistant|contentblock|parts?)\b[^\n]{0,80}\b(?:empty|blank|non-?empty|at least (?:1|one) character|too short|must be null|should be null|null or)\b|\b(?:empty|blank|non-?empty)\b[^\n]{0,40}\b(?:content|text|string|messages?)\b|\bassistant messages? must have\b[^\n]{0,60}\bcontent\b/i,
    teaches: () => [
      { emptyMessages: "avoided" },
      { emptyContent: "null", emptyMessages: "avoided" },
      { emptyContent: "words", emptyMessages: "avoided" },
    ],
  },
  {
    name: "content is wanted",
    pattern:
      /\bcontent\b[^\n]{0,80}\b(?:is required|required|missing|null|none|nil|must be (?:a )?(?:non-null )?string|must be provided|undefined)\b|\b(?:null|none|missing)\b[^\n]{0,40}\bcontent\b/i,
    teaches: (_text, { emptyContent }) =>
      emptyContent === "null" ? [{ emptyContent: "string" }, { emptyContent: "words" }] : [{ emptyContent: "null" }],
  },
  {
    name: "content is text",
    pattern:
      /\bcontent\b[^\n]{0,80}\b(?:must be|should be|expected|expects|valid|has to be|only supports?)(?: (?:to be )?an?)? (?:valid )?(?:string|text)\b|\binvalid type: sequence, expected a string\b|\b(?:input )?should be a valid string\b|\b(?:array|list|multi-?part)\b[^\n]{0,40}\bcontent\b[^\n]{0,60}\b(?:not supported|unsupported|not allowed)\b|\bcontent\b[^\n]{0,40}\b(?:array|list|parts)\b[^\n]{0,40}\b(?:not supported|unsupported|not allowed)\b|\bcan only concatenate str\b/i,
    teaches: () => [{ content: "text" }],
  },
  {
    name: "the output's limit",
    pattern: /\bmax_(?:completion_)?tokens\b/i,
    unless:
      /\b(?:at most|range|less than|at least|greater|between|too (?:large|big|small|low|high)|exceed\w*|positive)\b/i,
    teaches: (text, { maxTokens }) => {
      const other = maxTokens === "max_tokens" ? "max_completion_tokens" : "max_tokens";
      const isAboutOurs =
        unknown(maxTokens).test(text) || new RegExp(String.raw`\buse\W{1,3}${other}\b`, "i").test(text);
      return isAboutOurs ? [{ maxTokens: other }] : [];
    },
  },
  {
    name: "the response format",
    pattern: new RegExp(
      String.raw`\b(?:response_format|json_schema|structured[ _]outputs?|guided[ _](?:json|decoding))\b[^\n]{0,200}\b${UNKNOWN}\b|\b${UNKNOWN}\b[^\n]{0,160}\b(?:response_format|json_schema|structured[ _]outputs?|guided[ _](?:json|decoding))\b`,
      "i",
    ),
    unless: /\binvalid (?:json )?schema\b|\bschema for response_format\b|\badditionalProperties\b/i,
    teaches: (text, { responseFormat }) => {
      const knowsObject =
        !/\b(?:unknown|un(?:recogni[sz]ed|expected)|extra|no such|cannot find)\b[^\n]{0,60}\bresponse_format\b|\bjson_object\b[^\n]{0,40}\b(?:not|un)|\bresponse_format\b[^\n]{0,30}\b(?:is )?(?:unknown|un(?:recogni[sz]ed|expected)|not (?:supported|permitted|allowed)|unsupported|extra)\b/i.test(
          text,
        );
      if (responseFormat !== "json_schema") return [{ responseFormat: "text" }];
      return knowsObject
        ? [{ responseFormat: "json_object" }, { responseFormat: "text" }]
        : [{ responseFormat: "text" }];
    },
  },
  {
    name: "the choice of a tool",
    pattern: unknown("tool_choice"),
    teaches: () => [{ toolChoice: "mode" }],
  },
  {
    name: "the words for effort",
    pattern: /\b(?:reasoning[._ ]effort|effort)\b/i,
    teaches: (text) => {
      const named = effortsIn(text);
      return named.length > 0 ? [{ efforts: named }, { omit: ["reasoning_effort"] }] : [{ omit: ["reasoning_effort"] }];
    },
  },
  ...OMITTABLE_FIELDS.filter((field) => field !== "reasoning_effort").map(
    (field): Row => ({
      name: `the field ${field}`,
      pattern: unknown(
        field === "user"
          ? String.raw`(?:param\w*|field|argument|propert\w*|inputs?|name|body[.,'"\] ]*)\W{1,4}user`
          : field,
      ),
      teaches: () => [{ omit: [field] }],
    }),
  ),
];

function reasoningFieldIn(text: string): "reasoning_content" | "reasoning" {
  return /\breasoning_content\b/i.test(text) || !/\breasoning\b/i.test(text) ? "reasoning_content" : "reasoning";
}

/** The words that a refusal lists as those it takes: "Supported values are: 'low', 'medium', and 'high'." */
function effortsIn(text: string): readonly string[] {
  const list =
    /(?:one of|supported values|allowed values|valid values|values are|expected|should be|must be|options)\b(.*)$/is.exec(
      text,
    )?.[1];
  const words = list?.toLowerCase().match(/\b(?:none|minimal|low|medium|high|xhigh|max)\b/g) ?? [];
  return words.length >= 2 ? [...new Set(words)] : [];
}
