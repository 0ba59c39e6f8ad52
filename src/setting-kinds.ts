import { homedir } from "node:os";
import { join } from "node:path";
import Type, { type TSchema } from "typebox";

/** The kinds of setting: what each accepts in the file and as text, and what the program gets. */

export type Kind = {
  /** What the configuration file may hold; its `default` is the setting's. */
  readonly schema: TSchema;
  /** Completes "is not …" for a value that does not fit. */
  readonly expects: string;
  /** What a flag or a variable says, as the file would say it. Throws, or returns what the schema refuses, if it cannot. */
  readonly fromText: (text: string) => unknown;
  /** Stands for the value in the help; null for a switch. */
  readonly value: string | null;
  /** The value as the program uses it, where that differs from the file's form. Throws with a sentence. */
  readonly decode?: (value: never) => unknown;
  /** May be given several times; the environment takes a list with commas. */
  readonly repeats?: true;
  /** Never printed. */
  readonly secret?: true;
};

export const text = (value: string, expects: string, options: object) =>
  ({ schema: Type.String({ minLength: 1, ...options }), expects, fromText: (given: string) => given, value }) as const;

export const optionalText = (value: string, expects: string, options: object) =>
  ({ ...text(value, expects, options), schema: Type.Optional(Type.String({ minLength: 1, ...options })) }) as const;

/** A folder; `~/` is the user's own. */
export const folder = (options: { default: string; description: string }) =>
  ({
    ...text("<folder>", "a folder", options),
    decode: (given: string): string => (given.startsWith("~/") ? join(homedir(), given.slice(2)) : given),
  }) as const;

const toNumber = (given: string): unknown => (given.trim() === "" ? given : Number(given));

export const integer = (options: { minimum: number; maximum: number; default: number; description: string }) =>
  ({
    schema: Type.Integer(options),
    expects: `a whole number from ${options.minimum} to ${options.maximum}`,
    fromText: toNumber,
    value: "<n>",
  }) as const;

const origin = (given: string): string => {
  const bare = given.toLowerCase().replace(/\/$/, "");
  if (bare === "*" || bare === "null") return bare;
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]+$/.test(bare) || !URL.canParse(bare)) {
    throw new Error("must be an origin such as https://app.example.com, or '*'");
  }
  // Those of extensions and desktop programs have schemes of their own, for which there is no canonical form.
  return /^https?:/.test(bare) ? new URL(bare).origin : bare;
};

export const origins = (description: string) =>
  ({
    schema: Type.Array(Type.String({ minLength: 1 }), { default: [], description }),
    expects: "a list of origins",
    fromText: list,
    value: "<origin>",
    decode: (given: readonly string[]): readonly string[] => given.map(origin),
    repeats: true,
  }) as const;

