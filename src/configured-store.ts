import { dirname, join } from "node:path";
import type { Store } from "./core/ports.ts";
import type { Log } from "./observe.ts";
import type { Config } from "./settings.ts";
import { quotaOf, sizesOf } from "./sizes.ts";
import { StartError } from "./start-error.ts";
import { parseStoreKeys, type StoreKey } from "./stores/cipher.ts";
import { CipherSeal } from "./stores/cipher-seal.ts";
import { keyFile, newKey } from "./stores/key-file.ts";
import { openStore } from "./stores/open.ts";
import { readableByOthers } from "./stores/permissions.ts";
import { StoreError } from "./stores/store-error.ts";

/** The store of a configuration, and the seal of what clients keep for the server. */

/** @throws StartError when others can read what is the server's alone, and the operator wants none of that */
function checkPermissions({ dataDir, dataPermissions }: Config, url: string, log: Log): void {
  const database = /^sqlite:(?:\/\/(?=\/))?(.+)$/.exec(url)?.[1];
  if (dataPermissions === "ignore" || url === "memory:") return;
  const files = database === undefined ? [] : [database, `${database}-wal`, `${database}-shm`];
  const folder = database === undefined || dirname(database) === dataDir ? dataDir : null;
  const [first, ...others] = readableByOthers(folder, [...files, join(dataDir, "compaction.key")]);
  if (first === undefined) return;
  if (dataPermissions === "refuse") throw new StartError([first, ...others].join("; "));
  for (const each of [first, ...others]) log.warn(each);
}

export async function openConfiguredStore(config: Config, log: Log): Promise<Store> {
  const url = config.store === "sqlite:" ? `sqlite:${join(config.dataDir, "turnwire.db")}` : config.store;
  checkPermissions(config, url, log);
  try {
    return await openStore(url, {
      memoryBytes: sizesOf(config).storeBytes,
      quota: quotaOf(config, url),
      ttlMs: config.storeDays === 0 ? Infinity : config.storeDays * DAY_MS,
      timeoutMs: config.storeTimeout * 1000,
      keys: parseStoreKeys(config.storeKeys ?? ""),
      trustsClear: config.storeClearRows,
      onError: (error) => log.error({ err: error }, "background store operation failed"),
    });
  } catch (error) {
    if (error instanceof StoreError) throw new StartError(error.message, { cause: error });
    throw error;
  }
}

/** What compaction items are sealed with: keys of their own, or else those of the store, or else one that is made here. */
export function createSeal(config: Config, log: Log): CipherSeal {
  const keys = readKeys(config.compactionKeys ?? config.storeKeys ?? "", "compaction keys");
  if (keys.length > 0) return new CipherSeal(() => keys);
  // What is kept in memory only does not leave a key behind either.
  if (config.store === "memory:") return new CipherSeal(() => parseStoreKeys(newKey()));
  const file = join(config.dataDir, "compaction.key");
  return new CipherSeal(() => {
    if (!config.store.startsWith("sqlite:")) {
      log.warn({ file }, "compaction items of this server work on others only with the same --compaction-keys");
    }
    return keyFile(file);
  });
}

function readKeys(text: string, source: string): readonly StoreKey[] {
  try {
    return parseStoreKeys(text, source);
  } catch (error) {
    if (error instanceof StoreError) throw new StartError(error.message, { cause: error });
    throw error;
  }
}

const DAY_MS = 24 * 60 * 60 * 1000;
