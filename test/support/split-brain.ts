import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Two servers with one store, one of which stands still, is killed, or meets a deletion. */

const SCRIPT = new URL("../stores/fence-server.ts", import.meta.url).pathname;
const LEASE_MS = 600;

/** How a server is made to stand still. */
export const PAUSES = ["is stopped by SIGSTOP", "has a blocked event loop", "waits for its database"] as const;
export type Pause = (typeof PAUSES)[number];

type Json = { readonly id?: string; readonly status?: string; readonly error?: { readonly code?: string } | null };
type Answer = { readonly status: number; readonly json: Json };

/** A server in a process of its own. */
export class FenceServer {
  readonly #process: ChildProcess;
  #url = "";

  static async start(store: string, rate: number): Promise<FenceServer> {
    const server = new FenceServer(store, rate);
    const { stdout } = server.#process;
    if (stdout === null) throw new Error("The server has no standard output.");
    for await (const line of createInterface({ input: stdout })) {
      server.#url = line;
      return server;
    }
    throw new Error("The server did not start.");
  }

  private constructor(store: string, rate: number) {
    const args = [SCRIPT, store, String(LEASE_MS), String(rate)];
    this.#process = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  }

  async call(path: string, init: RequestInit = {}): Promise<Answer> {
    const answer = await fetch(`${this.#url}/v1/responses${path}`, init);
    return { status: answer.status, json: (await answer.json()) as Json };
  }

  /** A stream: its id as soon as that is told, and how it ends. */
  async stream(fields: object, key?: string): Promise<{ readonly id: string; readonly end: Promise<string> }> {
    const answer = await fetch(`${this.#url}/v1/responses`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(key !== undefined && { "idempotency-key": key }) },
      body: JSON.stringify({ model: "sim", input: "Tell me a story of the canary.", stream: true, ...fields }),
    });
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    if (reader === undefined || answer.status !== 200) throw new Error(`no stream: ${answer.status}`);
    let text = "";
    const more = async (): Promise<boolean> => {
      const { done, value } = await reader.read();
      text += value ?? "";
      return !done;
    };
    while (!text.includes("response.output_text.delta") && (await more()));
    const rest = async (): Promise<string> => {
      try {
        while (await more());
      } catch {
        return "broken";
      }
      const events = [...text.matchAll(/^event: (.*)$/gm)].map(([, type]) => type ?? "");
      const code = /"code":"(\w+)"/.exec(text)?.[1];
      return `${events.at(-1)}${code === undefined ? "" : ` ${code}`}`;
    };
    return { id: /resp_\w+/.exec(text)?.[0] ?? "", end: rest() };
  }

  /** Makes it stand still. @returns what lets it go on */
  pause(how: Pause): () => void {
    if (how === "is stopped by SIGSTOP") {
      this.#process.kill("SIGSTOP");
      return () => void this.#process.kill("SIGCONT");
    }
    if (how === "waits for its database") {
      this.#process.stdin?.write("hold\n");
      return () => void this.#process.stdin?.write("go\n");
    }
    const folder = mkdtempSync(join(tmpdir(), "turnwire-block-"));
    this.#process.stdin?.write(`block ${join(folder, "go")}\n`);
    return () => writeFileSync(join(folder, "go"), "");
  }

  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill("SIGKILL");
    await ended;
  }
}

/** A file for a store, and what removes it. */
export function newFile(): { readonly url: string; readonly remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), "turnwire-fence-"));
  return {
    url: `sqlite:${join(folder, "turnwire.db")}`,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** What is seen of a response in the end. */
export type Seen = { readonly client: string; readonly stores: readonly string[]; readonly next: readonly string[] };

const DELETE = { method: "DELETE" } as const;

async function statusOf(server: FenceServer, id: string): Promise<string> {
  const { status, json } = await server.call(`/${id}`);
  return status === 200 ? (json.status ?? "?") : String(status);
}

async function continued(server: FenceServer, id: string): Promise<string> {
  const { json } = await server.call("", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "sim", input: "Go on.", previous_response_id: id, max_output_tokens: 1 }),
  });
  return json.error?.code ?? json.status ?? "?";
}

/** One server stands still in the middle of a background response until the other one has given it up; then it goes on. */
export async function pauseRound([one, two]: readonly [FenceServer, FenceServer], how: Pause): Promise<Seen> {
  const { id, end } = await one.stream({ background: true });
  const resume = one.pause(how);
  while ((await statusOf(two, id)) !== "failed");
  resume();
  const client = await end;
  const servers = [one, two];
  return {
    client,
    stores: await Promise.all(servers.map((server) => statusOf(server, id))),
    next: await Promise.all(servers.map((server) => continued(server, id))),
  };
}

/** The same with an idempotency key: the request comes again to the other server meanwhile. */
export async function retryRound(
  [one, two]: readonly [FenceServer, FenceServer],
  how: Pause,
): Promise<{ readonly first: string; readonly second: string; readonly stores: readonly string[] }> {
  const key = `key-${Math.random()}`;
  const { id, end } = await one.stream({}, key);
  const resume = one.pause(how);
  const again = await two.stream({}, key);
  resume();
  const [first, second] = await Promise.all([end, again.end]);
  const stores = [await statusOf(one, id), await statusOf(two, id), await statusOf(one, again.id)];
  return { first, second, stores };
}

/** The response is deleted on the other server while its own stands still. */
export async function deleteRound([one, two]: readonly [FenceServer, FenceServer], how: Pause): Promise<Seen> {
  const { id, end } = await one.stream({ background: true });
  const resume = one.pause(how);
  const { status } = await two.call(`/${id}`, DELETE);
  resume();
  const client = await end;
  const stores = await Promise.all([one, two].map((server) => statusOf(server, id)));
  return { client, stores: [String(status), ...stores], next: [] };
}

/** The server is killed at some moment around the end of a response, which is then deleted. @returns what GET says, twice */
export async function killRound(store: string, two: FenceServer, delay: number): Promise<readonly string[]> {
  const one = await FenceServer.start(store, 2000);
  const streams = await Promise.all(Array.from({ length: 4 }, () => one.stream({ background: true })));
  await new Promise((resolve) => setTimeout(resolve, delay));
  await one.kill();
  const seen: string[] = [];
  for (const { id } of streams) {
    const { status } = await two.call(`/${id}`, DELETE);
    seen.push(`${status} ${await statusOf(two, id)}`);
  }
  // Whatever could bring it back has had its time.
  await new Promise((resolve) => setTimeout(resolve, LEASE_MS * 2.5));
  for (const { id } of streams) seen.push(await statusOf(two, id));
  return seen;
}
