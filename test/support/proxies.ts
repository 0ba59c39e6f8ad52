import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { findCommand } from "./commands.ts";

/** Reverse proxies of this machine, with the configurations that docs/deploy.md tells people to use. */

const PAGE = fileURLToPath(new URL("../../docs/deploy.md", import.meta.url));
const TLS = fileURLToPath(new URL("../fixtures/tls/", import.meta.url));

type Change = readonly [from: string, to: string];

type Places = { readonly folder: string; readonly port: number; readonly upstream: string };

type Kind = {
  readonly command: string;
  /** The language of its block on the page. */
  readonly language: string;
  readonly scheme: "http" | "https";
  /** What stands for the places of the page. */
  readonly changes: (places: Places) => readonly Change[];
  /** What the system's own configuration has around it. */
  readonly around: (snippet: string, places: Places) => string;
  readonly args: (file: string, places: Places) => readonly string[];
};

export const PROXIES = {
  nginx: {
    command: "nginx",
    language: "nginx",
    scheme: "https",
    changes: ({ port, upstream }) => [
      ["listen 443 ssl;", `listen 127.0.0.1:${port} ssl;`],
      ["server 127.0.0.1:4400;", `server ${upstream};`],
      ["/etc/ssl/models.example.com/fullchain.pem", `${TLS}cert.pem`],
      ["/etc/ssl/models.example.com/privkey.pem", `${TLS}key.pem`],
      ["server_name models.example.com;", "server_name localhost;"],
    ],
    around: (snippet, { folder }) => {
      const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
        (name) => `${name}_temp_path ${folder};`,
      );
      // Workers of root would be somebody else, who may not read the folder.
      const user = process.getuid?.() === 0 ? "user root;" : "";
      return `daemon off; ${user} pid ${folder}/pid; error_log stderr;
events {}
http { access_log off; ${temporary.join(" ")}
${snippet}
}`;
    },
    args: (file, { folder }) => ["-p", folder, "-e", "stderr", "-c", file],
  },
  Caddy: {
    command: "caddy",
    language: "caddyfile",
    // Certificates of its own would come from an authority, or from one that it installs on the machine.
    scheme: "http",
    changes: ({ port, upstream }) => [
      ["models.example.com {", `http://127.0.0.1:${port} {`],
      ["127.0.0.1:4400", upstream],
    ],
    around: (snippet) => `{\n\tadmin off\n\tauto_https off\n}\n${snippet}`,
    args: (file) => ["run", "--adapter", "caddyfile", "--config", file],
  },
  HAProxy: {
    command: "haproxy",
    language: "haproxy",
    scheme: "https",
    changes: ({ folder, port, upstream }) => [
      ["bind :443 ssl crt /etc/haproxy/models.example.com.pem", `bind 127.0.0.1:${port} ssl crt ${folder}/both.pem`],
      ["server one 127.0.0.1:4400", `server one ${upstream}`],
    ],
    around: (snippet, { folder }) => {
      writeFileSync(
        join(folder, "both.pem"),
        readFileSync(`${TLS}cert.pem`, "utf8") + readFileSync(`${TLS}key.pem`, "utf8"),
      );
      return `global\n  maxconn 1000\n\n${snippet}`;
    },
    args: (file) => ["-db", "-f", file],
  },
} as const satisfies { readonly [name: string]: Kind };

export type ProxyName = keyof typeof PROXIES;

/** Why a proxy cannot be tried on this machine; null when it can. */
export function missingProxy(name: ProxyName): string | null {
  const { command } = PROXIES[name];
  return findCommand(command) === null ? `${command} is not installed` : null;
}

/**
 * Starts a proxy in front of a server, until the test is over. Resolves with its URL.
 * @param mistakes what is to be wrong with the configuration of the page
 */
export async function startProxy(
  name: ProxyName,
  serverUrl: string,
  mistakes: readonly Change[] = [],
): Promise<string> {
  const kind: Kind = PROXIES[name];
  const folder = mkdtempSync(join(tmpdir(), "turnwire-proxy-"));
  const places = { folder, port: await freePort(), upstream: new URL(serverUrl).host };
  const snippet = [...mistakes, ...kind.changes(places)].reduce(change, snippetOf(kind.language));
  const file = join(folder, "configuration");
  writeFileSync(file, `${kind.around(snippet, places)}\n`);
  const child = spawn(findCommand(kind.command) ?? kind.command, kind.args(file, places), {
    cwd: folder,
    env: { PATH: process.env["PATH"], HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
  });
  onTestFinished(async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });
  await listens(child, places.port);
  return `${kind.scheme}://127.0.0.1:${places.port}`;
}

/** The block of the page that is written in a language. */
function snippetOf(language: string): string {
  const block = new RegExp(`\`\`\`${language}\n([^]*?)\n\`\`\``).exec(readFileSync(PAGE, "utf8"))?.[1];
  if (block === undefined) throw new Error(`docs/deploy.md has no block of ${language}`);
  return block;
}

function change(text: string, [from, to]: Change): string {
  if (!text.includes(from)) throw new Error(`docs/deploy.md no longer has '${from}'`);
  return text.replaceAll(from, to);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Tries until the port takes connections; the test's own limit ends it. */
async function listens(child: ChildProcess, port: number): Promise<void> {
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the proxy has ended:\n${output}`);
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
      socket.once("close", () => socket.destroy());
      socket.once("connect", () => socket.end());
    });
    if (isOpen) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
