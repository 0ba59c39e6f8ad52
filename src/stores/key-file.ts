import { createHash, randomBytes } from "node:crypto";
import { linkSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseStoreKeys, type StoreKey } from "./cipher.ts";
import { makeFolder } from "./make-folder.ts";
import { StoreError } from "./store-error.ts";

/** The text of a new key, in the form of the settings; its id says nothing of it, and is another one on each server. */
export function newKey(): string {
  const bytes = randomBytes(32);
  const id = createHash("sha256").update(bytes).digest("hex").slice(0, 8);
  return `${id}:${bytes.toString("base64")}`;
}

/**
 * The keys in a file, made with one new key if it is not there. Of several servers that begin at once, all have the same.
 * @throws StoreError that says what is wrong with the file and shows nothing of it
 */
export function keyFile(path: string): readonly StoreKey[] {
  try {
    return parseStoreKeys(readFileSync(path, "utf8"), path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw explained(path, error);
  }
  const draft = `${path}.${process.pid}-${randomBytes(4).toString("hex")}`;
  try {
    makeFolder(dirname(path));
    writeFileSync(draft, `${newKey()}\n`, { mode: 0o600, flag: "wx", flush: true });
    try {
      linkSync(draft, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    } finally {
      unlinkSync(draft);
    }
    return parseStoreKeys(readFileSync(path, "utf8"), path);
  } catch (error) {
    throw explained(path, error);
  }
}

function explained(path: string, error: unknown): Error {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof StoreError || code === undefined) return error as Error;
  return new StoreError(`${path}: the key file cannot be read or made (${code})`);
}
