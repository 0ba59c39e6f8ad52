/** The prefixes of the ids that the server makes; the rest of an id is opaque. */
export const ID_PREFIX = {
  response: "resp",
  message: "msg",
  functionCall: "fc",
  customToolCall: "ctc",
  reasoning: "rs",
  call: "call",
  request: "req",
  session: "sess",
  steer: "steer",
} as const;

export type IdKind = keyof typeof ID_PREFIX;
