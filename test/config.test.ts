import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv } from "ajv";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  completeConfig,
  ConfigError,
  ConfigSchema,
  type ConfigSources,
  parseConfig,
  isLoopback,
} from "../src/config.ts";
import { flagOf, SETTING_NAMES, settingOf, variableOf } from "../src/config-sources.ts";

/** For each setting a text that is not its default. */
const EXAMPLES: { readonly [Name in (typeof SETTING_NAMES)[number]]: string } = {
  host: "localhost",
  port: "1",
  apiKeys: "a=key-of-sixteen-or-more",
  allowUnauthenticated: "true",
  tlsCert: "cert.pem",
  tlsKey: "key.pem",
  maxMessageBytes: "1MiB",
  graceSeconds: "1.5",
  websocket: "off",
  allowOrigins: "https://app.example.com",
  allowedHosts: "models.example.com",
  dataPermissions: "refuse",
  storeTimeout: "3",
  storeClearRows: "true",
  backendDefaultBody: '{"top_k":1}',
  backendAllowFields: "priority",
  connectionMinutes: "0",
  pingSeconds: "0",
  echo: "minimal",
  coalesceMs: "8",
  keepalive: "on",
  keepaliveSeconds: "1.5",
  deflate: "off",
  maxDeflateConnections: "1",
  maxLanes: "1",
  maxTurnsInFlight: "1",
  maxQueuedTurns: "1",
  maxMessageValues: "1000",
  slowReaderSeconds: "1.5",
  slowMessageSeconds: "1.5",
  maxTurns: "1",
  maxTurnsPerTenant: "1",
  maxConnections: "1",
  maxDetachedTurns: "7",
  maxDetachedTurnsPerTenant: "3",
  maxConnectionsPerTenant: "1",
  maxLoopDelayMs: "0",
  backend: "http://localhost:8000/v1",
  backendKey: "k",
  models: "a=b",
  defaultModel: "b",
  connectTimeout: "1",
  firstByteTimeout: "1",
  acceptTimeout: "0",
  silenceTimeout: "1",
  backendRetries: "0",
  reasoningPassback: "none",
  thinkTags: "off",
  strictTools: "true",
  mcpTools: "omit",
  backendMaxTokensField: "max_completion_tokens",
  prefill: "true",
  tokenizer: "cl100k_base",
  backendDialect: '{"system":"first","models":{"m":{"omit":["strict"]}}}',
  backendExtraBody: '{"a":1}',
  simDelayMs: "1",
  simRate: "1",
  simRounds: "1",
  simTools: "all",
  store: "memory:",
  storeDays: "1",
  storeKeys: "a:b",
  dataDir: "elsewhere",
  compactionKeys: "a:b",
  compactTokens: "1",
  compactBytes: "1MiB",
  storeBytes: "1MiB",
  sessionBytes: "1MiB",
  maxConversationItems: "5",
  conversationDays: "7",
  storeQuotaBytes: "1GiB",
  storeQuotaBytesPerTenant: "1GiB",
  memoryBytes: "1GiB",
  memoryBytesPerTenant: "1GiB",
  contextBytes: "1MiB",
  logLevel: "debug",
  logFormat: "json",
  logContent: "1",
};

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "turnwire-config-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function file(content: unknown, name = "turnwire.config.json"): void {
  writeFileSync(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
}

function parse(...args: readonly string[]) {
  return parseConfig({ args, folder });
}

/** What is wrong, a line for each problem. */
function problems(sources: ConfigSources): readonly string[] {
  try {
    parseConfig({ folder, ...sources });
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ where, what }) => `${where} ${what}`);
    throw error;
  }
  return [];
}

