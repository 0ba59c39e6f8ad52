import { choice, folder, integer, onOff, optionalText, seconds, size, sizeOrAuto, text } from "./setting-kinds.ts";

/** What is kept, where, for how long, and in how many bytes. */
export const MEMORY_SETTINGS = {
  store: {
    ...text("<url>", "a store", {
      default: "sqlite:",
      description:
        "Where stored responses are kept: sqlite: (a file in --data-dir), sqlite:<path>, postgres://…, or memory:, which forgets them at the end.",
    }),
    group: "Memory",
  },
  storeDays: {
    ...integer({
      minimum: 0,
      maximum: 36_500,
      default: 30,
      description: "Days for which a stored response is known; 0 is for as long as there is room.",
    }),
    group: "Memory",
  },
  maxConversationItems: {
    ...integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 10_000,
      description: "Items that one conversation may have; a further turn or item is refused.",
    }),
    group: "Memory",
  },
  conversationDays: {
    ...integer({
      minimum: 0,
      maximum: 36_500,
      default: 0,
      description: "Days after its last change for which a conversation is kept; 0 is until it is deleted.",
    }),
    group: "Memory",
  },
  storeKeys: {
    ...optionalText("<id:base64>", "keys", {
      description: "Keys that encrypt what is stored, with commas between them; the first one is current.",
    }),
    secret: true,
    group: "Memory",
  },
  dataDir: {
    ...folder({
      default: "~/.turnwire",
      description: "Where the server keeps its own files, such as that of 'sqlite:'.",
    }),
    group: "Memory",
  },
  storeClearRows: {
    ...onOff(
      "Also believe rows that are not encrypted although there are store keys: those from before the first key.",
    ),
    group: "Memory",
  },
  storeTimeout: {
    ...seconds({
      default: 15,
      description: "How long the database may take for one call; then clients get 503 with Retry-After.",
    }),
    group: "Memory",
  },
  dataPermissions: {
    ...choice(["warn", "refuse", "ignore"], {
      default: "warn",
      description: "What to do when other users of the machine can read the server's folder, database or keys.",
    }),
    group: "Memory",
  },
  compactionKeys: {
    ...optionalText("<id:base64>", "keys", {
      description: "Keys that seal compaction items, as --store-keys; without any: those, or one made in --data-dir.",
    }),
    secret: true,
    group: "Memory",
  },
  compactTokens: {
    ...integer({
      minimum: 1,
      maximum: 1_000_000_000,
      default: 100_000,
      description:
        "Tokens of context at which a request that asks for compaction, and names no threshold, is compacted.",
    }),
    group: "Memory",
  },
  compactBytes: {
    ...size({ default: "16MiB", description: "The same in bytes of context: images reach limits of bytes first." }),
    group: "Memory",
  },
  storeBytes: {
    ...sizeOrAuto(
      "Stored responses in memory: all that memory: keeps, the cache of others; auto: an eighth of the heap, 512MiB at most.",
    ),
    group: "Memory",
  },
  sessionBytes: {
    ...size({ default: "64MiB", description: "Context that one connection may hold." }),
    group: "Memory",
  },
  storeQuotaBytes: {
    ...sizeOrAuto(
      "What the store may hold; more is refused. auto: nine tenths of the disk space that sqlite: has, no limit for others.",
    ),
    group: "Memory",
  },
  storeQuotaBytesPerTenant: {
    ...sizeOrAuto("The same, of one tenant; auto: half of --store-quota-bytes."),
    group: "Memory",
  },
  memoryBytes: {
    ...sizeOrAuto("Memory for all requests, sessions, runs and unread answers; auto: half of the heap."),
    group: "Memory",
  },
  memoryBytesPerTenant: {
    ...sizeOrAuto("The same, of one tenant; auto: half of --memory-bytes."),
    group: "Memory",
  },
  contextBytes: {
    ...sizeOrAuto(
      "Largest context of a turn, chain included; auto: a quarter of --memory-bytes-per-tenant, 256MiB at most.",
    ),
    group: "Memory",
  },
} as const;
