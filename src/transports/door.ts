import type { IncomingMessage } from "node:http";
import type { Access } from "../core/ports.ts";
import { ApiError } from "../protocol/errors.ts";
import { isAllowedHost, splitTarget } from "./host-names.ts";
import { checkOrigin, isForeign } from "./origins.ts";
import type { TransportPolicy } from "./policy.ts";

type DoorOptions = {
  readonly policy: Pick<TransportPolicy, "allowedHosts" | "allowedOrigins">;
  readonly access: Pick<Access, "needsKey">;
};

/**
 * Keeps web pages away from a server that asks for no key: those that reach it by a name of their own (DNS rebinding), and
 * those that send requests across sites. Where a key is needed, the key decides.
 */
export class Door {
  readonly #options: DoorOptions;

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  /**
   * For every request, whatever its route.
   * @throws ApiError `host_not_allowed`
   */
  async checkHost(request: Pick<IncomingMessage, "url" | "headersDistinct">): Promise<void> {
    const { allowedHosts } = this.#options.policy;
    if (allowedHosts === null || isAddressedTo(request, allowedHosts) || (await this.#options.access.needsKey()))
      return;
    throw new ApiError(
      "host_not_allowed",
      "Without API keys this server answers only to names of this machine (localhost, 127.0.0.1, [::1]): use one of those, " +
        "start it with --allowed-hosts and the name in question, or give it keys.",
    );
  }

  /**
   * For every request that reads, changes or runs anything.
   * @throws ApiError `origin_not_allowed`
   */
  async checkSite({ headers }: Pick<IncomingMessage, "headers">): Promise<void> {
    const { policy, access } = this.#options;
    if (!isForeign(policy, headers) || (await access.needsKey())) return;
    checkOrigin(policy, headers);
  }
}

/** Routes that load balancers ask in HTTP/1.0, without a host. They tell nothing of anybody. */
const HEALTH = ["/healthz", "/health", "/readyz"];

/** Several hosts are no host: a proxy in front may have taken another one of them. */
function isAddressedTo(
  { url = "", headersDistinct }: Pick<IncomingMessage, "url" | "headersDistinct">,
  allowed: readonly string[],
): boolean {
  if (allowed.includes("*")) return true;
  const [host, ...others] = headersDistinct["host"] ?? [];
  if (host === undefined) return HEALTH.includes(url);
  const { authority } = splitTarget(url);
  return (
    others.length === 0 && isAllowedHost(host, allowed) && (authority === null || isAllowedHost(authority, allowed))
  );
}
