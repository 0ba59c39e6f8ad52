import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";

/** How programs are pointed at a server: by arguments and variables of this one run, never by their configuration. */

/** A server as a program is to see it. */
export type Endpoint = {
  /** Scheme, host and port. */
  readonly url: string;
  readonly key: string;
  /** What it serves, as far as it says so; the first one is asked for unless the program's arguments name another. */
  readonly models: readonly string[];
};

/** Arguments that go before the user's own, so that theirs win, and variables that take the place of theirs. */
export type Launch = { readonly args: readonly string[]; readonly environment: NodeJS.ProcessEnv };

type Client = {
  /** The line that installs it. */
  readonly install: string;
  readonly launch: (endpoint: Endpoint, args: readonly string[], environment: NodeJS.ProcessEnv) => Launch;
};

const CLIENTS: { readonly [name: string]: Client } = {
  codex: { install: "npm install -g @openai/codex", launch: launchCodex },
  opencode: { install: "npm install -g opencode-ai", launch: launchOpencode },
};

/** The programs that have more done for them than `OPENAI_BASE_URL`. */
export const CLIENT_NAMES = Object.keys(CLIENTS);

export function installLine(program: string): string | undefined {
  return clientOf(program)?.install;
}

/** What a program is started with. Every one gets the variables that OpenAI's SDKs read. */
export function launchOf(
  program: string,
  args: readonly string[],
  endpoint: Endpoint,
  environment: NodeJS.ProcessEnv,
): Launch {
  const own = clientOf(program)?.launch(endpoint, args, environment);
  return {
    args: [...(own?.args ?? []), ...args],
    environment: {
      ...environment,
      OPENAI_BASE_URL: `${endpoint.url}/v1`,
      OPENAI_WEBSOCKET_BASE_URL: `${endpoint.url.replace(/^http/, "ws")}/v1`,
      OPENAI_API_KEY: endpoint.key,
      ...pastProxies(endpoint, environment),
      ...own?.environment,
    },
  };
}

function clientOf(program: string): Client | undefined {
  const name = basename(program).replace(/\.(exe|cmd)$/i, "");
  return Object.hasOwn(CLIENTS, name) ? CLIENTS[name] : undefined;
}

/**
 * A provider of its own, not the built-in one at another address: that would show a ChatGPT login to this server, and ask
 * those for a login who have none.
 */
function launchCodex({ url, key, models }: Endpoint, args: readonly string[], environment: NodeJS.ProcessEnv): Launch {
  const [model] = models;
  const provider = {
    name: "Turnwire",
    base_url: `${url}/v1`,
    env_key: "CODEX_API_KEY",
    wire_api: "responses",
    supports_websockets: true,
  };
  const overrides = [
    ["model_provider", JSON.stringify("turnwire")],
    ...Object.entries(provider).map(([field, value]) => [
      `model_providers.turnwire.${field}`,
      // What JSON and TOML write alike: plain strings and booleans.
      JSON.stringify(value),
    ]),
    ...(model === undefined || namesModel(args) || models.includes(codexModel(environment))
      ? []
      : [["model", JSON.stringify(model)]]),
  ];
  return {
    args: overrides.flatMap(([field, value]) => ["-c", `${field}=${value}`]),
    environment: { CODEX_API_KEY: key },
  };
}

/** The model of the user's own configuration, which stays when it is served; empty when there is none. */
function codexModel({ CODEX_HOME, HOME }: NodeJS.ProcessEnv): string {
  try {
    const text = readFileSync(join(CODEX_HOME ?? join(HOME ?? homedir(), ".codex"), "config.toml"), "utf8");
    // What comes before the first table is the configuration's own.
    const [top = ""] = text.split(/^\s*\[/m);
    return /^\s*model\s*=\s*["']([^"']*)["']/m.exec(top)?.[1] ?? "";
  } catch {
    return "";
  }
}

/** Also a profile, which may name one. */
function namesModel(args: readonly string[]): boolean {
  return args.some((arg, index) =>
    ["-c", "--config"].includes(args[index - 1] ?? "")
      ? /^\s*model\s*=/.test(arg)
      : /^(-m|-p|--model(=|$)|--profile(=|$)|(-c|--config=)\s*model\s*=)/.test(arg),
  );
}

/**
 * opencode uses WebSockets with its provider `openai` only, when that has a login, so it gets both for this run. Only that
 * provider is enabled: with the variable in place its file of logins is not read, and a login to another provider would be
 * written over all that are in there.
 */
function launchOpencode(
  { url, key, models }: Endpoint,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
): Launch {
  const [model] = models;
  const settings = parseObject(environment["OPENCODE_CONFIG_CONTENT"]);
  const provider = {
    options: { baseURL: `${url}/v1`, apiKey: key },
    ...(model !== undefined && {
      models: Object.fromEntries(models.map((name) => [name, {}])),
      whitelist: models,
    }),
  };
  const content = {
    ...settings,
    ...(model !== undefined && { model: `openai/${model}`, small_model: `openai/${model}` }),
    enabled_providers: ["openai"],
    provider: { ...parseObject(settings["provider"]), openai: provider },
  };
  // `opencode auth` is about the user's own logins.
  const isAboutLogins = ["auth", "providers"].includes(args[0] ?? "");
  return {
    args: [],
    environment: {
      OPENCODE_CONFIG_CONTENT: JSON.stringify(content),
      OPENCODE_EXPERIMENTAL_WEBSOCKETS: "1",
      ...(!isAboutLogins && { OPENCODE_AUTH_CONTENT: JSON.stringify({ openai: { type: "api", key } }) }),
    },
  };
}

/** An object, or the text of one; anything else counts as empty. */
function parseObject(value: unknown): { readonly [field: string]: unknown } {
  let parsed = value;
  if (typeof value === "string") {
    try {
      parsed = JSON.parse(value);
    } catch {
      return {};
    }
  }
  return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed) ? { ...parsed } : {};
}

/** With a proxy in the environment, a server beside the program would be asked for through it. */
function pastProxies({ url }: Endpoint, environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const usesProxy = Object.entries(environment).some(([name, value]) => /^(https?|all)_proxy$/i.test(name) && value);
  if (!usesProxy) return {};
  const { hostname } = new URL(url);
  const names = ["NO_PROXY", "no_proxy"].filter((name) => name === "NO_PROXY" || environment[name] !== undefined);
  return Object.fromEntries(
    names.map((name) => [name, [environment[name], hostname.replace(/^\[|\]$/g, "")].filter(Boolean).join(",")]),
  );
}
