import { expect, test } from "vitest";
import { banner } from "../../src/cli/banner.ts";
import { completeConfig } from "../../src/config.ts";
import type { Config } from "../../src/settings.ts";
import { sizesOf } from "../../src/sizes.ts";

const HEAP = 4 * 2 ** 30;

function shown(settings: Partial<Config>): string {
  const config = completeConfig(settings);
  return banner("http://127.0.0.1:4400", config, { needsKey: config.apiKeys.length > 0, sizes: sizesOf(config, HEAP) });
}

test("the banner of a bare server says that a simulator answers, where data is, and whom it lets in", () => {
  const text = shown({});
  expect(text).toContain("a simulator: its answers are made up");
  expect(text).toContain("turnwire --backend http://localhost:8000/v1");
  expect(text).toMatch(/stored responses in the folder .*turnwire/);
  expect(shown({ store: "memory:" })).toContain("in memory: gone when the server stops (512MiB for stored responses)");
  expect(text).toContain("none: only this machine can connect");
});

test("with a store that lasts it says where, and shows no password", () => {
  expect(shown({ store: "sqlite:", dataDir: "/var/lib/x" })).toContain("stored responses in the folder /var/lib/x");
  const text = shown({ store: "postgres://user:secret@db/turnwire" });
  expect(text).toContain("stored responses in postgres://");
  expect(text).not.toContain("secret");
});

test("it has a line to paste for each kind of client", () => {
  const text = shown({});
  expect(text).toContain(`curl http://127.0.0.1:4400/v1/responses -H 'content-type: application/json'`);
  expect(text).toContain("new WebSocket('ws://127.0.0.1:4400/v1/responses')");
  expect(text).toContain("OPENAI_BASE_URL=http://127.0.0.1:4400/v1");
  expect(text).toContain(`codex -c openai_base_url='"http://127.0.0.1:4400/v1"' -m sim`);
});

test("with keys it names the tenants and the header, and shows no key", () => {
  const apiKeys = [
    { tenant: "a", key: "sk-1-of-sixteen-or-more" },
    { tenant: "a", key: "sk-2-of-sixteen-or-more" },
    { tenant: "b", key: "sk-3-of-sixteen-or-more" },
  ];
  const text = shown({ apiKeys, host: "0.0.0.0" });
  expect(text).toContain("of a, b");
  expect(text).toContain('-H "authorization: Bearer $OPENAI_API_KEY"');
  expect(text).not.toContain("sk-");
});

test("in front of a model server it shows its address, without a password, and a model by its name", () => {
  const models = new Map([
    ["*", "small"],
    ["gpt-5", "large"],
  ]);
  const text = shown({ backend: "https://me:sk-secret@models.example.com/v1", models });
  expect(text).toContain("https://****@models.example.com/v1");
  expect(text).toContain('{"model":"gpt-5","input":"Hello"}');
  expect(text).not.toContain("sk-secret");
  expect(text).not.toContain("simulator");
});

test("open to everybody, it says so", () => {
  expect(shown({ host: "0.0.0.0", allowUnauthenticated: true })).toContain(
    "whoever reaches this port may use the model",
  );
});