describe("where a setting comes from", () => {
  test("flags go before the environment, that before the file, and that before the defaults", () => {
    file({ host: "127.0.0.4", port: 4, logLevel: "warn", simRounds: 4 });
    const environment = { TURNWIRE_HOST: "127.0.0.3", TURNWIRE_PORT: "3", TURNWIRE_LOG_LEVEL: "error" };
    const { config, origins } = parseConfig({ args: ["--host", "127.0.0.2", "--port=2"], environment, folder });
    expect(config).toMatchObject({ host: "127.0.0.2", port: 2, logLevel: "error", simRounds: 4, graceSeconds: 30 });
    expect(origins).toMatchObject({
      host: "--host",
      port: "--port",
      logLevel: "TURNWIRE_LOG_LEVEL",
      simRounds: 'turnwire.config.json: "simRounds"',
      graceSeconds: "default",
    });
  });

  test("every setting has a flag of its own", () => {
    const flags = SETTING_NAMES.map(flagOf);
    expect(new Set(flags).size).toBe(flags.length);
  });

  test.each(SETTING_NAMES)("%s can be set by a flag and by a variable", (name) => {
    const text = EXAMPLES[name];
    const args = settingOf(name).value === null ? [`--${flagOf(name)}`] : [`--${flagOf(name)}`, text];
    // A certificate is nothing without its key.
    const pair = { TURNWIRE_TLS_CERT: "cert.pem", TURNWIRE_TLS_KEY: "key.pem" };
    const byFlag = parseConfig({ args, environment: pair, folder });
    const byVariable = parseConfig({ environment: { ...pair, [variableOf(name)]: text }, folder });
    expect(byFlag.origins[name]).toBe(`--${flagOf(name)}`);
    expect(byVariable.origins[name]).toBe(variableOf(name));
    expect(byFlag.config[name]).toEqual(byVariable.config[name]);
    expect(byFlag.config[name]).not.toEqual(completeConfig({})[name]);
  });

  test("a list replaces the list of a later source", () => {
    file({ models: { a: "x", b: "y" } });
    expect([...parse("--model", "c=z", "--model", "d").config.models]).toEqual([
      ["c", "z"],
      ["d", "d"],
    ]);
  });

  test("--config names another file, which must exist", () => {
    file({ port: 1 });
    file({ port: 2 }, "other.json");
    expect(parse("--config", "other.json").config.port).toBe(2);
    expect(parseConfig({ environment: { TURNWIRE_CONFIG: "other.json" }, folder }).config.port).toBe(2);
    expect(problems({ args: ["--config", "absent.json"] })).toEqual(["absent.json does not exist"]);
  });

  test("an empty variable counts as absent", () => {
    expect(parseConfig({ environment: { TURNWIRE_PORT: "", TURNWIRE_API_KEYS: "" }, folder }).origins.port).toBe(
      "default",
    );
  });

  test("what Kubernetes says about a service named turnwire is not taken for settings", () => {
    const environment = {
      TURNWIRE_PORT: "tcp://10.0.0.1:4400",
      TURNWIRE_PORT_4400_TCP_PORT: "4400",
      TURNWIRE_SERVICE_HOST: "10.0.0.1",
      TURNWIRE_SERVICE_PORT: "4400",
    };
    expect(parseConfig({ environment, folder }).config).toMatchObject({ host: "127.0.0.1", port: 4400 });
  });
});

describe("problems", () => {
  test("all of them are told at once, each with where it comes from", () => {
    file({ backendRetries: -1, hots: "x" });
    const args = [
      "--prot",
      "1",
      "--log-level",
      "loud",
      "extra",
      "--backend-extra-body",
      "[1]",
      "--model",
      "--sim-rate",
    ];
    const environment = { TURNWIRE_API_KEY: "a=b", TURNWIRE_PORT: "abc" };
    expect(problems({ args, environment })).toEqual([
      "--model needs a value",
      "--sim-rate needs a value",
      "--prot is not a flag; did you mean --port?",
      "extra is not expected here",
      "TURNWIRE_API_KEY is not a setting; did you mean TURNWIRE_API_KEYS?",
      'turnwire.config.json: "hots" is not a setting; did you mean host?',
      'TURNWIRE_PORT "abc" is not a whole number from 0 to 65535',
      'turnwire.config.json: "backendRetries" "-1" is not a whole number from 0 to 10',
      '--backend-extra-body "[1]" is not a JSON object',
      '--log-level "loud" is not one of trace, debug, info, warn, error, silent',
    ]);
  });

  test("a word that resembles nothing gets no suggestion", () => {
    expect(problems({ args: ["--zzzzzz", "-x"] })).toEqual(["--zzzzzz is not a flag", "-x is not a flag"]);
  });

  test("a variable that resembles no setting is somebody else's", () => {
    expect(problems({ environment: { TURNWIRE_IMAGE_TAG: "1" } })).toEqual([]);
  });

  test("a switch can be turned on, off, and not to anything else", () => {
    expect(parse("--log-content").config.logContent).toBe(true);
    expect(parse("--log-content=false").config.logContent).toBe(false);
    expect(parse("--no-log-content").config.logContent).toBe(false);
    expect(problems({ args: ["--log-content=maybe"] })).toEqual(['--log-content "maybe" is not true or false']);
    expect(problems({ args: ["--no-port"] })).toEqual([
      "--no-port is not a flag; --port takes a value and cannot be negated",
    ]);
  });

  test("a secret is never part of the text", () => {
    file(`{ "apiKeys": { "a": "sk-secret" `);
    const sources = { args: ["--api-key", "sk-secret"], environment: { TURNWIRE_BACKEND_KEY: "sk-secret" } };
    expect(problems(sources)).toEqual([
      expect.stringMatching(/^turnwire\.config\.json is not valid JSON/),
      "--api-key must be written as tenant=key",
    ]);
    file({ apiKeys: { a: ["sk-secret", "sk-secret"], b: 7 }, backendKey: { is: "sk-secret" } });
    expect(problems({}).join("\n")).not.toContain("sk-secret");
    expect(problems({})).toHaveLength(2);
  });

  test("a file that holds no object is refused", () => {
    file("[]");
    expect(problems({})).toEqual(["turnwire.config.json must hold a JSON object"]);
  });
});

