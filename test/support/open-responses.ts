import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";

/**
 * The Open Responses contract, where it is at hand: in the folder that TURNWIRE_SHARED names, or in one called `shared`
 * beside the project.
 */

const FILE = "reference/open-responses-2026-04-24.openapi.json";
const SHARED = process.env["TURNWIRE_SHARED"] ?? resolve(import.meta.dirname, "../../../shared");
const path = resolve(SHARED, FILE);

/** Why tests against the contract are skipped; null when they are not. */
export const CONTRACT_IS_MISSING: string | null = existsSync(path)
  ? null
  : `the Open Responses contract (${FILE}) is not here: set TURNWIRE_SHARED`;

export type Validate = (value: unknown) => readonly string[];

/** What a value breaks of a schema of the contract, in words; empty when it fits. */
export function contractSchema(name: string): Validate {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  ajv.addSchema(JSON.parse(readFileSync(path, "utf8")) as object, "contract");
  const validate = ajv.compile({ $ref: `contract#/components/schemas/${name}` });
  return (value) => {
    // What the wire carries, not what it was made of.
    if (validate(JSON.parse(JSON.stringify(value)))) return [];
    return (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ""}`);
  };
}
