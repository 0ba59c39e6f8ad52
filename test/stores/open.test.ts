import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { parseStoreKeys } from "../../src/stores/cipher.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { QuotaStore } from "../../src/stores/quota.ts";
import { openStore } from "../../src/stores/open.ts";
import { StoreError } from "../../src/stores/store-error.ts";

const folder = mkdtempSync(join(tmpdir(), "turnwire-open-"));
afterAll(() => rmSync(folder, { recursive: true }));

function key(bytes = 32): string {
  return randomBytes(bytes).toString("base64");
}

describe("openStore", () => {
  test("keeps responses in memory, or in a file, as the URL says", async () => {
    const memory = await openStore("memory:", { memoryBytes: 1000 });
    expect(memory).toBeInstanceOf(MemoryStore);
    const quota = { bytes: 1000, tenantBytes: Infinity };
    expect(await openStore("memory:", { memoryBytes: 1000, quota })).toBeInstanceOf(QuotaStore);
    for (const url of [`sqlite:${folder}/a/one.db`, `sqlite://${folder}/b/two.db`]) {
      const store = await openStore(url);
      expect(store).toBeInstanceOf(QuotaStore);
      await store.close();
    }
  });

  test.each(["", "memory", "sqlite:", "mysql://host/database", "/var/lib/turnwire.db"])(
    "refuses '%s' and says what it takes",
    async (url) => {
      await expect(openStore(url)).rejects.toThrow(StoreError);
      await expect(openStore(url)).rejects.toThrow("give memory:, sqlite:<path> or postgres://");
    },
  );

  test("says in one line what to install when the driver of PostgreSQL is missing", async () => {
    const program = `
      import { registerHooks } from "node:module";
      registerHooks({
        resolve(name, context, next) {
          if (name === "pg") throw Object.assign(new Error("Cannot find package 'pg'"), { code: "ERR_MODULE_NOT_FOUND" });
          return next(name, context);
        },
      });
      const { openStore } = await import(${JSON.stringify(new URL("../../src/stores/open.ts", import.meta.url).href)});
      await (await openStore("sqlite:${folder}/without.db")).close();
      await openStore("postgres://localhost/turnwire").catch((error) => console.log(String(error)));
    `;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program]);
    expect(stdout).toBe("StoreError: store postgres: needs the package pg; npm i pg\n");
  });
});

describe("keys", () => {
  test("are read in their order, without the space around them", () => {
    expect(parseStoreKeys(` new:${key()} ,old.1_x-y:${key()},`).map(({ id }) => id)).toEqual(["new", "old.1_x-y"]);
    expect(parseStoreKeys("")).toEqual([]);
  });

  test.each([
    ["a key without an id", key(), "number 1 is not <id>:<base64>"],
    ["an id with strange characters", `a:${key()},ü:${key()}`, "number 2 is not <id>:<base64>"],
    ["a key that is too short", `a:${key(16)}`, "'a' has 16 bytes where 32 are needed"],
    ["two keys with one id", `a:${key()},a:${key()}`, "two keys have the id 'a'"],
  ])("%s is refused, and not shown", (_, text, message) => {
    const parse = (): unknown => parseStoreKeys(text);
    expect(parse).toThrow(message);
    for (const word of text.split(/[:,]/).filter((part) => part.length > 10)) {
      expect(parse).not.toThrow(word);
    }
  });
});