describe("values", () => {
  test.each([
    ["65536", 65_536],
    ["64KiB", 65_536],
    ["64 kb", 65_536],
    ["64MiB", 67_108_864],
    ["64mb", 67_108_864],
    ["64m", 67_108_864],
    ["1.5GiB", 1_610_612_736],
  ])("the size %s is %i bytes", (text, bytes) => {
    expect(parse("--max-message-bytes", text).config.maxMessageBytes).toBe(bytes);
  });

  test.each(["0", "1", "-1", "64zb", "MiB", "1..5m", "2000GiB"])("%s is not a size", (text) => {
    expect(problems({ args: [`--store-bytes=${text}`] })).toHaveLength(1);
  });

  test("models are names, or pairs of a name and the model server's own", () => {
    file({ models: { "gpt-5": "qwen3:32b", "*": "small" } });
    expect([...parse().config.models]).toEqual([
      ["gpt-5", "qwen3:32b"],
      ["*", "small"],
    ]);
    expect([...parse("--model", "a", "--model", "b=org/c=d").config.models]).toEqual([
      ["a", "a"],
      ["b", "org/c=d"],
    ]);
    expect([...parse("--model", "*").config.models]).toEqual([["*", "*"]]);
    expect(problems({ args: ["--model", "a=*"] })).toHaveLength(1);
    expect(problems({ args: ["--model", "=b"] })).toHaveLength(1);
    expect(problems({ args: ["--model", "a", "--model", "a=b"] })).toHaveLength(1);
  });

  test("hosts are names or addresses, without a port", () => {
    const { config } = parse("--allowed-hosts", "Models.Example.com.,*.lan", "--allowed-hosts", "fe80::1");
    expect(config.allowedHosts).toEqual(["models.example.com", "*.lan", "[fe80::1]"]);
    expect(parse("--allowed-hosts", "*").config.allowedHosts).toEqual(["*"]);
    for (const wrong of ["https://a.example", "a.example:443", "a b", "*.*", "user@a.example", "-a"]) {
      expect(problems({ args: ["--allowed-hosts", wrong] })).toHaveLength(1);
    }
  });

  test("origins are a scheme and a host, or a star", () => {
    const { config } = parse("--allow-origin", "https://App.example.com/", "--allow-origin", "http://localhost:443");
    expect(config.allowOrigins).toEqual(["https://app.example.com", "http://localhost:443"]);
    expect(parse("--allow-origin", "https://a.example:443").config.allowOrigins).toEqual(["https://a.example"]);
    expect(parse("--allow-origin", "*").config.allowOrigins).toEqual(["*"]);
    expect(problems({ args: ["--allow-origin", "app.example.com"] })).toEqual([
      `--allow-origin "app.example.com" must be an origin such as https://app.example.com, or '*'`,
    ]);
    expect(problems({ args: ["--allow-origin", "https://a.example/path"] })).toHaveLength(1);
    expect(parse("--allow-origin", "chrome-extension://ABCdef").config.allowOrigins).toEqual([
      "chrome-extension://abcdef",
    ]);
  });

  test("a tenant may have several keys, and a key one tenant", () => {
    file({ apiKeys: { a: ["key-number-1-is-long", "key-number-2-is-long"], b: "key-number-3-is-long" } });
    const keys = [
      { tenant: "a", key: "key-number-1-is-long" },
      { tenant: "a", key: "key-number-2-is-long" },
      { tenant: "b", key: "key-number-3-is-long" },
    ];
    expect(parse().config.apiKeys).toEqual(keys);
    expect(
      parse(
        "--api-key",
        "a=key-number-1-is-long",
        "--api-key",
        "a=key-number-2-is-long",
        "--api-key",
        "b=key-number-3-is-long",
      ).config.apiKeys,
    ).toEqual(keys);
    expect(
      parseConfig({
        environment: { TURNWIRE_API_KEYS: "a=key-number-1-is-long, a=key-number-2-is-long,b=key-number-3-is-long" },
        folder,
      }).config.apiKeys,
    ).toEqual(keys);
    expect(parse("--api-key", "a=key-with=,=inside").config.apiKeys).toEqual([
      { tenant: "a", key: "key-with=,=inside" },
    ]);
    expect(problems({ args: ["--api-key", "a=the-same-key-twice", "--api-key", "b=the-same-key-twice"] })).toEqual([
      "--api-key has the same key twice, the second time for the tenant 'b'",
    ]);
    expect(problems({ args: ["--api-key", "a=key with spaces inside"] })).toHaveLength(1);
    expect(problems({ args: ["--api-key", "a="] })).toHaveLength(1);
    expect(problems({ args: ["--api-key", "a/b=key-of-sixteen-chars"] })).toHaveLength(1);

    expect(problems({ args: ["--api-key", "a=fifteen-letters"] })).toEqual([
      "--api-key needs a key of at least 16 characters for the tenant 'a': shorter ones can be guessed",
    ]);
    expect(() => completeConfig({ apiKeys: [{ tenant: "a", key: "short" }] })).toThrow(/at least 16 characters/);
  });
});

