import { refuse, type UpstreamStep } from "../../support/chat-upstream.ts";
import { cutIn } from "./scripted-model.ts";

/** What goes wrong with a model server, once, in front of a client that is in the middle of its task. */

/** Words of the model server's own, by which its refusals are known again. */
export const WORDS = "the GPU has gone for a walk";

const envelope = (code: string) => ({ error: { message: WORDS, type: code, code } });

export const FAULTS = {
  "a rate limit with Retry-After": refuse(429, envelope("rate_limit_exceeded"), { "retry-after": "1" }),
  "a rate limit without Retry-After": refuse(429, envelope("rate_limit_exceeded")),
  "a status of 500": refuse(500, envelope("server_error")),
  "a stream that is cut in the middle of a text": cutIn({ text: "I was about to say something of some length." }),
  "a stream that is cut in the middle of a call": cutIn({
    calls: [{ name: "append", input: { file: "log.txt", line: "never to be written" } }],
  }),
} as const satisfies Readonly<Record<string, UpstreamStep>>;

export type FaultName = keyof typeof FAULTS;

export const FAULT_NAMES = Object.keys(FAULTS) as readonly FaultName[];

/** The server shows every failure at once, instead of asking the model server again. */
export const NO_RETRIES = ["--backend-retries", "0"] as const;
