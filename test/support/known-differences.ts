import type { Frame } from "./ws-client.ts";

/** Where the events differ from the SDKs' types on purpose, and why. */

type Fields = { [field: string]: unknown };
type Difference = { readonly reason: string; readonly mend: (frame: Fields) => boolean };

/** Takes the field out, if it is there (and is that). Gives whether it was. */
function without(holder: unknown, field: string, value?: unknown): boolean {
  if (typeof holder !== "object" || holder === null || !(field in holder)) return false;
  const fields = holder as Fields;
  if (value !== undefined && fields[field] !== value) return false;
  return Reflect.deleteProperty(fields, field);
}

const any = (did: readonly boolean[]): boolean => did.includes(true);
const itemsOf = ({ item, response }: Fields): readonly Fields[] => [
  ...(item === undefined ? [] : [item as Fields]),
  ...(((response as Fields | undefined)?.["output"] as readonly Fields[] | undefined) ?? []),
];
const logprobsOf = ({ logprobs = [] }: Fields): readonly Fields[] =>
  (logprobs as readonly Fields[]).flatMap((one) => [
    one,
    ...((one["top_logprobs"] as readonly Fields[] | undefined) ?? []),
  ]);

export const KNOWN_DIFFERENCES: readonly Difference[] = [
  {
    reason: "null in every snapshot of the real API, where the types say absent",
    mend: ({ response }) =>
      any([
        without(response, "usage", null),
        without(response, "user", null),
        without((response as Fields | undefined)?.["reasoning"], "mode", null),
      ]),
  },
  {
    reason: "demanded by Open Responses, and unknown to the SDKs",
    mend: ({ response }) =>
      any(["presence_penalty", "frequency_penalty", "store"].map((field) => without(response, field))),
  },
  {
    reason: "Open Responses wants a status on every call, a custom one as well",
    mend: (frame) => any(itemsOf(frame).map((item) => item["type"] === "custom_tool_call" && without(item, "status"))),
  },
  {
    reason: "Open Responses wants the error of an error event nested as well; WebSocket frames have it there alone",
    mend: (frame) => frame["type"] === "error" && frame["message"] !== undefined && without(frame, "error"),
  },
  {
    reason: "the real API has the bytes of a token and the padding of every delta, and the types have not",
    mend: (frame) =>
      any([
        ...logprobsOf(frame).map((one) => without(one, "bytes")),
        String(frame["type"]).endsWith(".delta") && without(frame, "obfuscation"),
      ]),
  },
  {
    reason: "how Codex knows a response that it interrupted",
    mend: ({ response }) => without((response as Fields | undefined)?.["incomplete_details"], "reason", "interrupted"),
  },
];

/** Events that Codex knows, and no SDK. */
export const NOT_IN_SDKS: ReadonlySet<string> = new Set([
  "keepalive",
  "response.inject.failed",
  "response.interrupt.accepted",
  "response.interrupt.failed",
  "response.output_item.interrupted",
]);

/** The event without what is known to differ; the reasons are added to those that were needed. */
export function asTheirTypesHaveIt(frame: Frame, needed: Set<string>): object {
  const copy = structuredClone(frame) as Fields;
  for (const { reason, mend } of KNOWN_DIFFERENCES) if (mend(copy)) needed.add(reason);
  return copy;
}