/** A name, an address, or `*.name` for all names below it; addresses of IPv6 with or without their brackets. */
const hostEntry = (given: string): string => {
  const host = given.toLowerCase().replace(/\.$/, "");
  if (host === "*" || /^(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/.test(host)) return host;
  const bracketed = host.startsWith("[") ? host : `[${host}]`;
  if (!URL.canParse(`http://${bracketed}`)) {
    throw new Error("must be a host name without scheme and port, such as models.example.com, '*.example.com' or '*'");
  }
  return new URL(`http://${bracketed}`).hostname;
};

export const hosts = (description: string) =>
  ({
    schema: Type.Array(Type.String({ minLength: 1 }), { default: [], description }),
    expects: "a list of host names",
    fromText: list,
    value: "<host>",
    decode: (given: readonly string[]): readonly string[] => given.flatMap(list).map(hostEntry),
    repeats: true,
  }) as const;

/** Seconds, or 0 for never. */
export const secondsOrNever = (options: { default: number; description: string }) =>
  ({
    schema: Type.Number({ minimum: 0, maximum: 2_000_000, ...options }),
    expects: "a number of seconds, or 0",
    fromText: toNumber,
    value: "<seconds>",
  }) as const;

/** Minutes, or 0 for never; parts of one are for trying out what happens then. */
export const minutesOrNever = (options: { default: number; description: string }) =>
  ({
    schema: Type.Number({ minimum: 0, maximum: 30_000, ...options }),
    expects: "a number of minutes, or 0",
    fromText: toNumber,
    value: "<n>",
  }) as const;

export const seconds = (options: { default: number; description: string }) =>
  ({
    // Beyond this a timer of Node.js would fire at once.
    schema: Type.Number({ exclusiveMinimum: 0, maximum: 2_000_000, ...options }),
    expects: "a number of seconds above 0",
    fromText: toNumber,
    value: "<seconds>",
  }) as const;

export const onOff = (description: string) =>
  ({
    schema: Type.Boolean({ default: false, description }),
    expects: "true or false",
    fromText: (given: string): unknown =>
      ({ true: true, 1: true, false: false, 0: false })[given.toLowerCase()] ?? given,
    value: null,
  }) as const;

export const choice = <const T extends readonly string[]>(
  values: T,
  options: { default: T[number]; description: string },
) =>
  ({
    schema: Type.Unsafe<T[number]>(
      Type.Union(
        values.map((value) => Type.Literal(value)),
        options,
      ),
    ),
    expects: `one of ${values.join(", ")}`,
    fromText: (given: string) => given,
    value: `<${values.join("|")}>`,
  }) as const;

const UNITS: { readonly [unit: string]: number } = { "": 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };
const SIZE = /^(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?$/i;

function decodeSize(given: number | string): number {
  const [, amount = "", unit = ""] = SIZE.exec(String(given)) ?? [];
  const bytes = Math.round(Number(amount) * (UNITS[unit.toLowerCase()] ?? Number.NaN));
  if (!(bytes >= 1024 && bytes <= 2 ** 40)) throw new Error("is not a size from 1KiB to 1024GiB");
  return bytes;
}

/** Bytes, or text such as `64MiB` and `64mb`; like most servers' settings, `mb` means `MiB`. */
export const size = (options: { default: string; description: string }) =>
  ({
    schema: Type.Union(
      [Type.Integer({ minimum: 1024, maximum: 2 ** 40 }), Type.String({ pattern: "^[0-9.]+ *[kKmMgG]?([iI]?[bB])?$" })],
      options,
    ),
    expects: "a size such as 64MiB, or a number of bytes",
    fromText: (given: string) => given.trim(),
    value: "<size>",
    decode: decodeSize,
  }) as const;

/** The same, or `auto`: a share of what the process has. */
export const sizeOrAuto = (description: string) =>
  ({
    schema: Type.Union(
      [
        Type.Integer({ minimum: 1024, maximum: 2 ** 40 }),
        Type.String({ pattern: "^(auto|[0-9.]+ *[kKmMgG]?([iI]?[bB])?)$" }),
      ],
      { default: "auto", description },
    ),
    expects: "auto, a size such as 64MiB, or a number of bytes",
    fromText: (given: string) => given.trim(),
    value: "<size|auto>",
    decode: (given: number | string): number | "auto" => (given === "auto" ? "auto" : decodeSize(given)),
  }) as const;

const list = (given: string): readonly string[] =>
  given
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");

type Models = ReadonlyMap<string, string>;

function decodeModels(given: readonly string[] | { readonly [name: string]: string }): Models {
  const pairs = Array.isArray(given)
    ? given.map((entry: string): readonly [string, string] => {
        const [name = "", ...rest] = entry.split("=");
        return [name, rest.length === 0 ? name : rest.join("=")];
      })
    : Object.entries(given as { readonly [name: string]: string });
  const models = new Map<string, string>();
  for (const [name, upstream] of pairs) {
    if (name === "" || upstream === "") throw new Error("needs a name on both sides of '='");
    if (upstream === "*" && name !== "*") throw new Error(`needs the model server's name for the model '${name}'`);
    if (models.has(name)) throw new Error(`names the model '${name}' twice`);
    models.set(name, upstream);
  }
  return models;
}

/** Which tenant a key belongs to. Several keys of one tenant let an operator change them without a gap. */
type ApiKey = { readonly tenant: string; readonly key: string };

/** What a tenant may be called. */
export function isTenant(text: string): boolean {
  return TENANT.test(text);
}

const TENANT = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
// What fits into a header and cannot be mistaken for two words.
const KEY = /^[\x21-\x7e]+$/;

function decodeApiKeys(given: readonly string[] | { readonly [tenant: string]: unknown }): readonly ApiKey[] {
  const pairs = Array.isArray(given)
    ? given.map((entry: string): ApiKey => {
        const [tenant = "", ...rest] = entry.split("=");
        if (rest.length === 0) throw new Error("must be written as tenant=key");
        return { tenant, key: rest.join("=") };
      })
    : Object.entries(given as { readonly [tenant: string]: string | readonly string[] }).flatMap(([tenant, keys]) =>
        [keys].flat().map((key): ApiKey => ({ tenant, key })),
      );
  const seen = new Set<string>();
  for (const { tenant, key } of pairs) {
    if (!isTenant(tenant)) throw new Error("needs a tenant of letters, digits, '.', '_' or '-' before the '='");
    if (!KEY.test(key)) throw new Error(`needs a key without spaces for the tenant '${tenant}'`);
    if (seen.has(key)) throw new Error(`has the same key twice, the second time for the tenant '${tenant}'`);
    seen.add(key);
  }
  return pairs;
}

const Strings = Type.Array(Type.String({ minLength: 1 }));

export const apiKeys = (description: string) =>
  ({
    schema: Type.Union([Type.Record(Type.String(), Type.Union([Type.String(), Strings])), Type.Array(Type.String())], {
      default: {},
      description,
    }),
    expects: "a list of tenant=key",
    fromText: list,
    value: "<tenant=key>",
    decode: decodeApiKeys,
    repeats: true,
    secret: true,
  }) as const;

export const models = (description: string) =>
  ({
    schema: Type.Union([Type.Record(Type.String(), Type.String()), Strings], { default: {}, description }),
    expects: "a list of name=upstream",
    fromText: list,
    value: "<name[=upstream]>",
    decode: decodeModels,
    repeats: true,
  }) as const;

export const url = (description: string) =>
  ({
    ...optionalText("<url>", "an http or https URL", { pattern: "^https?://[^/]", description }),
    decode: (given: string): string => {
      if (!URL.canParse(given)) throw new Error("is not an http or https URL");
      return given;
    },
  }) as const;

/** Names of fields, with commas between them or given several times. */
export const fieldNames = (description: string) =>
  ({
    schema: Type.Array(Type.String({ minLength: 1 }), { default: [], description }),
    expects: "a list of field names",
    fromText: list,
    value: "<field>",
    decode: (given: readonly string[]): readonly string[] => given.flatMap(list),
    repeats: true,
  }) as const;

export const jsonObject = (description: string) =>
  ({
    schema: Type.Record(Type.String(), Type.Unknown(), { default: {}, description }),
    expects: "a JSON object",
    fromText: (given: string): unknown => JSON.parse(given),
    value: "<json>",
    decode: (given: { readonly [field: string]: unknown }) => given,
  }) as const;
