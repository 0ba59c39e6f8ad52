import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Cipher, parseStoreKeys } from "../../src/stores/cipher.ts";
import { CipherSeal } from "../../src/stores/cipher-seal.ts";
import { keyFile, newKey } from "../../src/stores/key-file.ts";

const LIMIT = 1000;
const key = (id: string) => `${id}:${randomBytes(32).toString("base64")}`;
const sealOf = (...keys: readonly string[]) => new CipherSeal(() => parseStoreKeys(keys.join(",")));

describe("what is sealed", () => {
  test("opens for its tenant on every server that has the key, and shows nothing of the text", () => {
    const shared = key("k1");
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string(), (tenant, text) => {
        const sealed = sealOf(shared).seal(tenant, text);
        expect(sealed).toMatch(/^tw1:k1:[A-Za-z0-9_-]+$/);
        expect(sealOf(shared).open(tenant, sealed, LIMIT)).toBe(text);
      }),
    );
    expect(sealOf(shared).seal("a", "canary canary")).not.toContain("canary");
  });

  test("is unpacked as far as the limit, and no further", () => {
    const seal = sealOf(key("k1"));
    const sealed = seal.seal("a", "x".repeat(1000));
    expect(seal.open("a", sealed, 1000)).toHaveLength(1000);
    for (const limit of [999, 1, 0]) expect(() => seal.open("a", sealed, limit)).toThrow(RangeError);
  });

  test("is another text each time", () => {
    const seal = sealOf(key("k1"));
    expect(seal.seal("a", "text")).not.toBe(seal.seal("a", "text"));
  });

  test("opens with a key that is no longer current, and not without it", () => {
    const [old, current] = [key("old"), key("current")];
    const sealed = sealOf(old).seal("a", "text");
    expect(sealOf(current, old).open("a", sealed, LIMIT)).toBe("text");
    expect(sealOf(current).open("a", sealed, LIMIT)).toBeUndefined();
    expect(sealOf(current, old).seal("a", "text")).toMatch(/^tw1:current:/);
  });

  test("does not open for another tenant, with another key of the same name, or when any of it was changed", () => {
    const seal = sealOf(key("k1"));
    const sealed = seal.seal("a", "a text that is long enough to be changed in the middle of it");
    expect(seal.open("b", sealed, LIMIT)).toBeUndefined();
    expect(sealOf(key("k1")).open("a", sealed, LIMIT)).toBeUndefined();
    const start = "tw1:k1:".length;
    // The last character may have bits that stand for nothing.
    for (let index = 0; index < sealed.length - 1; index += 1) {
      const other = index < start || sealed[index] !== "A" ? "A" : "B";
      const forged = sealed.slice(0, index) + other + sealed.slice(index + 1);
      expect([index, seal.open("a", forged, LIMIT)]).toEqual([index, undefined]);
    }
  });

  test.each(["", "tw1", "tw1:k1", "tw1:k1:", "tw1:k1:AAAA", "tw2:k1:AAAA", "tw1:k1:AAAA:x", "gAAAAABpM0Yj-"])(
    "that was never sealed is not opened: %j",
    (sealed) => {
      expect(sealOf(key("k1")).open("a", sealed, LIMIT)).toBeUndefined();
    },
  );

  test("and what a store has encrypted by the same key is no sealed text", () => {
    const keys = parseStoreKeys(key("k1"));
    const stored = new Cipher(keys).seal(Buffer.from("text"), { tenant: "a", id: "resp_1" });
    const moved = `tw1:k1:${Buffer.from(stored.content).toString("base64url")}`;
    expect(new CipherSeal(() => keys).open("a", moved, LIMIT)).toBeUndefined();
  });
});

describe("a key file", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "turnwire-key-"));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  test("is made once, for nobody else to read, and is the same ever after", () => {
    const path = join(folder, "data", "compaction.key");
    const [made] = keyFile(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(folder, "data"))).toEqual(["compaction.key"]);
    const [again] = keyFile(path);
    expect(again?.id).toBe(made?.id);
    expect(made && again?.secret.equals(made.secret)).toBe(true);
  });

  test("of another who was faster is taken", () => {
    const path = join(folder, "compaction.key");
    writeFileSync(path, `${newKey()}\n`);
    const before = readFileSync(path, "utf8");
    expect(before).toContain(`${keyFile(path)[0]?.id}:`);
    expect(readFileSync(path, "utf8")).toBe(before);
  });

  test("that is no key, or cannot be made, is told by its name and nothing else", () => {
    const path = join(folder, "compaction.key");
    writeFileSync(path, "secret");
    expect(() => keyFile(path)).toThrow(`${path}: number 1 is not <id>:<base64>`);
    expect(() => keyFile(join(path, "below"))).toThrow(/cannot be read or made \(ENOTDIR\)/);
  });
});
