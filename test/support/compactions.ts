import { Memory } from "../../src/core/budget.ts";
import { Compactions } from "../../src/core/compacted.ts";
import { ContextMemory } from "../../src/core/context-memory.ts";
import { ClearSeal } from "../../src/testing/index.ts";

/** Compaction items that tests can make and read. */
export const compactions = new Compactions(new ClearSeal(), "test", new ContextMemory(new Memory().of("test").open()));

/** As a backend is given it. */
export const { open } = compactions;
