import { expect, test } from "vitest";
import { tokensOf } from "../../src/core/permit.ts";
import type { Permit } from "../../src/core/ports.ts";
import { ApiError } from "../../src/protocol/errors.ts";
import { answer, Gate } from "../../src/testing/index.ts";
import { JournalStore, makeEngine, settled, turn } from "./harness.ts";

/** A permit whose answer the test gives, and what it was told. */
function makePermit(admit: () => Promise<void> = async () => undefined) {
  const charged: number[] = [];
  const asked: string[] = [];
  const permit: Permit = {
    tenant: "acme",
    keyName: null,
    admit: (model) => {
      asked.push(model);
      return admit();
    },
    charge: (tokens) => charged.push(tokens),
    allowsModel: () => true,
    checkConnection: () => undefined,
    connect: () => () => undefined,
  };
  return { permit, asked, charged };
}

const tooMany = (): ApiError => new ApiError("rate_limit_exceeded", "Later.", { retryAfter: 1 });

test("a permit is asked while the parent is looked for, and no backend before both have answered", async () => {
  const journal: string[] = [];
  const store = new JournalStore(journal);
  const { engine, scripted } = makeEngine({ store, steps: [answer("a"), answer("b")] });
  const first = engine.openSession({ tenant: "acme", transport: "http" });
  const { id } = await turn(first, { store: true }).response();

  const [asking, loading] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const { permit, asked } = makePermit(() => asking.promise);
  store.before = () => loading.promise;
  const session = engine.openSession({ tenant: "acme", transport: "http", permit });
  const next = turn(session, { previous_response_id: id, store: false });
  await settled();
  expect([asked, journal.at(-1)]).toEqual([["m"], `load ${id}`]);
  loading.resolve();
  await settled();
  expect(scripted.calls).toHaveLength(1);
  asking.resolve();
  expect(await next.code()).toBe("completed");
});

test("a no of the permit goes before a parent that nobody knows", async () => {
  const { engine } = makeEngine();
  const { permit } = makePermit(() => Promise.reject(new ApiError("invalid_api_key", "No.")));
  const session = engine.openSession({ tenant: "acme", transport: "http", permit });
  expect(await turn(session, { previous_response_id: "resp_unknown" }).code()).toBe("invalid_api_key");
});

test("a turn that is refused forgets nothing: it may come again", async () => {
  const { engine } = makeEngine({ steps: [answer("a"), answer("b"), answer("c")] });
  let no: ApiError | null = null;
  const { permit } = makePermit(() => (no === null ? Promise.resolve() : Promise.reject(no)));
  const session = engine.openSession({ tenant: "acme", transport: "websocket", permit });
  const { id } = await turn(session, { store: false }).response();
  const next = () => turn(session, { previous_response_id: id, store: false }).code();
  no = tooMany();
  expect(await next()).toBe("rate_limit_exceeded");
  no = null;
  expect(await next()).toBe("completed");
  no = new ApiError("model_not_found", "No.");
  expect(await next()).toBe("model_not_found");
  no = null;
  expect(await next()).toBe("completed");
});

test("a permit is told what each turn has used, and nothing for one that never began", async () => {
  const { engine } = makeEngine({ steps: [answer("a")] });
  const { permit, charged } = makePermit();
  const session = engine.openSession({ tenant: "acme", transport: "http", permit });
  await turn(session).end;
  await turn(session, { model: "unknown" }).end;
  await turn(session, { generate: false }).end;
  expect(charged).toEqual([5, 0, 0]);
});

test("what was never counted is estimated: the context so far, and what came in and went out", async () => {
  const { engine } = makeEngine({ steps: [answer("a"), [[{ type: "text.delta", delta: "b" }], new Gate()]] });
  const { permit, charged } = makePermit();
  const session = engine.openSession({ tenant: "acme", transport: "websocket", permit });
  const { id } = await turn(session, { store: false }).response();
  const cut = turn(session, { previous_response_id: id, store: false });
  await cut.begun;
  await settled();
  session.close();
  await cut.end;
  // The parent's 5, and 10 bytes in and a character out.
  expect(charged).toEqual([5, 5 + 3]);
  expect(tokensOf({ usage: null, events: 0, characters: 0 }, null, 1000)).toBe(0);
});
