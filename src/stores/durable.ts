import { randomInt } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { chainBytes, type ResponseNode, restoreNode } from "../core/node.ts";
import {
  type Admit,
  type JsonValue,
  type PutOptions,
  type Store,
  type StoredResponse,
  type Tenant,
  NotPut,
} from "../core/ports.ts";
import { Retention } from "../core/retention.ts";
import { Cipher, type StoreKey } from "./cipher.ts";
import {
  type Database,
  type Key,
  type NewRow,
  type Part,
  type PutOutcome,
  type StoredRow,
  TOMBSTONE_MS,
  type Usage,
} from "./database.ts";
import { DurableRecords } from "./durable-records.ts";
import { isName, keyOf } from "./key.ts";
import {
  decodeContent,
  decodeRecording,
  digestOf,
  encodeContent,
  encodeRecording,
  type Head,
  sharesHead,
} from "./node-content.ts";
import { PutQueue } from "./put-queue.ts";
import { StoreError } from "./store-error.ts";
import { type Schedule, Sweeper } from "./sweeper.ts";

export type DurableOptions = {
  /** Bytes of nodes that are also kept in memory, of all tenants together. */
  readonly cacheBytes: number;
  /** How long an id is known, in milliseconds. */
  readonly ttlMs: number;
  /** Bytes that the database may use for nodes. */
  readonly maxBytes: number;
  /** The first one encrypts, all of them decrypt; none leaves content in clear. */
  readonly keys: readonly StoreKey[];
  /** Whether rows in clear are believed although there are keys: those from before the first key. */
  readonly trustsClear: boolean;
  /** How many transactions may commit at the same time. */
  readonly lanes: number;
  readonly sweepEveryMs: number;
  readonly schedule: Schedule;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Told of failures that nobody waits for. */
  readonly onError: (error: unknown) => void;
};

type RowOptions = Pick<NewRow, "isWhole" | "isListed"> & { readonly recording: JsonValue | undefined };

/** How many bytes of a chain are decoded before others have their turn. */
const SLICE_BYTES = 256 * 1024;
const TOKENS = 2 ** 47;
/** What a recording takes in memory for each byte that is stored of it: it is a list of many short texts. */
const RECORDING_FACTOR = 3;

/**
 * Keeps nodes in a database, one row each: a fork has its parent's row and its own. What was used last is also kept in
 * memory, so that continuing a chain does not read it again; the database is asked each time whether the id still stands.
 */
export class DurableStore implements Store {
  readonly records: DurableRecords;
  readonly #database: Database;
  readonly #options: DurableOptions;
  readonly #queue: PutQueue;
  readonly #sweeper: Sweeper;
  readonly #cipher: Cipher;
  readonly #cache: Retention;
  /** Nodes that were put or loaded here and whose ancestors are all stored. */
  readonly #whole = new WeakSet<ResponseNode>();
  #closed: Promise<void> | null = null;

  constructor(database: Database, options: DurableOptions) {
    this.#database = database;
    this.#options = options;
    this.#queue = new PutQueue(database, options.lanes, options.now);
    this.#cipher = new Cipher(options.keys, options.trustsClear);
    this.#cache = new Retention(options.cacheBytes, (node) => keyOf(node.tenant, node.id));
    this.#sweeper = new Sweeper(database, { ...options, everyMs: options.sweepEveryMs, expiry: () => this.#expiry() });
    this.records = new DurableRecords(database, {
      cipher: this.#cipher,
      now: options.now,
      chain: (tenant, id, admit) => this.#chain(tenant, id, admit),
    });
  }

