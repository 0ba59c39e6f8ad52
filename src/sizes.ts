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

export function sizesOf(
  config: Pick<Config, "memoryBytes" | "memoryBytesPerTenant" | "contextBytes" | "storeBytes">,
  heapBytes = heapOfProcess(),
): Sizes {
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

function given(setting: number | "auto", automatic: number): number {
  return setting === "auto" ? Math.max(MEBIBYTE, Math.floor(automatic / MEBIBYTE) * MEBIBYTE) : setting;
}

function heapOfProcess(): number {
  const heap = getHeapStatistics().heap_size_limit;
  // Zero, or more than any machine has, where nothing constrains the process.
  const container = constrainedMemory();
  return container > 0 ? Math.min(heap, container) : heap;
}
