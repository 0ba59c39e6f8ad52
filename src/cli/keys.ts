import { parseConfig } from "../config.ts";
import type { KeyBook, ListedKey, OpenKeys } from "../server.ts";
import { isTenant } from "../setting-kinds.ts";
import { closest } from "../suggest.ts";
import { type Command, EXIT, UserError } from "./command.ts";
import { type KeysArguments, splitArguments, termsOf } from "./keys-arguments.ts";
import { keysTable } from "./keys-table.ts";

/** `turnwire keys`: the keys in the store, which every server that uses the store knows. */
export const keys: Command = {
  name: "keys",
  summary: "make, list, change and revoke API keys, also while servers run",
  usage: "add <tenant> | list | set <key> | revoke <key>   [flags]",
  takesSettings: false,
  flags: [
    ["--name <name>", "What to call the key; without it, as its tenant."],
    ["--models <a,b>", "Models that it may use, by the names that clients use; * stands for any characters."],
    ["--turns-per-minute <n>", "Turns that it may begin in a minute, in each server; 'none' lifts the limit."],
    ["--tokens-per-minute <n>", "Tokens that it may use in a minute, in each server."],
    ["--connections <n>", "WebSocket connections that it may have at the same time, in each server."],
    ["--expires <when>", "12h, 30d, 2030-01-31, or 'never'."],
    ["--json", "Print JSON."],
    ["--store <url>", "The store, as for serve; so are --data-dir, --store-keys, --config and the variables."],
  ],
  examples: [
    ["a key of the tenant acme; it is shown this once", "turnwire keys add acme --name laptop"],
    ["with limits", "turnwire keys add ci --models 'qwen3*' --turns-per-minute 60 --expires 30d"],
    ["other limits, from the next turn on", "turnwire keys set ci --turns-per-minute 120"],
    ["no more turns with it", "turnwire keys revoke laptop"],
  ],
  run: async (args) => {
    const given = splitArguments(args);
    const { config } = parseConfig({ args: given.settings, environment: process.env });
    const act = ACTIONS[actionOf(given)];
    const { book, close } = await open(config);
    try {
      await act(book, given);
      return EXIT.ok;
    } finally {
      await close();
    }
  },
};

type Action = (book: KeyBook, given: KeysArguments) => Promise<void>;

const ACTIONS: { readonly [name in "add" | "list" | "set" | "revoke"]: Action } = {
  add: async (book, { words, flags }) => {
    const [, tenant] = words;
    if (tenant === undefined) throw new UserError("keys add needs a tenant: turnwire keys add acme", EXIT.usage);
    if (!isTenant(tenant)) {
      throw new UserError(`the tenant '${tenant}' must be of letters, digits, '.', '_' or '-'`, EXIT.usage);
    }
    const name = typeof flags.name === "string" ? flags.name : tenant;
    if (!/^[^\p{C}]{1,64}$/u.test(name)) throw new UserError("--name must have 1 to 64 characters", EXIT.usage);
    if ((await book.list()).some((key) => key.tenant === tenant && key.name === name)) {
      throw new UserError(`${tenant} has a key named '${name}' already: give this one another --name`, EXIT.failure);
    }
    const now = Date.now();
    const terms = { ...UNLIMITED, ...termsOf(flags, now) };
    const { secret, ...key } = await book.add({ ...terms, tenant, name, createdAt: now });
    if (flags.json === true) {
      print({ ...shown(key), key: secret });
      return;
    }
    // The key alone goes to standard output, so that a script gets it and nothing else.
    console.log(secret);
    console.error(`${describe(key)}. It is shown this once: only its hash is kept.`);
  },

  list: async (book, { flags }) => {
    const all = await book.list();
    if (flags.json === true) print(all.map(shown));
    else console.log(all.length === 0 ? "There are no keys: turnwire keys add <tenant>" : keysTable(all, Date.now()));
  },

  set: async (book, given) => {
    const terms = termsOf(given.flags, Date.now());
    if (Object.keys(terms).length === 0) throw new UserError("keys set needs a limit to set", EXIT.usage);
    const { id } = await find(book, given);
    const key = await book.change(id, terms);
    if (key === undefined) throw new UserError(`${id} has been revoked meanwhile`, EXIT.failure);
    if (given.flags.json === true) print(shown(key));
    else console.log(keysTable([key], Date.now()));
  },

  revoke: async (book, given) => {
    const key = await find(book, given);
    await book.revoke(key.id);
    if (given.flags.json === true) print(shown(key));
    else console.log(`${describe(key)}: revoked. It gets no further turn.`);
    if (await book.hasAny()) return;
    console.error(
      "That was the last key in the store: a server on this machine's own address needs none after a restart.",
    );
  },
};

const UNLIMITED = {
  models: null,
  turnsPerMinute: null,
  tokensPerMinute: null,
  connections: null,
  expiresAt: null,
} as const;

function actionOf({ words, flags }: KeysArguments): keyof typeof ACTIONS {
  const [word = "", , extra] = words;
  const names = Object.keys(ACTIONS);
  if (word === "") throw new UserError(`keys: say what to do: ${names.join(", ")}`, EXIT.usage);
  if (!Object.hasOwn(ACTIONS, word)) {
    const meant = closest(word, names);
    const hint = meant === undefined ? `it does ${names.join(", ")}` : `did you mean '${meant}'?`;
    throw new UserError(`keys: '${word}' is nothing that it does; ${hint}`, EXIT.usage);
  }
  const surplus = word === "list" ? words[1] : extra;
  if (surplus !== undefined) throw new UserError(`keys ${word}: '${surplus}' is not expected here`, EXIT.usage);
  if (word !== "add" && flags.name !== undefined) {
    throw new UserError("a key is named when it is made: --name is for keys add", EXIT.usage);
  }
  return word as keyof typeof ACTIONS;
}

/** The one key that the operator means. */
async function find(book: KeyBook, { words }: KeysArguments): Promise<ListedKey> {
  const [action, text] = words;
  if (text === undefined)
    throw new UserError(`keys ${action} needs a key: its id, its name, or the key itself`, EXIT.usage);
  const [key, ...more] = await book.match(text);
  if (key === undefined) throw new UserError("there is no such key: 'turnwire keys list' shows all", EXIT.failure);
  if (more.length === 0) return key;
  const ids = [key, ...more].map(({ id, tenant }) => `${id} (${tenant})`).join(", ");
  throw new UserError(`several keys have this name; give the id of one: ${ids}`, EXIT.failure);
}

function describe({ id, tenant, name }: ListedKey): string {
  return `${id}, '${name}' of the tenant ${tenant}`;
}

function iso(time: number): string {
  return new Date(time).toISOString();
}

/** With times as others read them. */
function shown({ id, tenant, name, lastFour, createdAt, expiresAt, ...terms }: ListedKey) {
  return {
    id,
    tenant,
    name,
    lastFour,
    ...terms,
    createdAt: iso(createdAt),
    expiresAt: expiresAt === null ? null : iso(expiresAt),
  };
}

function print(value: unknown): void {
  console.log(JSON.stringify(value, null, 2));
}

async function open(config: Parameters<typeof import("../server.ts").openKeys>[0]): Promise<OpenKeys> {
  // Only here: the help need not wait for all of the server to be loaded.
  const { openKeys, StartError } = await import("../server.ts");
  try {
    return await openKeys(config);
  } catch (error) {
    if (error instanceof StartError) throw new UserError(error.message, EXIT.failure);
    throw error;
  }
}
