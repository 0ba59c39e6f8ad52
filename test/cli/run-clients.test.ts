import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Endpoint, launchOf } from "../../src/cli/run-clients.ts";

const ENDPOINT: Endpoint = { url: "http://127.0.0.1:4400", key: "sk-1", models: ["small", "large"] };

/** The overrides of Codex's arguments, by field. */
function overrides(args: readonly string[]): { readonly [field: string]: unknown } {
  const pairs = args.filter((_, index) => args[index - 1] === "-c").map((text) => text.split("=", 2));
  return Object.fromEntries(pairs.map(([field = "", value = ""]) => [field, JSON.parse(value)]));
}

/** A home of Codex with a configuration. */
function codexHome(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "turnwire-codex-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "config.toml"), text);
  return folder;
}

describe("any program", () => {
  test("gets the variables of OpenAI's SDKs, and its arguments as they are", () => {
    const { args, environment } = launchOf("python", ["-m", "agent"], ENDPOINT, {
      HOME: "/home/me",
      OPENAI_API_KEY: "sk-real",
    });
    expect(args).toEqual(["-m", "agent"]);
    expect(environment).toEqual({
      HOME: "/home/me",
      OPENAI_BASE_URL: "http://127.0.0.1:4400/v1",
      OPENAI_WEBSOCKET_BASE_URL: "ws://127.0.0.1:4400/v1",
      OPENAI_API_KEY: "sk-1",
    });
  });

  test.each([
    [{ HTTP_PROXY: "http://proxy:1" }, { NO_PROXY: "127.0.0.1" }],
    [{ https_proxy: "http://proxy:1", NO_PROXY: "example.com" }, { NO_PROXY: "example.com,127.0.0.1" }],
    [
      { ALL_PROXY: "http://proxy:1", no_proxy: "a" },
      { NO_PROXY: "127.0.0.1", no_proxy: "a,127.0.0.1" },
    ],
  ])("goes past a proxy to the server: %j", (environment, expected) => {
    expect(launchOf("agent", [], ENDPOINT, environment).environment).toMatchObject(expected);
  });

  test.each([{}, { HTTP_PROXY: "" }, { NO_COLOR: "1" }])(
    "is told of no exception where there is no proxy: %j",
    (environment) => {
      expect(launchOf("agent", [], ENDPOINT, environment).environment).not.toHaveProperty("NO_PROXY");
    },
  );
});

describe("Codex", () => {
  const nowhere = { HOME: "/nowhere" };

  test.each(["codex", "/opt/bin/codex", "codex.exe"])("gets a provider of its own: %s", (program) => {
    const { args, environment } = launchOf(program, ["exec", "fix it"], ENDPOINT, nowhere);
    expect(args.slice(-2)).toEqual(["exec", "fix it"]);
    expect(overrides(args)).toEqual({
      model_provider: "turnwire",
      "model_providers.turnwire.name": "Turnwire",
      "model_providers.turnwire.base_url": "http://127.0.0.1:4400/v1",
      "model_providers.turnwire.env_key": "CODEX_API_KEY",
      "model_providers.turnwire.wire_api": "responses",
      "model_providers.turnwire.supports_websockets": true,
      model: "small",
    });
    expect(environment).toMatchObject({ CODEX_API_KEY: "sk-1" });
  });

  test.each([
    [["-m", "mine"]],
    [["--model=mine"]],
    [["exec", "--model", "mine"]],
    [["-c", 'model="mine"']],
    [["--config=model=mine"]],
    [["--profile", "mine"]],
  ])("keeps the model that its arguments name: %j", (own) => {
    expect(launchOf("codex", own, ENDPOINT, nowhere).args).not.toContain('model="small"');
  });

  test.each([[["-c", "model_reasoning_effort=low"]], [["exec", "which model = best?"]], [[]]])(
    "is given one when its arguments name none: %j",
    (own) => {
      expect(launchOf("codex", own, ENDPOINT, nowhere).args).toContain('model="small"');
    },
  );

  test.each([
    ['model = "large"\n[profiles]\n', false],
    ["# mine\nmodel='large'", false],
    ['model = "gpt-5.5"', true],
    ['[profiles.x]\nmodel = "large"', true],
  ])("keeps the model of its configuration when that is served: %j", (text, isGiven) => {
    const { args } = launchOf("codex", [], ENDPOINT, { CODEX_HOME: codexHome(text) });
    expect(args.includes('model="small"')).toBe(isGiven);
  });

  test("is given no model when none is known", () => {
    expect(overrides(launchOf("codex", [], { ...ENDPOINT, models: [] }, nowhere).args)).not.toHaveProperty("model");
  });
});

describe("opencode", () => {
  test("gets a provider, a login for this run and WebSockets, besides what the variable held", () => {
    const held = '{"theme": "dark", "provider": {"mine": {}}}';
    const { args, environment } = launchOf("opencode", ["run", "hi"], ENDPOINT, { OPENCODE_CONFIG_CONTENT: held });
    expect(args).toEqual(["run", "hi"]);
    expect(environment["OPENCODE_EXPERIMENTAL_WEBSOCKETS"]).toBe("1");
    expect(JSON.parse(environment["OPENCODE_AUTH_CONTENT"] ?? "")).toEqual({ openai: { type: "api", key: "sk-1" } });
    expect(JSON.parse(environment["OPENCODE_CONFIG_CONTENT"] ?? "")).toEqual({
      theme: "dark",
      model: "openai/small",
      small_model: "openai/small",
      enabled_providers: ["openai"],
      provider: {
        mine: {},
        openai: {
          options: { baseURL: "http://127.0.0.1:4400/v1", apiKey: "sk-1" },
          models: { small: {}, large: {} },
          whitelist: ["small", "large"],
        },
      },
    });
  });

  test("is not led astray by a variable that is no JSON", () => {
    const { environment } = launchOf("opencode", [], ENDPOINT, { OPENCODE_CONFIG_CONTENT: "// jsonc\n{}" });
    expect(JSON.parse(environment["OPENCODE_CONFIG_CONTENT"] ?? "")).toMatchObject({ model: "openai/small" });
  });

  test("keeps away from the user's logins when they are what it is about", () => {
    expect(launchOf("opencode", ["auth", "list"], ENDPOINT, {}).environment).not.toHaveProperty(
      "OPENCODE_AUTH_CONTENT",
    );
  });
});
