import { expect, test } from "vitest";
import type { Database, NewEntry, NewRow, PutOutcome } from "../../src/stores/database.ts";
import { PutQueue } from "../../src/stores/put-queue.ts";

/** The one method of a database that the queue uses, moved by hand. */
class HandDatabase {
  readonly batches: {
    readonly ids: readonly string[];
    readonly done: (outcomes?: readonly PutOutcome[]) => void;
    readonly fail: (error: Error) => void;
  }[] = [];

  insert(entries: readonly NewEntry[]): Promise<readonly PutOutcome[]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly PutOutcome[]>();
    this.batches.push({
      ids: entries.flatMap(({ rows }) => rows.map(({ id }) => id)),
      done: (outcomes) => resolve(outcomes ?? entries.map(() => "stored")),
      fail: reject,
    });
    return promise;
  }
}

function row(id: string, bytes = 100): NewRow {
  const flags = { isWhole: true, isListed: true, sharesHead: false };
  const content = new Uint8Array(bytes);
  return {
    tenant: "acme",
    id,
    parent: null,
    ...flags,
    bytes,
    storedAt: 0,
    key: null,
    content,
    recording: null,
    token: 1,
  };
}

function entry(...rows: readonly NewRow[]): NewEntry {
  return { rows, changes: [] };
}

function make(lanes: number): { readonly database: HandDatabase; readonly queue: PutQueue } {
  const database = new HandDatabase();
  return { database, queue: new PutQueue(database as unknown as Database, lanes, () => 0) };
}

/** Lets everything happen that waits for nothing. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test("what comes while a commit runs goes into the next one together, and nobody hears of it early", async () => {
  const { database, queue } = make(1);
  const heard: string[] = [];
  const puts = ["a", "b", "c"].map(async (id) => {
    expect(await queue.add(entry(row(id)))).toBe("stored");
    heard.push(id);
  });
  await settled();
  expect(database.batches.map(({ ids }) => ids)).toEqual([["a"]]);
  expect(heard).toEqual([]);
  database.batches[0]?.done();
  await settled();
  expect(heard).toEqual(["a"]);
  expect(database.batches.map(({ ids }) => ids)).toEqual([["a"], ["b", "c"]]);
  database.batches[1]?.done();
  await Promise.all(puts);
  await queue.idle();
});

test("a batch ends at 64 rows or 4 MiB, and one larger row goes alone", async () => {
  const { database, queue } = make(1);
  const rows = [row("first"), ...Array.from({ length: 70 }, (_, index) => row(`r${index}`)), row("big", 5 << 20)];
  const puts = rows.map((each) => queue.add(entry(each)));
  for (let batch = 0; batch < 4; batch++) {
    await settled();
    database.batches[batch]?.done();
  }
  await Promise.all(puts);
  expect(database.batches.map(({ ids }) => ids.length)).toEqual([1, 64, 6, 1]);
});

test("no more commits run at the same time than there are lanes", async () => {
  const { database, queue } = make(2);
  const puts = ["a", "b", "c", "d"].map((id) => queue.add(entry(row(id))));
  expect(database.batches.map(({ ids }) => ids)).toEqual([["a"], ["b"]]);
  database.batches[1]?.done();
  await settled();
  expect(database.batches.map(({ ids }) => ids)).toEqual([["a"], ["b"], ["c", "d"]]);
  for (const { done } of database.batches) done();
  expect(await Promise.all(puts)).toEqual(["stored", "stored", "stored", "stored"]);
});

test("a row whose parent is missing is told so, and only that one", async () => {
  const { database, queue } = make(1);
  const first = queue.add(entry(row("a")));
  const puts = [queue.add(entry(row("b"))), queue.add(entry(row("c"), row("d"))), queue.add(entry(row("e")))];
  database.batches[0]?.done();
  await first;
  await settled();
  database.batches[1]?.done(["stored", "stored", "no_parent"]);
  expect(await Promise.all(puts)).toEqual(["stored", "stored", "no_parent"]);
});

test("a row that cannot be stored fails alone", async () => {
  const { database, queue } = make(1);
  const first = queue.add(entry(row("a")));
  const puts = ["b", "bad", "c"].map((id) => queue.add(entry(row(id))));
  const ends = Promise.allSettled(puts);
  database.batches[0]?.done();
  await first;
  await settled();
  const failure = new Error("no");
  database.batches[1]?.fail(failure);
  for (const [index, id] of ["b", "bad", "c"].entries()) {
    await settled();
    const batch = database.batches[2 + index];
    expect(batch?.ids).toEqual([id]);
    if (id === "bad") batch?.fail(failure);
    else batch?.done();
  }
  expect((await ends).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  await queue.idle();
});
