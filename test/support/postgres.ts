import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { accessSync, chownSync, constants, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import pg from "pg";

/** A PostgreSQL of the tests' own, from the programs that the machine has, reached through a socket in a temporary folder. */
export class TestPostgres {
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #url: string;

  /** Why there is none on this machine; null when there is one. */
  static get missing(): string | null {
    return findPrograms() === null ? "initdb and postgres are not installed" : null;
  }

  /** What the title of its tests says if they are skipped. */
  static get whySkipped(): string {
    return TestPostgres.missing === null ? "" : ` (skipped: ${TestPostgres.missing})`;
  }

  static async start(): Promise<TestPostgres> {
    const programs = findPrograms();
    if (programs === null) throw new Error("There is no PostgreSQL here.");
    const folder = mkdtempSync(join(tmpdir(), "turnwire-pg-"));
    const identity = ordinaryUser();
    if (identity !== null) chownSync(folder, identity.uid, identity.gid);
    const options = { cwd: folder, env: { PATH: process.env["PATH"], LC_ALL: "C.UTF-8" }, ...identity };
    const data = join(folder, "data");
    const initialise = ["-D", data, "-U", "turnwire", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"];
    execFileSync(join(programs, "initdb"), initialise, { ...options, stdio: "pipe" });
    const serve = ["-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "max_connections=50"];
    const server = spawn(join(programs, "postgres"), serve, { ...options, stdio: ["ignore", "ignore", "pipe"] });
    await isReady(server);
    return new TestPostgres(folder, server);
  }

  private constructor(folder: string, server: ChildProcess) {
    this.#folder = folder;
    this.#process = server;
    this.#url = `postgres://turnwire@/postgres?host=${encodeURIComponent(folder)}`;
  }

  /** Runs one of PostgreSQL's programs against this server. @returns what it printed */
  run(program: string, args: readonly string[], input = ""): string {
    const connect = ["-h", this.#folder, "-U", "turnwire"];
    const path = join(findPrograms() ?? "", program);
    return execFileSync(path, [...connect, ...args], { encoding: "utf8", input, maxBuffer: 1 << 28, stdio: "pipe" });
  }

  /** The address of another database of this server. */
  database(name: string): string {
    return this.#url.replace("/postgres?", `/${name}?`);
  }

  /** The address of a place with no tables in it. */
  async emptyPlace(): Promise<string> {
    const schema = `t_${randomUUID().replaceAll("-", "")}`;
    await this.query(this.#url, `CREATE SCHEMA ${schema}`);
    return `${this.#url}&options=${encodeURIComponent(`-c search_path=${schema}`)}`;
  }

  async query(url: string, sql: string): Promise<readonly Record<string, unknown>[]> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    // What PostgreSQL calls an immediate shutdown: nothing here is wanted any more.
    this.#process.kill("SIGQUIT");
    await ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The folder that has the programs, on the path or where Debian keeps them. */
function findPrograms(): string | null {
  const debian = "/usr/lib/postgresql";
  const versions = isThere(debian) ? readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : [];
  const folders = [...versions.map((version) => join(debian, version, "bin")), ...pathFolders()];
  return folders.find((folder) => isThere(join(folder, "initdb")) && isThere(join(folder, "postgres"))) ?? null;
}

function pathFolders(): readonly string[] {
  return (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
}

function isThere(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** PostgreSQL does not run as root, so it gets the user that its package has made, or nobody. */
function ordinaryUser(): { readonly uid: number; readonly gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  for (const name of ["postgres", "nobody"]) {
    try {
      const [uid, gid] = ["-u", "-g"].map((flag) => Number(execFileSync("id", [flag, name], { stdio: "pipe" })));
      if (uid !== undefined && gid !== undefined) return { uid, gid };
    } catch {
      // The next one, then.
    }
  }
  throw new Error("PostgreSQL does not run as root, and there is no other user.");
}

function isReady(server: ChildProcess): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const said: string[] = [];
  if (server.stderr === null) throw new Error("The server has no standard error.");
  createInterface({ input: server.stderr }).on("line", (line) => {
    said.push(line);
    if (line.includes("ready to accept connections")) resolve();
  });
  server.once("exit", (code) => reject(new Error(`PostgreSQL ended with ${code}:\n${said.join("\n")}`)));
  return promise;
}
