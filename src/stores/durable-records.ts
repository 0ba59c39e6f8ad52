import { randomInt } from "node:crypto";
import type { ResponseNode } from "../core/node.ts";
import type {
  Admit,
  JsonValue,
  ListOptions,
  NewRecord,
  RecordName,
  Records,
  StoreRecord,
  Tenant,
} from "../core/ports.ts";
import type { Cipher } from "./cipher.ts";
import type { Database, RecordRow } from "./database.ts";
import { isName } from "./key.ts";

type DurableRecordsOptions = {
  readonly cipher: Cipher;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Loads a chain whether or not its id is known. */
  readonly chain: (tenant: Tenant, id: string, admit?: Admit) => Promise<ResponseNode | undefined>;
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** Versions are drawn, so that a record that was deleted and made again is never taken for the one before. */
const VERSIONS = 2 ** 47;

/** Records in a database, their values encrypted as contents are. */
export class DurableRecords implements Records {
  readonly #database: Database;
  readonly #options: DurableRecordsOptions;

  constructor(database: Database, options: DurableRecordsOptions) {
    this.#database = database;
    this.#options = options;
  }

  async get(name: RecordName): Promise<StoreRecord | undefined> {
    const row = areNames(name) ? await this.#database.readRecord(name, this.#options.now()) : undefined;
    return row && this.#open(row);
  }

  async write(record: NewRecord, version: number): Promise<number | undefined> {
    if (!areNames(record)) throw new Error("A record's name is not text that can be stored.");
    const { tenant, kind, id, node, expiresAt } = record;
    const sealed = this.#options.cipher.seal(encoder.encode(JSON.stringify(record.value)), placeOf(record));
    const next = randomInt(1, VERSIONS);
    const row = { tenant, kind, id, node, expiresAt, version: next, key: sealed.key, value: sealed.content };
    const outcome = await this.#database.writeRecord(row, version, this.#options.now());
    if (outcome === "no_node") throw new Error(`The node ${node} that a record stands on is not stored.`);
    return outcome === "written" ? next : undefined;
  }

  async delete(name: RecordName): Promise<boolean> {
    return areNames(name) && this.#database.deleteRecord(name, this.#options.now());
  }

  async list(tenant: Tenant, kind: string, options: ListOptions): Promise<readonly StoreRecord[]> {
    const { after = "", prefix = "", limit } = options;
    if (![tenant, kind, after, prefix].every(isName)) return [];
    const rows = await this.#database.listRecords({ tenant, kind, after, prefix, limit }, this.#options.now());
    return rows.map((row) => this.#open(row));
  }

  async chain(
    { tenant, node }: Pick<StoreRecord, "tenant" | "node">,
    admit?: Admit,
  ): Promise<ResponseNode | undefined> {
    return node === null ? undefined : this.#options.chain(tenant, node, admit);
  }

  #open(row: RecordRow): StoreRecord {
    const { tenant, kind, id, version, node, expiresAt } = row;
    const plain = this.#options.cipher.open({ key: row.key, content: row.value }, placeOf(row));
    const value = JSON.parse(typeof plain === "string" ? plain : decoder.decode(plain)) as JsonValue;
    return { tenant, kind, id, version, node, expiresAt, value };
  }
}

function areNames({ tenant, kind, id }: RecordName): boolean {
  return [tenant, kind, id].every(isName);
}

function placeOf({ tenant, kind, id }: RecordName): { readonly tenant: Tenant; readonly id: string } {
  return { tenant, id: `${kind}/${id}` };
}
