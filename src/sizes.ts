import { statfsSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { constrainedMemory } from "node:process";
import { getHeapStatistics } from "node:v8";
import type { Config } from "./settings.ts";

/** The sizes that follow from what the process has, where the configuration leaves them to it. */

export type Sizes = {
  /** Bytes that the JavaScript heap of this process may have, or its container. */
  readonly heapBytes: number;
  readonly memoryBytes: number;
  readonly memoryBytesPerTenant: number;
  readonly contextBytes: number;
  readonly storeBytes: number;
};

const MEBIBYTE = 2 ** 20;
const LARGEST_CACHE = 512 * MEBIBYTE;
const LARGEST_CONTEXT = 256 * MEBIBYTE;

type AutomaticSizes = Pick<Config, "memoryBytes" | "memoryBytesPerTenant" | "contextBytes" | "storeBytes">;

export function sizesOf(config: AutomaticSizes, heapBytes = heapOfProcess()): Sizes {
  const memoryBytes = given(config.memoryBytes, heapBytes / 2);
  const memoryBytesPerTenant = Math.min(memoryBytes, given(config.memoryBytesPerTenant, memoryBytes / 2));
  return {
    heapBytes,
    memoryBytes,
    memoryBytesPerTenant,
    contextBytes: given(config.contextBytes, Math.min(LARGEST_CONTEXT, memoryBytesPerTenant / 4)),
    storeBytes: given(config.storeBytes, Math.min(LARGEST_CACHE, heapBytes / 8)),
  };
}

/**
 * What the store may hold. Unless the configuration says so, a database file takes nine tenths of what it has and what is
 * free beside it.
 */
export function quotaOf(
  config: Pick<Config, "storeQuotaBytes" | "storeQuotaBytesPerTenant">,
  url: string,
): { readonly bytes: number; readonly tenantBytes: number } {
  const file = /^sqlite:(?:\/\/(?=\/))?(.+)$/.exec(url)?.[1];
  const ofDisk = file === undefined ? Infinity : Math.floor(roomFor(file) * 0.9);
  const bytes = config.storeQuotaBytes === "auto" ? ofDisk : config.storeQuotaBytes;
  const ofTenant = config.storeQuotaBytesPerTenant;
  return { bytes, tenantBytes: ofTenant === "auto" ? bytes / 2 : ofTenant };
}

/** Bytes of the file, and of what is free on its disk. */
function roomFor(file: string): number {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  // The folder may not be there yet: then the disk is that of one above it.
  for (let folder = dirname(resolve(file)); ; folder = dirname(folder)) {
    try {
      const { bavail, bsize } = statfsSync(folder);
      return size + bavail * bsize;
    } catch {
      if (folder === dirname(folder)) return Infinity;
    }
  }
}

function given(setting: number | "auto", automatic: number): number {
  return setting === "auto" ? Math.max(MEBIBYTE, Math.floor(automatic / MEBIBYTE) * MEBIBYTE) : setting;
}

function heapOfProcess(): number {
  const heap = getHeapStatistics().heap_size_limit;
  // Zero, or more than any machine has, where nothing constrains the process.
  const container = constrainedMemory();
  return container > 0 ? Math.min(heap, container) : heap;
}
