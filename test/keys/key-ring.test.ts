import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Permit, Records } from "../../src/core/ports.ts";
import type { ApiError } from "../../src/protocol/errors.ts";
import type { ApiKey } from "../../src/keys/configured-keys.ts";
import { KeyBook } from "../../src/keys/key-book.ts";
import type { KeyTerms } from "../../src/keys/key-record.ts";
import { DEFAULT_TENANT, KeyRing } from "../../src/keys/key-ring.ts";
import { MemoryStore } from "../../src/stores/memory.ts";
import { FakeRuntime } from "../../src/testing/index.ts";
import { addKey } from "./stored-key.ts";

const keys = [
  { tenant: "acme", key: "key-of-acme" },
  { tenant: "acme", key: "second-key-of-acme" },
  { tenant: "globex", key: "key-of-globex" },
];

/** A ring over records of its own, and the book through which an operator changes them. */
function makeRing({ configured = [], isClosed = false }: { configured?: readonly ApiKey[]; isClosed?: boolean } = {}) {
  const { records } = new MemoryStore({ budgetBytes: 1 << 20 });
  const runtime = new FakeRuntime();
  const reads: string[] = [];
  const watched: Records = {
    get: (name) => {
      reads.push("get");
      return records.get(name);
    },
    list: (...range) => {
      reads.push("list");
      return records.list(...range);
    },
    write: (...record) => records.write(...record),
    apply: (changes) => records.apply(changes),
    delete: (name) => records.delete(name),
    due: (...range) => records.due(...range),
    chain: (record) => records.chain(record),
  };
  const ring = new KeyRing({ configured, records: watched, runtime, isClosed });
  const book = new KeyBook(records);
  const add = (terms: Partial<KeyTerms> = {}) => addKey(records, terms);
  return { ring, book, add, records, runtime, reads };
}

const enter = (ring: KeyRing, key: string): Promise<Permit> => ring.authenticate(`Bearer ${key}`);

async function refusal(attempt: Promise<unknown>): Promise<Pick<ApiError, "code" | "message" | "retryAfter">> {
  const error = await attempt.then(
    () => new Error("it was let through"),
    (thrown: unknown) => thrown,
  );
  const { code, message, retryAfter } = error as ApiError;
  return { code, message, retryAfter };
}

describe("without keys", () => {
  test("everybody is the default tenant", async () => {
    const { ring } = makeRing();
    expect((await ring.authenticate(undefined)).tenant).toBe(DEFAULT_TENANT);
    expect((await enter(ring, "anything")).tenant).toBe(DEFAULT_TENANT);
    expect(await ring.needsKey()).toBe(false);
  });

  test("a closed server lets nobody in", async () => {
    const { ring } = makeRing({ isClosed: true });
    expect(await ring.needsKey()).toBe(true);
    expect((await refusal(ring.authenticate(undefined))).code).toBe("invalid_api_key");
  });

  test("the store is asked once a second whether there is one now", async () => {
    const { ring, reads, runtime } = makeRing();
    for (let request = 0; request < 10; request += 1) await ring.authenticate(undefined);
    expect(reads).toEqual(["list"]);
    runtime.advance(1000);
    await Promise.all([ring.authenticate(undefined), ring.authenticate(undefined)]);
    expect(reads).toEqual(["list", "list"]);
  });

  test("the first one closes the server, also to those who are in already", async () => {
    const { ring, add, runtime } = makeRing();
    const permit = await ring.authenticate(undefined);
    await permit.admit("m");
    const { secret } = await add();
    runtime.advance(1000);
    expect((await refusal(permit.admit("m"))).code).toBe("invalid_api_key");
    expect((await refusal(ring.authenticate(undefined))).code).toBe("invalid_api_key");
    expect((await enter(ring, secret)).tenant).toBe("acme");
  });
});

describe("a key of the configuration", () => {
  test("belongs to its tenant", async () => {
    const { ring } = makeRing({ configured: keys });
    for (const { tenant, key } of keys) expect((await enter(ring, key)).tenant).toBe(tenant);
    expect((await ring.authenticate("bearer  key-of-globex")).tenant).toBe("globex");
  });

  test("has no limits, and costs no look into the store", async () => {
    const { ring, reads } = makeRing({ configured: keys });
    const permit = await enter(ring, "key-of-acme");
    for (let turn = 0; turn < 1000; turn += 1) await permit.admit("any");
    permit.charge(1e9);
    await permit.admit("any");
    permit.connect();
    permit.checkConnection();
    expect(permit.allowsModel("any")).toBe(true);
    expect(reads).toEqual([]);
  });

  test.each([undefined, "", "Bearer", "Bearer ", "Basic a2V5LW9mLWFjbWU=", "key-of-acme"])(
    "a header without a bearer key is told how to give one: %j",
    async (header) => {
      const { ring } = makeRing({ configured: keys });
      expect((await refusal(ring.authenticate(header))).message).toMatch(/Authorization: Bearer YOUR_KEY/);
    },
  );

  test.each(["key-of-acm", "key-of-acme2", "KEY-OF-ACME", "x", `tw_${"x".repeat(43)}`])(
    "a wrong key is refused and not repeated: %s",
    async (key) => {
      const { ring } = makeRing({ configured: keys });
      expect(await refusal(enter(ring, key))).toMatchObject({
        code: "invalid_api_key",
        message: "Incorrect API key provided.",
      });
    },
  );

  test("works beside stored ones", async () => {
    const { ring, add } = makeRing({ configured: keys });
    const { secret } = await add();
    expect((await enter(ring, secret)).tenant).toBe("acme");
    expect((await enter(ring, "key-of-globex")).tenant).toBe("globex");
  });
});

