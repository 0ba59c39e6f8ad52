import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import { MEMORY_MUTANTS } from "../e2e/memory-mutants.ts";
import { MUTANTS } from "./mutants.ts";

/** Loaded before a server (`node --import`): breaks the one rule that the variable MUTANT names, in the source as it is read. */

const mutant = [...MUTANTS, ...MEMORY_MUTANTS].find(({ name }) => name === process.env["MUTANT"]);
if (mutant === undefined) throw new Error(`there is no mutant '${process.env["MUTANT"]}'`);
const target = new URL(`../../src/${mutant.file}`, import.meta.url).href;

registerHooks({
  load(url, context, nextLoad) {
    if (url !== target) return nextLoad(url, context);
    const source = readFileSync(fileURLToPath(url), "utf8");
    const parts = source.split(mutant.find);
    if (parts.length !== 2)
      throw new Error(`mutant '${mutant.name}' fits ${parts.length - 1} places of ${mutant.file}`);
    return { format: "module-typescript", source: parts.join(mutant.replace), shortCircuit: true };
  },
});
