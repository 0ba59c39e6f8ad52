// The layers of ARCHITECTURE.md as rules. Imports go downwards only, and an import of a type counts like any other.

const NPM = ["npm", "npm-dev", "npm-optional", "npm-peer", "npm-bundled", "npm-no-pkg", "npm-unknown", "unknown"];
const BUILTIN = "core";

/** What a folder of src/ may import from the rest of src/: `own` files, and paths that match one of `allowed`. */
const sees = (folder, allowed) => ({
  name: `${folder}-sees-only-what-is-below`,
  severity: "error",
  from: { path: `^src/${folder}/` },
  to: { path: "^src/", pathNot: [`^src/${folder}/`, ...allowed.map((path) => `^src/${path}`)] },
});

/** Which npm packages a folder may import; a rule of its own, so that the message names the right mistake. */
const uses = (folder, packages) => ({
  name: `${folder}-uses-only-its-packages`,
  severity: "error",
  from: { path: `^src/${folder}/` },
  to: {
    dependencyTypes: NPM,
    ...(packages.length > 0 && { pathNot: packages.map((name) => `(^|node_modules/)${name}(/|$)`) }),
  },
});

const edges = ["^src/(cli|conformance|doctor|bench)/"];
const adapters = "^src/(transports|backends|stores|keys)/";

export default {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "every-folder-is-a-layer",
      comment: "A new folder of src/ gets its rules here before it gets its first file.",
      severity: "error",
      from: {},
      to: {
        path: "^src/[^/]+/",
        pathNot: "^src/(protocol|core|backends|stores|keys|transports|testing|conformance|doctor|bench|cli)/",
      },
    },
    {
      name: "no-folder-outside-the-layers",
      severity: "error",
      from: {
        path: "^src/[^/]+/",
        pathNot: "^src/(protocol|core|backends|stores|keys|transports|testing|conformance|doctor|bench|cli)/",
      },
      to: {},
    },
    {
      name: "source-does-not-import-its-surroundings",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^(test|bench|examples|scripts|dist)/" },
    },

    sees("protocol", []),
    sees("core", ["protocol/"]),
    sees("backends", ["protocol/", "core/(ports|node)[.]ts$"]),
    sees("stores", ["protocol/", "core/(ports|node|retention)[.]ts$"]),
    sees("keys", ["protocol/", "core/ports[.]ts$"]),
    sees("transports", ["protocol/", "core/"]),
    sees("testing", ["protocol/", "core/"]),
    sees("conformance", ["protocol/"]),
    sees("doctor", ["protocol/"]),
    sees("bench", ["protocol/"]),

    uses("protocol", ["typebox"]),
    uses("core", []),
    uses("backends", ["undici", "gpt-tokenizer"]),
    uses("stores", ["pg", "@types/pg"]),
    uses("keys", []),
    uses("transports", ["fastify", "@fastify/[^/]+", "ws", "@types/ws"]),
    uses("testing", []),
    uses("conformance", ["ws", "@types/ws", "undici"]),
    uses("doctor", ["ws", "@types/ws"]),
    uses("bench", ["ws", "@types/ws", "undici"]),
    {
      name: "pure-layers-do-no-io",
      severity: "error",
      from: { path: "^src/(protocol|core)/" },
      to: { dependencyTypes: [BUILTIN] },
    },

    {
      name: "cli-reaches-adapters-through-the-server",
      severity: "error",
      from: { path: "^src/cli/" },
      to: { path: adapters },
    },
    {
      name: "nothing-imports-the-command-line",
      severity: "error",
      from: { pathNot: "^(src/cli|test)/" },
      to: { path: "^src/cli/" },
    },
    {
      name: "server-does-not-know-the-edges",
      severity: "error",
      from: { path: "^src/(server|index)[.]ts$" },
      to: { path: edges },
    },
    {
      name: "top-level-files-see-protocol-and-ports",
      comment:
        "Only the composition root (server.ts, configured-store.ts) knows every layer; index.ts names what is public.",
      severity: "error",
      from: { path: "^src/[^/]+$", pathNot: "^src/(server|configured-store|index)[.]ts$" },
      to: { path: ["^src/[^/]+/", "^src/(server|index)[.]ts$"], pathNot: ["^src/protocol/", "^src/core/ports[.]ts$"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "types", "default"],
      extensions: [".ts", ".js", ".json"],
    },
  },
};