describe("a stored key", () => {
  test("that is revoked admits no further turn, and opens no door", async () => {
    const { ring, add, book } = makeRing();
    const { id, secret } = await add();
    const permit = await enter(ring, secret);
    await permit.admit("m");
    await book.revoke(id);
    expect((await refusal(permit.admit("m"))).code).toBe("invalid_api_key");
    expect((await refusal(enter(ring, secret))).code).toBe("invalid_api_key");
    expect((await refusal(ring.authenticate(undefined))).code).toBe("invalid_api_key");
  });

  test("admits no turn after its time", async () => {
    const { ring, add, runtime } = makeRing();
    const { secret } = await add({ expiresAt: runtime.now() + 60_000 });
    const permit = await enter(ring, secret);
    runtime.advance(59_999);
    await permit.admit("m");
    runtime.advance(1);
    expect(await refusal(permit.admit("m"))).toMatchObject({ code: "invalid_api_key", message: /expired/ });
    expect((await refusal(enter(ring, secret))).code).toBe("invalid_api_key");
  });

  test("is good for the models that it names", async () => {
    const { ring, add } = makeRing();
    const permit = await enter(ring, (await add({ models: ["qwen*", "gpt-5"] })).secret);
    await permit.admit("qwen3/32b");
    await permit.admit("gpt-5");
    expect(await refusal(permit.admit("gpt-5.5"))).toMatchObject({ code: "model_not_found" });
    expect(["qwen3", "gpt-5", "gpt-5.5"].filter((model) => permit.allowsModel(model))).toEqual(["qwen3", "gpt-5"]);
  });

  test("begins as many turns per minute as it may, over all its connections", async () => {
    const { ring, add, runtime } = makeRing();
    const { secret } = await add({ turnsPerMinute: 6 });
    const [one, other] = [await enter(ring, secret), await enter(ring, secret)];
    for (let turn = 0; turn < 3; turn += 1) await Promise.all([one.admit("m"), other.admit("m")]);
    expect(await refusal(one.admit("m"))).toMatchObject({ code: "rate_limit_exceeded", retryAfter: 10 });
    runtime.advance(10_000);
    await other.admit("m");
    expect((await refusal(one.admit("m"))).code).toBe("rate_limit_exceeded");
  });

  test("is not counted a turn for a model that it may not use", async () => {
    const { ring, add } = makeRing();
    const permit = await enter(ring, (await add({ turnsPerMinute: 1, models: ["m"] })).secret);
    await refusal(permit.admit("x"));
    await permit.admit("m");
  });

  test("waits for the tokens of earlier turns to be made up for", async () => {
    const { ring, add, runtime } = makeRing();
    const permit = await enter(ring, (await add({ tokensPerMinute: 6000 })).secret);
    await permit.admit("m");
    permit.charge(6400);
    const { retryAfter = 0 } = await refusal(permit.admit("m"));
    expect(retryAfter).toBe(5);
    runtime.advance(retryAfter * 1000);
    await permit.admit("m");
  });

  test("has as many connections as it may", async () => {
    const { ring, add } = makeRing();
    const { secret } = await add({ connections: 1 });
    const one = await enter(ring, secret);
    one.checkConnection();
    const leave = one.connect();
    const other = await enter(ring, secret);
    expect(() => other.checkConnection()).toThrow(expect.objectContaining({ code: "rate_limit_exceeded" }) as Error);
    leave();
    other.checkConnection();
  });

  test("with terms that this version does not know lets nobody in", async () => {
    const { ring, add, records } = makeRing();
    const { secret } = await add();
    const [record] = await records.list("(server)", "key", { limit: 1 });
    if (record === undefined) throw new Error("there is no record");
    await records.write({ ...record, value: { ...(record.value as object), form: 2 } }, record.version);
    await expect(enter(ring, secret)).rejects.toThrow("another version");
  });

  test("is in the store as its hash and its last four characters", async () => {
    const { add, records } = makeRing();
    const { secret } = await add();
    const kept = JSON.stringify(await records.list("(server)", "key", { limit: 10 }));
    expect(kept).toContain(createHash("sha256").update(secret).digest("hex"));
    expect(kept).toContain(`"${secret.slice(-4)}"`);
    for (let at = 0; at + 5 <= secret.length; at += 1) expect(kept).not.toContain(secret.slice(at, at + 5));
  });
});
