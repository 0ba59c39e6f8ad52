import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { openDurableStore } from "../../src/stores/open.ts";
import { storeContract } from "./store-contract.ts";

const folder = mkdtempSync(join(tmpdir(), "turnwire-sqlite-"));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const emptyPlace = async (): Promise<string> => `sqlite:${join(folder, `${files++}`, "turnwire.db")}`;

storeContract("SQLite", async () => openDurableStore(await emptyPlace()));
storeContract("SQLite without a cache", async () => openDurableStore(await emptyPlace(), { memoryBytes: 0 }));
