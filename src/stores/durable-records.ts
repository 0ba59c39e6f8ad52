import { randomInt } from "node:crypto";
import type { ResponseNode } from "../core/node.ts";
import type {
  Admit,
  JsonValue,
  ListOptions,
  NewRecord,
  RecordChange,
  RecordName,
  Records,
  StoreRecord,
  Tenant,
} from "../core/ports.ts";
import type { Cipher } from "./cipher.ts";
import type { Database, RecordRow, RowChange } from "./database.ts";
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
    return (await this.apply([{ write: record, version }]))?.[0];
  }

  async apply(changes: readonly RecordChange[]): Promise<readonly number[] | undefined> {
    const rows = this.seal(changes);
    const outcome = await this.#database.changeRecords(rows, this.#options.now());
    if (outcome === "no_node") throw new Error(`A node that a record stands on is not stored: ${nodesOf(changes)}.`);
    return outcome === "written" ? rows.flatMap((row) => ("write" in row ? row.write.version : [])) : undefined;
  }

  /** Changes as the database takes them. */
  seal(changes: readonly RecordChange[]): readonly RowChange[] {
    return changes.map((change) => {
      if (!("write" in change)) return change;
      const { tenant, kind, id, node, expiresAt, about = null, dueAt = null, value } = change.write;
      if (!areNames(change.write)) throw new Error("A record's name is not text that can be stored.");
      const row = { tenant, kind, id, node, expiresAt, about, dueAt, version: randomInt(1, VERSIONS) };
      const sealed = this.#options.cipher.seal(encoder.encode(JSON.stringify(value)), placeOf(row));
      return { write: { ...row, key: sealed.key, value: sealed.content }, version: change.version };
    });
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

  async due(kind: string, now: number, limit: number): Promise<readonly StoreRecord[]> {
    return (await this.#database.dueRecords(kind, now, limit)).map((row) => this.#open(row));
  }

  async chain(
    { tenant, node }: Pick<StoreRecord, "tenant" | "node">,
    admit?: Admit,
  ): Promise<ResponseNode | undefined> {
    return node === null ? undefined : this.#options.chain(tenant, node, admit);
  }

  #open(row: RecordRow): StoreRecord {
    const { tenant, kind, id, version, node, expiresAt, about, dueAt } = row;
    const plain = this.#options.cipher.open({ key: row.key, content: row.value }, placeOf(row));
    const value = JSON.parse(typeof plain === "string" ? plain : decoder.decode(plain)) as JsonValue;
    return { tenant, kind, id, version, node, expiresAt, about, dueAt, value };
  }
}

function nodesOf(changes: readonly RecordChange[]): string {
  return changes.flatMap((change) => ("write" in change ? (change.write.node ?? []) : [])).join(", ");
}

function areNames({ tenant, kind, id }: RecordName): boolean {
  return [tenant, kind, id].every(isName);
}

/** What a value is bound to: its name, and all that stands beside it in clear. */
function placeOf({ tenant, kind, id, version, node, expiresAt, about, dueAt }: Omit<RecordRow, "key" | "value">) {
  return { tenant, id: `${kind}/${id}`, link: [version, node, expiresAt, about, dueAt] };
}
