import { startServer } from "../../src/server.ts";
import { openStore } from "../../src/stores/open.ts";

/** A whole server with a store of its own. Usage: `crash-server.ts <store url> [tokens per second]` */

const store = await openStore(process.argv[2] ?? "");
const server = await startServer(
  { port: 0, logLevel: "silent", simRounds: 0, simRate: Number(process.argv[3] ?? 0) },
  { store },
);
process.stdout.write(`${server.url}\n`);
