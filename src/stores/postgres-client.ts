import type { Pool, PoolClient } from "pg";

/** How the PostgreSQL store uses its connections: transactions, and what is tried again. */

const TRIES = 4;

/**
 * A server that stands still inside a transaction loses it, with the locks that it holds, well before its leases end; and who
 * waits for a lock waits a bounded time. Set for the transaction, as poolers refuse such settings of a session.
 */
const IDLE_MS = 5000;
const LOCK_MS = 10_000;
const BEGIN = `BEGIN; SET LOCAL idle_in_transaction_session_timeout = ${IDLE_MS}; SET LOCAL lock_timeout = ${LOCK_MS}`;

/** A connection that breaks also fails the query that meets it; this only keeps the event from ending the process. */
function ignoreEvent(): void {}

export async function withClient<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  client.on("error", ignoreEvent);
  let isBroken = true;
  try {
    const result = await work(client);
    isBroken = false;
    return result;
  } finally {
    client.off("error", ignoreEvent);
    client.release(isBroken);
  }
}

/** What may go well the next time: two servers met, or the connection was lost. All that is retried may be done twice. */
const PASSING = new Set(["23503", "25P03", "40001", "40P01", "57P01", "57P02", "57P03", "ECONNRESET", "EPIPE"]);

/** What the driver says of a connection that was lost: under a query, and before it. */
const LOST = new Set([
  "Connection terminated unexpectedly",
  "Client has encountered a connection error and is not queryable",
]);

function isPassing(error: unknown): boolean {
  const { code, message } = error as { readonly code?: string; readonly message?: string };
  return PASSING.has(code ?? "") || LOST.has(message ?? "");
}

export async function retrying<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt === TRIES || !isPassing(error)) throw error;
    }
  }
}

export function ignoreRace(error: unknown): void {
  if (!isPassing(error)) throw error;
}

export async function transaction<T>(client: PoolClient, work: () => Promise<T>): Promise<T> {
  await client.query(BEGIN);
  try {
    const result = await work();
    await client.query("COMMIT");
    return result;
  } catch (error) {
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

/** A transaction that is rolled back unless its outcome is this one. */
export async function transactionUnless<T>(client: PoolClient, good: T, work: () => Promise<T>): Promise<T> {
  await client.query(BEGIN);
  try {
    const outcome = await work();
    await client.query(outcome === good ? "COMMIT" : "ROLLBACK");
    return outcome;
  } catch (error) {
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}