  async put(node: ResponseNode, options: PutOptions = {}): Promise<void> {
    this.#assertOpen();
    if (!isName(node.tenant) || !isName(node.id)) throw new Error("A tenant or an id is not text that can be stored.");
    const { listed: isListed = true, recording } = options;
    const changes = this.records.seal(options.changes ?? []);
    const put = (isWhole: boolean, lineage: readonly NewRow[] = []): Promise<PutOutcome> =>
      this.#queue.add({ rows: [...lineage, this.#rowOf(node, { isWhole, isListed, recording })], changes });
    let isWhole = node.parent === null || this.#whole.has(node.parent);
    // Before it is stored, so that a child that is put at the same time is one as well.
    if (isWhole) this.#whole.add(node);
    let outcome = await put(isWhole);
    // The parent was let go while a session still held it. What is stored brings with it what it stands on,
    if (outcome === "no_parent") outcome = await put(true, this.#lineage(node.parent));
    // except for what was deleted: then the node is stored by itself.
    if (outcome === "no_parent") {
      isWhole = false;
      this.#whole.delete(node);
      outcome = await put(false);
    }
    if (outcome !== "stored") {
      this.#whole.delete(node);
      throw outcome === "no_parent" ? new Error("A row without a parent has none.") : new NotPut(outcome);
    }
    if (isWhole) this.#cache.add(node);
  }

  async get(tenant: Tenant, id: string, admit?: Admit): Promise<StoredResponse | undefined> {
    const key = this.#keyTo(tenant, id);
    if (key === undefined || !(await this.#admit(key, "response", admit))) return undefined;
    const found = key && (await this.#database.one(key));
    if (!found) return undefined;
    const head = found.head === null ? null : this.#decode(tenant, found.head, null, undefined).response;
    return this.#decode(tenant, found.row, head, undefined);
  }

  async recording(tenant: Tenant, id: string, admit?: Admit): Promise<JsonValue | undefined> {
    const key = this.#keyTo(tenant, id);
    if (key === undefined || !(await this.#admit(key, "recording", admit))) return undefined;
    const row = key && (await this.#database.recording(key));
    if (!row) return undefined;
    if (row.recording === null) return null;
    return decodeRecording(this.#cipher.open({ key: row.key, content: row.recording }, recordingPlace({ tenant, id })));
  }

  async load(tenant: Tenant, id: string, admit?: Admit): Promise<ResponseNode | undefined> {
    const key = this.#keyTo(tenant, id);
    if (key === undefined) return undefined;
    const cached = this.#cache.get(keyOf(tenant, id));
    if (cached === undefined) return this.#loadChain(key, admit);
    // Another server may have deleted it, and time may have passed.
    if (await this.#database.has(key)) {
      admit?.(chainBytes(cached));
      return cached;
    }
    this.#cache.delete(keyOf(tenant, id));
    return undefined;
  }

  async delete(tenant: Tenant, id: string): Promise<boolean> {
    const key = this.#keyTo(tenant, id);
    if (key === undefined) return false;
    this.#cache.delete(keyOf(tenant, id));
    return this.#database.remove(key, Math.ceil(this.#options.now()) + TOMBSTONE_MS);
  }

  usage(tenant: Tenant): Promise<Usage> {
    this.#assertOpen();
    return this.#database.usage(tenant);
  }

  /** Lets go of what is too old or too much, as is done from time to time anyway. */
  sweep(): Promise<void> {
    return this.#sweeper.sweep();
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    await this.#sweeper.stop();
    await this.#queue.idle();
    this.#cache.clear();
    await this.#database.close();
  }

  #expiry(): number {
    return Math.max(-1, Math.floor(this.#options.now() - this.#options.ttlMs));
  }

  #assertOpen(): void {
    if (this.#closed !== null) throw new Error("The store is closed.");
  }

  #keyTo(tenant: Tenant, id: string): Key | undefined {
    this.#assertOpen();
    return isName(tenant) && isName(id) ? { tenant, id, after: this.#expiry() } : undefined;
  }

  #rowOf(node: ResponseNode, { isWhole, isListed, recording }: RowOptions): NewRow {
    const { tenant, id, bytes } = node;
    const leavesHead = isWhole && sharesHead(node);
    const storedAt = this.#options.now();
    const parent = isWhole ? (node.parent?.id ?? null) : null;
    const head = leavesHead ? digestOf(node.response) : null;
    const link = { parent, whole: isWhole, head, storedAt: isListed ? storedAt : null };
    const content = encodeContent(node, leavesHead, link);
    return {
      tenant,
      id,
      parent,
      isWhole,
      isListed,
      sharesHead: leavesHead,
      bytes,
      storedAt,
      token: randomInt(1, TOKENS),
      ...this.#cipher.seal(content, node),
      recording:
        recording === undefined ? null : this.#cipher.seal(encodeRecording(recording), recordingPlace(node)).content,
    };
  }

  /** The rows of a whole chain, root first, that only stand for what continues it. */
  #lineage(tip: ResponseNode | null): readonly NewRow[] {
    const rows: NewRow[] = [];
    for (let node = tip; node !== null; node = node.parent) {
      rows.push(this.#rowOf(node, { isWhole: true, isListed: false, recording: undefined }));
    }
    return rows.toReversed();
  }

  /** A chain by the id of its end, be that known to clients or not. What was stored never changes, so memory will do. */
  async #chain(tenant: Tenant, id: string, admit?: Admit): Promise<ResponseNode | undefined> {
    this.#assertOpen();
    if (!isName(tenant) || !isName(id)) return undefined;
    const cached = this.#cache.get(keyOf(tenant, id));
    if (cached === undefined) return this.#loadChain({ tenant, id }, admit);
    admit?.(chainBytes(cached));
    return cached;
  }

  async #loadChain(key: Key | Omit<Key, "after">, admit: Admit | undefined): Promise<ResponseNode | undefined> {
    if (!(await this.#admit(key, "chain", admit))) return undefined;
    return this.#rebuild(key.tenant, await this.#database.chain(key));
  }

  /** Asks whether something may be loaded; false when it is not there. */
  async #admit(key: Key | Omit<Key, "after">, part: Part, admit: Admit | undefined): Promise<boolean> {
    if (admit === undefined) return true;
    const bytes = await this.#database.weigh(key, part);
    if (bytes === undefined) return false;
    admit(part === "recording" ? bytes * RECORDING_FACTOR : bytes);
    return true;
  }

  /** @param parent id of the row before it in a chain, null for the first; undefined for a row by itself */
  #decode(tenant: Tenant, row: StoredRow, head: Head | null, parent: string | null | undefined): StoredResponse {
    const { id, key, content, storedAt } = row;
    return decodeContent(this.#cipher.open({ key, content }, { tenant, id }), head, (link) => {
      const isInPlace =
        (parent === undefined || (link.parent === parent && link.whole)) &&
        link.head === (head === null ? null : digestOf(head)) &&
        // A row may be made to expire sooner, and not to live longer.
        (link.storedAt === null || storedAt <= link.storedAt);
      if (!isInPlace) throw new StoreError(`store: the row of ${id} was changed: its links or times are not its own`);
    });
  }

  async #rebuild(tenant: Tenant, rows: readonly StoredRow[]): Promise<ResponseNode | undefined> {
    const heads = new Map<number, Head>();
    let node: ResponseNode | undefined;
    let decoded = 0;
    for (const row of rows) {
      const { id, seq, bytes } = row;
      const known = this.#cache.get(keyOf(tenant, id));
      if (known === undefined) {
        const head = row.head === null ? null : (heads.get(row.head) ?? null);
        node = restoreNode({
          id,
          tenant,
          parent: node ?? null,
          ...this.#decode(tenant, row, head, node?.id ?? null),
          bytes,
        });
        this.#whole.add(node);
        decoded += row.content.length;
      } else {
        node = known;
      }
      if (row.head === null) heads.set(seq, node.response);
      if (decoded >= SLICE_BYTES) {
        decoded = 0;
        await setImmediate();
      }
    }
    if (node !== undefined) this.#remember(node);
    return node;
  }

  /** Keeps a chain in memory, so that forks from anywhere in it find it there. */
  #remember(tip: ResponseNode): void {
    this.#cache.add(tip);
    // If there is no room for all of it, there is none to be made either.
    if (this.#cache.get(keyOf(tip.tenant, tip.id)) !== tip) return;
    for (let node = tip.parent; node !== null; node = node.parent) this.#cache.add(node);
  }
}

/** What the encryption of a recording is bound to, so that it opens nowhere else. */
function recordingPlace({ tenant, id }: Pick<ResponseNode, "tenant" | "id">): Pick<ResponseNode, "tenant" | "id"> {
  return { tenant, id: `recording/${id}` };
}
