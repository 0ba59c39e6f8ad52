import type { Case, Group } from "../case.ts";
import { COMPACTIONS } from "./compaction.ts";
import { BACKGROUNDS } from "./background.ts";
import { CONTINUATION } from "./continuation.ts";
import { CONVERSATION_CASES } from "./conversations.ts";
import { CREATE } from "./create.ts";
import { EQUIVALENCE } from "./equivalence.ts";
import { ERRORS } from "./errors.ts";
import { EVENTS } from "./events.ts";
import { EVICTION } from "./eviction.ts";
import { FORKS } from "./forks.ts";
import { FORMATS } from "./formats.ts";
import { FRAMING } from "./framing.ts";
import { HANDSHAKE } from "./handshake.ts";
import { HTTP } from "./http.ts";
import { INTERRUPTS } from "./interrupt.ts";
import { KEEPALIVE } from "./keepalive.ts";
import { LANES_GROUP } from "./lanes.ts";
import { LIMITS } from "./limits.ts";
import { REFERENCES } from "./references.ts";
import { RETRIEVALS } from "./retrieval.ts";
import { ROBUSTNESS } from "./robustness.ts";
import { SNAPSHOTS } from "./snapshots.ts";
import { STEERING } from "./steering.ts";
import { STORE } from "./store.ts";
import { TENANCY } from "./tenancy.ts";
import { TOKENS } from "./tokens.ts";
import { TOOL_KINDS } from "./tool-kinds.ts";
import { TOOL_OUTPUTS } from "./tool-outputs.ts";
import { TOOLS } from "./tools.ts";
import { WARMUP } from "./warmup.ts";

/** Every group, in the order in which the results are shown. */
export const GROUPS: readonly Group[] = [
  HANDSHAKE,
  FRAMING,
  CREATE,
  EVENTS,
  SNAPSHOTS,
  TOOLS,
  TOOL_KINDS,
  TOOL_OUTPUTS,
  FORMATS,
  CONTINUATION,
  EVICTION,
  REFERENCES,
  CONVERSATION_CASES,
  STORE,
  RETRIEVALS,
  BACKGROUNDS,
  LANES_GROUP,
  FORKS,
  WARMUP,
  STEERING,
  INTERRUPTS,
  TOKENS,
  COMPACTIONS,
  LIMITS,
  KEEPALIVE,
  TENANCY,
  ROBUSTNESS,
  ERRORS,
  HTTP,
  EQUIVALENCE,
];

export const CASES: readonly Case[] = GROUPS.flatMap(({ cases }) => cases);
