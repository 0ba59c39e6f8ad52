import type { Seal, Tenant } from "../core/ports.ts";

/** A seal that tests can read: the tenant and the text as they are. */
export class ClearSeal implements Seal {
  seal(tenant: Tenant, text: string): string {
    return `${tenant}|${text}`;
  }

  open(tenant: Tenant, sealed: string, limit: number): string | undefined {
    const prefix = `${tenant}|`;
    if (!sealed.startsWith(prefix)) return undefined;
    if (sealed.length - prefix.length > limit) throw new RangeError("the sealed text is longer than the limit");
    return sealed.slice(prefix.length);
  }
}