describe("an address", () => {
  test.each(["127.0.0.1", "127.1.2.3", "::1", "localhost"])("%s is for this machine alone", (host) => {
    expect(isLoopback(host)).toBe(true);
  });

  test.each(["0.0.0.0", "::", "192.168.1.1", "localhost.example.com", "127.example.com"])(
    "%s is for others too",
    (host) => {
      expect(isLoopback(host)).toBe(false);
    },
  );
});

test("a certificate needs its key, and the key its certificate", () => {
  expect(problems({ args: ["--tls-cert", "a"] })).toEqual(["--tls-cert needs --tls-key as well"]);
  expect(problems({ args: ["--tls-key", "a"] })).toEqual(["--tls-key needs --tls-cert as well"]);
});

describe("the published schema", () => {
  const published: unknown = JSON.parse(readFileSync(new URL("../src/config.schema.json", import.meta.url), "utf8"));

  test("is the one that the program has; `turnwire config --schema` prints it", () => {
    expect(published).toEqual(JSON.parse(JSON.stringify(ConfigSchema)));
  });

  test("accepts what the program accepts", () => {
    const accepts = new Ajv().compile(published as object);
    expect(accepts({ $schema: "x", port: 1, models: ["a"], apiKeys: { a: ["b"] }, storeBytes: "1GiB" })).toBe(true);
    expect(accepts({ port: "1" })).toBe(false);
    expect(accepts({ prot: 1 })).toBe(false);
  });
});

describe("docs/configuration.md", () => {
  const page = readFileSync(new URL("../docs/configuration.md", import.meta.url), "utf8");

  test.each(SETTING_NAMES)("tells of %s what the program does", (name) => {
    const { value, schema } = settingOf(name);
    const { default: fallback, description } = schema as {
      readonly default?: string | number | boolean | object;
      readonly description?: string;
    };
    const flag = `--${flagOf(name)}${value === null ? "" : ` ${value.replaceAll("|", "\\|")}`}`;
    const shown = fallback === undefined || typeof fallback === "object" ? "" : `\`${fallback}\``;
    expect(page).toContain(`| \`${flag}\` | \`${variableOf(name)}\` | \`${name}\` | ${shown} | ${description} |\n`);
  });
});
