import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_LANE, type Job, Lanes } from "../../src/core/lanes.ts";

const PLENTY = { turnsInFlight: 100, queuedTurns: 1_000, laneNames: 100 };

/** A job that runs until it is let go, and says so in a journal. */
class Held implements Job {
  readonly #name: string;
  readonly #journal: string[];
  readonly #end = Promise.withResolvers<void>();

  constructor(name: string, journal: string[]) {
    this.#name = name;
    this.#journal = journal;
  }

  async run(): Promise<void> {
    this.#journal.push(`start ${this.#name}`);
    try {
      await this.#end.promise;
    } finally {
      this.#journal.push(`end ${this.#name}`);
    }
  }

  /** Lets it end, and what follows from that happen. */
  async release(fate: "well" | "badly" = "well"): Promise<void> {
    if (fate === "well") this.#end.resolve();
    else this.#end.reject(new Error(this.#name));
    await settled();
  }
}

/** Everything that only waits for promises has happened. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

describe("in a lane", () => {
  test("one job runs at a time, in the order in which they came", async () => {
    const journal: string[] = [];
    const lanes = new Lanes(PLENTY);
    const jobs = ["a", "b", "c"].map((name) => new Held(name, journal));
    for (const job of jobs) lanes.add(DEFAULT_LANE, job);
    for (const job of jobs.toReversed()) await job.release();
    expect(journal).toEqual(["start a", "end a", "start b", "end b", "start c", "end c"]);
  });

  test("a job that fails holds up nobody", async () => {
    const journal: string[] = [];
    const lanes = new Lanes(PLENTY);
    const [bad, good] = [new Held("bad", journal), new Held("good", journal)];
    lanes.add("lane", bad);
    lanes.add("lane", good);
    await bad.release("badly");
    expect(journal).toEqual(["start bad", "end bad", "start good"]);
  });

  test("what belongs to the job that has just ended goes first", async () => {
    const journal: string[] = [];
    const lanes = new Lanes(PLENTY);
    const [first, second, sequel] = ["first", "second", "sequel"].map((name) => new Held(name, journal));
    lanes.add("lane", first as Held);
    lanes.add("lane", second as Held);
    lanes.addNext("lane", sequel as Held);
    await first?.release();
    await sequel?.release();
    expect(journal).toEqual(["start first", "end first", "start sequel", "end sequel", "start second"]);
  });

  test("a job that waits can be found, and one that runs cannot", () => {
    const lanes = new Lanes<Held>(PLENTY);
    const [running, waiting] = [new Held("running", []), new Held("waiting", [])];
    lanes.add("lane", running);
    lanes.add("lane", waiting);
    expect(lanes.findWaiting("lane", () => true)).toBe(waiting);
    expect(lanes.findWaiting("lane", (job) => job === running)).toBeUndefined();
    expect(lanes.findWaiting("other", () => true)).toBeUndefined();
  });
});

describe("lanes", () => {
  test("do not wait for each other", () => {
    const journal: string[] = [];
    const lanes = new Lanes(PLENTY);
    for (const name of ["", "a", "b"]) lanes.add(name, new Held(`in '${name}'`, journal));
    expect(journal).toEqual(["start in ''", "start in 'a'", "start in 'b'"]);
  });

  test("run no more jobs at once than the limit says, and take turns", async () => {
    const journal: string[] = [];
    const lanes = new Lanes({ ...PLENTY, turnsInFlight: 1 });
    const flood = [1, 2, 3].map((count) => new Held(`flood ${count}`, journal));
    for (const job of flood) lanes.add("flooded", job);
    const other = new Held("other", journal);
    lanes.add("quiet", other);
    expect(journal).toEqual(["start flood 1"]);
    await flood[0]?.release();
    expect(journal.at(-1)).toBe("start other");
    await other.release();
    expect(journal.at(-1)).toBe("start flood 2");
  });

  test("are named within a limit that the default lane does not count towards, for as long as the connection lives", async () => {
    const lanes = new Lanes({ ...PLENTY, laneNames: 2 });
    const jobs = ["a", "b"].map((name) => {
      const job = new Held(name, []);
      lanes.add(name, job);
      return job;
    });
    const refusal = /maximum number of distinct stream IDs \(2\)/;
    expect(() => lanes.add("c", new Held("c", []))).toThrow(refusal);
    for (const job of jobs) await job.release();
    expect(() => lanes.add("c", new Held("c", []))).toThrow(refusal);
    for (const name of ["a", "b", DEFAULT_LANE]) lanes.add(name, new Held(name, []));
  });

  test("are not used up by jobs that only say no", async () => {
    const lanes = new Lanes({ ...PLENTY, laneNames: 1 });
    const journal: string[] = [];
    for (const name of ["a", "b"]) lanes.addRefusal(name, new Held(name, journal));
    expect(journal).toEqual(["start a", "start b"]);
    lanes.add("c", new Held("c", journal));
    expect(journal.at(-1)).toBe("start c");
    expect(() => lanes.add("d", new Held("d", journal))).toThrow(/maximum number of distinct stream IDs \(1\)/);
  });
});

describe("when as many jobs wait as may", () => {
  test("one more is refused, in whichever lane it would wait", () => {
    const lanes = new Lanes({ ...PLENTY, turnsInFlight: 2, queuedTurns: 1 });
    lanes.add("a", new Held("1", []));
    lanes.add("a", new Held("2", []));
    const refusal = { code: "too_many_queued_turns", status: 429, retryAfter: 1 };
    expect(() => lanes.add("a", new Held("3", []))).toThrow(expect.objectContaining(refusal));
    lanes.add("b", new Held("4", []));
    expect(() => lanes.add("c", new Held("5", []))).toThrow(expect.objectContaining(refusal));
  });

  test("one that need not wait is taken", () => {
    const journal: string[] = [];
    const lanes = new Lanes({ ...PLENTY, queuedTurns: 0 });
    lanes.add("a", new Held("a", journal));
    lanes.add("b", new Held("b", journal));
    expect(journal).toEqual(["start a", "start b"]);
    expect(() => lanes.add("a", new Held("c", []))).toThrow("0 turns waiting");
  });

  test("there is room again when one of them has begun", async () => {
    const journal: string[] = [];
    const lanes = new Lanes({ ...PLENTY, queuedTurns: 1 });
    const first = new Held("first", journal);
    lanes.add("a", first);
    lanes.add("a", new Held("second", journal));
    await first.release();
    lanes.add("a", new Held("third", journal));
    expect(journal.at(-1)).toBe("start second");
  });
});

test("whatever comes when, each lane keeps its order and all of them the limit, and nothing is forgotten", async () => {
  const action = fc.oneof(
    fc.record({ kind: fc.constant("add" as const), lane: fc.constantFrom("", "a", "b", "c") }),
    fc.record({
      kind: fc.constant("release" as const),
      which: fc.nat(),
      fate: fc.constantFrom("well" as const, "badly" as const),
    }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(action, { maxLength: 40 }),
      async (turnsInFlight, actions) => {
        const lanes = new Lanes({ ...PLENTY, turnsInFlight });
        const journal: string[] = [];
        const jobs: { readonly job: Held; readonly lane: string; readonly name: string }[] = [];
        const running = (): typeof jobs =>
          jobs.filter(({ name }) => journal.includes(`start ${name}`) && !journal.includes(`end ${name}`));
        for (const step of actions) {
          if (step.kind === "add") {
            const name = String(jobs.length);
            const job = new Held(name, journal);
            jobs.push({ job, lane: step.lane, name });
            lanes.add(step.lane, job);
          } else await running()[step.which % Math.max(1, running().length)]?.job.release(step.fate);
          const now = running();
          expect(now.length).toBeLessThanOrEqual(turnsInFlight);
          expect(new Set(now.map(({ lane }) => lane)).size).toBe(now.length);
        }
        while (running().length > 0) await running()[0]?.job.release();
        const started = journal.flatMap((line) => (line.startsWith("start ") ? line.slice(6) : []));
        expect(started.toSorted()).toEqual(jobs.map(({ name }) => name).toSorted());
        for (const lane of ["", "a", "b", "c"]) {
          const own = jobs.filter((job) => job.lane === lane).map(({ name }) => name);
          expect(started.filter((name) => own.includes(name))).toEqual(own);
        }
      },
    ),
  );
});
