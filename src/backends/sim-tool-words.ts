import type { CallableTool } from "../protocol/tools.ts";

/**
 * Whether a tool only reads, as far as its words tell. Its name or its description has to say that it reads, and neither
 * may say that it changes, sends or pays anything. Where the words leave a doubt, the tool is taken for one that acts.
 */

/** Verbs of tools that read. */
const READS = words(
  `get read list search find fetch look lookup view show describe check count glob grep ls cat stat status inspect browse
  retrieve query tell calculate compute summarize summarise compare weather forecast peek tail head explain lint diff
  detect measure estimate return`,
);

/** Change, send or pay: they rule a tool out wherever they stand in its name or description. */
const CHANGES = words(
  `write overwrite delete remove erase destroy purge wipe unlink trash truncate replace modify update upsert create insert
  append save upload publish push deploy install uninstall send resend tweet notify forward dial subscribe unsubscribe pay
  payout prepay purchase buy checkout sell refund transfer donate withdraw cancel submit approve reject execute exec eval
  spawn launch kill terminate restart reboot shutdown enable disable activate deactivate reset revoke unlock rename chmod
  chown trigger rotate regenerate dispatch escalate enroll unregister provision dequeue rollback revert migrate mutate
  decrement toggle click impersonate logout encrypt decrypt edit rewrite persist remit authorize permission consent
  confirmation proceed clone download`,
);

/** Nouns or adjectives as often as verbs ("order status", "close price"): they rule a tool out where a verb stands. */
const AMBIGUOUS = words(
  `order message text sms email mail post book charge call run set change copy share schedule bill invoice reply comment
  answer add clear lock tag label log pin ship document report plan task process handle manage request contact alert page
  host rent lend borrow loan fund finance take broadcast perform record format type rate like put store trade exchange
  control press play sign open close mount patch archive print turn wait sleep stop start follow ask commit release merge
  issue import block vote deposit wire invite increment apply restore confirm reserve accept grant move acquire claim
  consume pop register drop drain assign sync settle tip bid convert mint burn stake speak pause resume fix repair adjust
  configure prompt approval ban mute hire fire generate brew login fork star retweet react upvote downvote track hide`,
);

/** After these a verb may follow. */
const BEFORE_VERB = words("and or then to will can may also that which it must should tool");
/** Longer descriptions are manuals: what the tool does stands at their beginning. */
const LONGEST_TEXT = 4000;
const DEEPEST = 12;

export function readsOnly({ name, tool }: CallableTool): boolean {
  const named = wordsOf(name.replace(/^.*(?:__|[.:/])/, ""));
  const said = clauses(tool["description"]);
  const isActive =
    wordsOf(name).some(isChange) ||
    changes(named) ||
    named[0] === "return" ||
    (named[0] === "check" && ["in", "out", "off"].includes(named[1] ?? "")) ||
    said.some(changes) ||
    choices(tool["parameters"], 0).some((text) => changes(wordsOf(text)));
  if (isActive) return false;
  // The verb of a name stands first ("get_order") or last ("order_lookup").
  return [named[0], named.at(-1), said[0]?.[0]].some((word) => word !== undefined && isOf(READS, word));
}

/** The words of a description, in pieces that a verb may begin. */
function clauses(description: unknown): readonly (readonly string[])[] {
  if (typeof description !== "string") return [];
  const text = description
    .slice(0, LONGEST_TEXT)
    .replace(/^\s*(?:use|call) (?:(?:this|it|the) )?(?:(?:tool|function) )?to /i, "");
  return text
    .split(/[.,;:!?()\n–—]+/)
    .map(wordsOf)
    .filter((clause) => clause.length > 0);
}

function changes(text: readonly string[]): boolean {
  return text.some((word, index) => isChange(word) || (isOf(AMBIGUOUS, word) && isVerbPlace(text[index - 1])));
}

function isVerbPlace(before: string | undefined): boolean {
  return before === undefined || BEFORE_VERB.has(before);
}

function isChange(word: string): boolean {
  return isOf(CHANGES, word);
}

/** Texts that a caller chooses among, and the names of switches: "delete" may be one of them. */
function choices(schema: unknown, depth: number): readonly string[] {
  if (depth > DEEPEST || typeof schema !== "object" || schema === null) return [];
  return Object.entries(schema).flatMap(([keyword, value]) => {
    if (keyword === "enum" && Array.isArray(value)) return value.filter((one) => typeof one === "string");
    if (keyword === "const" && typeof value === "string") return [value];
    const isProperties = keyword === "properties" && typeof value === "object" && value !== null;
    const switches = isProperties
      ? Object.entries(value as object).flatMap(([name, property]) => (isSwitch(property) ? [name] : []))
      : [];
    return [...switches, ...choices(value, depth + 1)];
  });
}

function isSwitch(schema: unknown): boolean {
  return typeof schema === "object" && schema !== null && "type" in schema && schema.type === "boolean";
}

/** The words of a name or a sentence, in lower case: `getOrder_status` has three. */
export function wordsOf(text: string): readonly string[] {
  return text
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replaceAll(/([A-Z])([A-Z][a-z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter((word) => word !== "");
}

/** Whether a word is one of these, as it stands or as English bends it: sends, sending, sent. */
function isOf(list: ReadonlySet<string>, word: string): boolean {
  return [word, ...unbent(word)].some((form) => list.has(form));
}

const IRREGULAR: { readonly [form: string]: string } = {
  wrote: "write",
  written: "write",
  sent: "send",
  paid: "pay",
  bought: "buy",
  sold: "sell",
  ran: "run",
  made: "make",
  did: "do",
  took: "take",
  gave: "give",
  emails: "email",
  found: "find",
  payment: "pay",
  payments: "pay",
  deletion: "delete",
  removal: "remove",
  creation: "create",
  modification: "modify",
  execution: "execute",
  purchases: "purchase",
};

function unbent(word: string): readonly string[] {
  const irregular = Object.hasOwn(IRREGULAR, word) ? IRREGULAR[word] : undefined;
  if (irregular !== undefined) return [irregular];
  const forms: string[] = [];
  if (word.endsWith("ies") || word.endsWith("ied")) forms.push(`${word.slice(0, -3)}y`);
  if (word.endsWith("es")) forms.push(word.slice(0, -2));
  if (word.endsWith("s")) forms.push(word.slice(0, -1));
  for (const ending of ["ed", "ing"]) {
    if (!word.endsWith(ending)) continue;
    const stem = word.slice(0, -ending.length);
    // sending, writing, stopping
    forms.push(stem, `${stem}e`, stem.slice(0, -1));
  }
  return forms;
}

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/));
}
