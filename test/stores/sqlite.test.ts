import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { openDurableStore } from "../../src/stores/open.ts";
import { durableContract, type Place } from "./durable-contract.ts";
import { makeNode } from "./nodes.ts";
import { recordsContract } from "./records-contract.ts";
import { storeContract } from "./store-contract.ts";

const folder = mkdtempSync(join(tmpdir(), "turnwire-sqlite-"));
afterAll(() => rmSync(folder, { recursive: true }));

const content = (bytes: number) => [{ type: "message", role: "user", content: "x".repeat(bytes) }];
const SUCCESS = [() => true, () => false] as const;

/** Why no small disk can be made here; null when one can. */
const whyNoDisk = ((): string | null => {
  const disk = mkdtempSync(join(tmpdir(), "turnwire-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], { stdio: "ignore" });
    execFileSync("umount", [disk]);
    return null;
  } catch {
    return " (skipped: this user may not mount a file system in memory)";
  } finally {
    rmSync(disk, { recursive: true });
  }
})();

let files = 0;
const newFile = (): string => join(folder, `${files++}`, "turnwire.db");
const makePlace = async (): Promise<Place> => {
  const file = newFile();
  const query = async (sql: string): Promise<readonly Record<string, unknown>[]> =>
    withDatabase(file, (database) => database.prepare(sql).all());
  return { url: `sqlite:${file}`, table: "nodes", query };
};

storeContract("SQLite", async () => openDurableStore(`sqlite:${newFile()}`));
storeContract("SQLite without a cache", async () => openDurableStore(`sqlite:${newFile()}`, { memoryBytes: 0 }));
storeContract("SQLite that waits for the disk", async () =>
  openDurableStore(`sqlite:${newFile()}`, { synchronous: "full" }),
);
durableContract("SQLite", makePlace);
recordsContract("SQLite", async (options) => openDurableStore(`sqlite:${newFile()}`, { memoryBytes: 0, ...options }));

describe("only in SQLite", () => {
  test("the folder and the files are for the server's user only", async () => {
    const file = newFile();
    const store = await openDurableStore(`sqlite:${file}`);
    await store.put(makeNode("a"));
    expect(statSync(dirname(file)).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(dirname(file))) expect(statSync(join(dirname(file), name)).mode & 0o777).toBe(0o600);
    await store.close();
    expect(readdirSync(dirname(file))).toEqual(["turnwire.db"]);
  });

  test("what was deleted is in no file any more once the store is closed", async () => {
    const file = newFile();
    const store = await openDurableStore(`sqlite:${file}`);
    const canary = "canary ".repeat(20_000);
    await store.put(makeNode("a", { input: [{ type: "message", role: "user", content: canary }] }));
    await store.put(makeNode("b"));
    await store.delete("acme", "a");
    await store.close();
    expect(readFileSync(file).includes("canary")).toBe(false);
    expect(readFileSync(file).includes("input of b")).toBe(true);
  });

  describe.skipIf(whyNoDisk !== null)(`a full disk${whyNoDisk ?? ""}`, () => {
    test.each(["small0", "large", "running"])(
      "leaves room for the deletion of %s",
      async (id) => {
        const disk = mkdtempSync(join(folder, "disk-"));
        execFileSync("mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", disk]);
        const store = await openDurableStore(`sqlite:${join(disk, "turnwire.db")}`, { memoryBytes: 0 });
        try {
          await store.put(makeNode("large", { input: content(5 << 20) }));
          const lease = { tenant: "acme", kind: "thing", id: "a", value: 1, node: null, expiresAt: null };
          await store.records.write({ ...lease, about: "running" }, 0);
          let count = 0;
          for (const bytes of [1 << 20, 64 << 10, 4 << 10]) {
            while (await store.put(makeNode(`small${count}`, { input: content(bytes) })).then(...SUCCESS)) count += 1;
          }
          await expect(store.put(makeNode("more", { input: content(4 << 10) }))).rejects.toThrow("full");
          expect(await store.delete("acme", id)).toBe(true);
          expect(await store.get("acme", id)).toBeUndefined();
        } finally {
          await store.close();
          execFileSync("umount", ["--lazy", disk]);
        }
      },
      60_000,
    );
  });

  test("a file of a newer version, of something else, or of no database at all is refused", async () => {
    const newer = newFile();
    await (await openDurableStore(`sqlite:${newer}`)).close();
    withDatabase(newer, (database) => database.exec("PRAGMA user_version = 99"));
    await expect(openDurableStore(`sqlite:${newer}`)).rejects.toThrow(
      `store sqlite: ${newer} was written by a newer version (schema 99, this one knows 5)`,
    );

    const foreign = join(folder, "foreign.db");
    withDatabase(foreign, (database) => database.exec("CREATE TABLE birds (name TEXT)"));
    await expect(openDurableStore(`sqlite:${foreign}`)).rejects.toThrow("is a database of something else");
    expect(withDatabase(foreign, (database) => database.prepare("PRAGMA user_version").get())).toEqual({
      user_version: 0,
    });

    const text = join(folder, "text.db");
    writeFileSync(text, "This is not a database. ".repeat(1000));
    await expect(openDurableStore(`sqlite:${text}`)).rejects.toThrow(/cannot be opened: .*not a database/);
    await expect(openDurableStore(`sqlite:${text}/below/turnwire.db`)).rejects.toThrow("cannot be opened");
  });

  test("a store does not keep a process alive that has nothing left to do", async () => {
    const file = newFile();
    const program = `
      import { openDurableStore } from ${JSON.stringify(new URL("../../src/stores/open.ts", import.meta.url).href)};
      import { makeNode } from ${JSON.stringify(new URL("nodes.ts", import.meta.url).href)};
      const store = await openDurableStore(${JSON.stringify(`sqlite:${file}`)});
      await store.put(makeNode("a"));
      console.log("put");
      const other = await openDurableStore(${JSON.stringify(`sqlite:${newFile()}`)});
      await other.close();
      console.log("closed");
    `;
    const run = promisify(execFile);
    const { stdout, stderr } = await run(process.execPath, ["--input-type=module", "--eval", program], {
      cwd: fileURLToPath(new URL("../..", import.meta.url)),
    });
    expect([stdout, stderr]).toEqual(["put\nclosed\n", ""]);
    const store = await openDurableStore(`sqlite:${file}`);
    expect(await store.get("acme", "a")).toBeDefined();
    await store.close();
  });

  test("another process may look at the file, and hold it for a while", async () => {
    const file = newFile();
    const store = await openDurableStore(`sqlite:${file}`);
    await store.put(makeNode("a"));
    const other = new DatabaseSync(file);
    other.exec("BEGIN IMMEDIATE");
    const put = store.put(makeNode("b"));
    other.exec("COMMIT");
    await put;
    expect(other.prepare("SELECT count(*) AS count FROM nodes").get()).toEqual({ count: 2 });
    other.exec(`VACUUM INTO '${join(folder, "backup.db")}'`);
    other.close();
    await store.close();
    const backup = await openDurableStore(`sqlite:${join(folder, "backup.db")}`);
    expect(await backup.load("acme", "b")).toEqual(makeNode("b"));
    await backup.close();
  });

  test("nothing is created where a path cannot be", () => {
    expect(existsSync(join(folder, "text.db", "below"))).toBe(false);
  });
});

function withDatabase<T>(file: string, use: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(file);
  try {
    return use(database);
  } finally {
    database.close();
  }
}
