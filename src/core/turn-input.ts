import type { Item } from "../protocol/items.ts";
import { contextBytes, type ContextMemory } from "./context-memory.ts";
import { type ItemSource, resolveReferences } from "./item-references.ts";
import type { ResponseNode } from "./node.ts";
import { checkItemIds, pairedInput } from "./pairing.ts";
import type { Seal, Tenant } from "./ports.ts";
import { openReasoning } from "./sealed-reasoning.ts";

type Surroundings = {
  readonly parent: ResponseNode | null;
  readonly items: ItemSource;
  readonly memory: ContextMemory;
  readonly seal: Seal;
  readonly tenant: Tenant;
  /** Size of the request as it came. */
  readonly bytesIn: number;
};

/** What was sent as it follows the chain: with the items themselves where it referred to them, and nothing twice. @throws ApiError */
export async function readInput(sent: readonly Item[], turn: Surroundings): Promise<readonly Item[]> {
  const { parent, items, memory, seal, tenant, bytesIn } = turn;
  checkItemIds(parent, sent);
  const named = await resolveReferences(sent, items, memory);
  memory.checkContext(contextBytes(parent, named, named === sent ? bytesIn : Infinity));
  return pairedInput(parent, openReasoning(named, seal, tenant, memory));
}
