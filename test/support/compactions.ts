import { Compactions } from "../../src/core/compacted.ts";
import { ClearSeal } from "../../src/testing/index.ts";

/** Compaction items that tests can make and read. */
export const compactions = new Compactions(new ClearSeal(), "test");

/** As a backend is given it. */
export const { open } = compactions;
