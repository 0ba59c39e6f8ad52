import type { Tenant } from "../core/ports.ts";

/** The name of a node among those of all tenants. The length keeps a tenant from spelling the key of another one. */
export function keyOf(tenant: Tenant, id: string): string {
  return `${tenant.length}:${tenant}:${id}`;
}
