import { Pool } from "pg";
import { transaction, withClient } from "../../src/stores/postgres-client.ts";

/** A process that locks the row of a response in a transaction, says so, and never ends it. Usage: `still-writer.ts <url> <id>` */

const [url, id] = process.argv.slice(2);
const pool = new Pool({ connectionString: url });
await withClient(pool, (client) =>
  transaction(client, async () => {
    await client.query("SELECT 1 FROM turnwire_nodes WHERE id = $1 FOR UPDATE", [id]);
    process.stdout.write("locked\n");
    await new Promise(() => setInterval(() => undefined, 60_000));
  }),
);
