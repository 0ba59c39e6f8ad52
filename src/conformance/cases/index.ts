import type { Case, Group } from "../case.ts";
import { HANDSHAKE } from "./handshake.ts";

/** Every group, in the order in which the results are shown. */
export const GROUPS: readonly Group[] = [HANDSHAKE];

export const CASES: readonly Case[] = GROUPS.flatMap(({ cases }) => cases);
