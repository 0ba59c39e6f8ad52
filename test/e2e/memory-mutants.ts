/** Servers of ours with one budget broken in each: the attack on that budget has to notice. */
export const MEMORY_MUTANTS = [
  {
    name: "an arriving body is not accounted",
    file: "transports/request-memory.ts",
    find: "        lease.grow(pieceBytes(chunk));\n",
    replace: "",
    caughtBy: "bodies of many small values",
  },
  {
    name: "an unpacked body is not accounted",
    file: "transports/http.ts",
    find: "(piece) => lease.grow(pieceBytes(piece))",
    replace: "() => undefined",
    caughtBy: "compressed bodies",
  },
  {
    name: "sealed texts are unpacked without a limit",
    file: "core/context-memory.ts",
    find: "const limit = Math.min(ofContext, ofMemory, sealed.length * INFLATION);",
    replace: "const limit = Infinity;\n    this.#lease.release();",
    caughtBy: "compactions",
  },
  {
    name: "a chain may have any length",
    file: "core/context-memory.ts",
    find: "    if (bytes > this.#contextBytes) throw contextTooLong(this.#contextBytes);\n",
    replace: "",
    caughtBy: "a long chain",
  },
  {
    name: "connections keep what they like",
    file: "core/local-cache.ts",
    find: "while (!this.#lease.tryResize(this.#nodes.bytes) && this.#nodes.evict());",
    replace: "",
    caughtBy: "connections that keep their contexts",
  },
  {
    name: "a retrieved response is not accounted",
    file: "transports/retrieval.ts",
    find: "const { chain: admit } = new ContextMemory(leaseOf(request));",
    replace: "const admit = undefined;\n      void [ContextMemory, leaseOf];",
    caughtBy: "replays that are not read",
  },
  {
    name: "a tenant may store what it likes",
    file: "stores/quota.ts",
    find: "if (usage.tenant + bytes > this.#quota.tenantBytes) {",
    replace: "if (usage.tenant + bytes > Infinity) {",
    caughtBy: "responses that fill the store",
  },
] as const;
