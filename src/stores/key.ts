import type { Tenant } from "../core/ports.ts";

/** The name of a node among those of all tenants. The length keeps a tenant from spelling the key of another one. */
export function keyOf(tenant: Tenant, id: string): string {
  return `${tenant.length}:${tenant}:${id}`;
}

/** Whether a text is kept as it is: one that is no text, or has an end in it, could become the name of something else. */
export function isName(text: string): boolean {
  return text.isWellFormed() && !text.includes("\0");
}
