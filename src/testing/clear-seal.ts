import type { Seal, Tenant } from "../core/ports.ts";

/** A seal that tests can read: the tenant and the text as they are. */
export class ClearSeal implements Seal {
  seal(tenant: Tenant, text: string): string {
    return `${tenant}|${text}`;
  }

  open(tenant: Tenant, sealed: string): string | undefined {
    const prefix = `${tenant}|`;
    return sealed.startsWith(prefix) ? sealed.slice(prefix.length) : undefined;
  }
}
