import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { findCommand } from "./commands.ts";

/** A real browser engine, driven over its DevTools protocol: what web pages can and cannot do is its to say. */

/** Why there is no browser on this machine; null when there is one. */
export const MISSING_CHROMIUM = findCommand("chromium") === null ? "chromium is not installed" : null;

const LOADED = `if (document.readyState !== "complete") await new Promise((resolve) => addEventListener("load", resolve));`;

type Reply = { readonly id?: number; readonly result?: never; readonly error?: { readonly message: string } };

export class Chromium {
  readonly #child: ChildProcess;
  readonly #socket: WebSocket;
  readonly #profile: string;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #calls = 0;

  /** @param host a name that leads to this machine, as an attacker's DNS server may say; no other name leads anywhere */
  static async launch(host: string): Promise<Chromium> {
    const profile = mkdtempSync(join(tmpdir(), "turnwire-chromium-"));
    const child = spawn(
      findCommand("chromium") ?? "chromium",
      [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        `--host-resolver-rules=MAP ${host} 127.0.0.1, MAP *.${host} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1`,
        `--user-data-dir=${profile}`,
        "--remote-debugging-port=0",
        "about:blank",
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    const socket = new WebSocket(await devTools(child));
    await new Promise((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", reject);
    });
    return new Chromium(child, socket, profile);
  }

  private constructor(child: ChildProcess, socket: WebSocket, profile: string) {
    this.#child = child;
    this.#socket = socket;
    this.#profile = profile;
    socket.on("message", (data: Buffer) => this.#take(JSON.parse(data.toString()) as Reply));
  }

  /** Opens a page and runs a script in it; resolves with what the script returns. */
  async run(url: string, script: string): Promise<unknown> {
    const { targetId } = await this.#call<{ targetId: string }>("Target.createTarget", { url: "about:blank" });
    const attach = { targetId, flatten: true };
    const { sessionId } = await this.#call<{ sessionId: string }>("Target.attachToTarget", attach);
    await this.#call("Page.navigate", { url }, sessionId);
    const expression = `(async () => { ${LOADED} ${script} })()`;
    const evaluate = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await this.#call<{ result: { value?: unknown }; exceptionDetails?: object }>(
      "Runtime.evaluate",
      evaluate,
      sessionId,
    );
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    await this.#call("Target.closeTarget", { targetId });
    return result.value;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    // Asked to close, it takes its helpers with it.
    this.#socket.send(JSON.stringify({ id: 0, method: "Browser.close" }));
    await ended;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }

  #call<T>(method: string, params: object, sessionId?: string): Promise<T> {
    this.#calls += 1;
    const reply = Promise.withResolvers<unknown>();
    this.#waiting.set(this.#calls, reply);
    this.#socket.send(JSON.stringify({ id: this.#calls, method, params, ...(sessionId && { sessionId }) }));
    return reply.promise as Promise<T>;
  }

  #take({ id, result, error }: Reply): void {
    const waiter = this.#waiting.get(id ?? 0);
    this.#waiting.delete(id ?? 0);
    if (error === undefined) waiter?.resolve(result);
    else waiter?.reject(new Error(error.message));
  }
}

/** Where a browser that has just been started takes commands. */
function devTools(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = "";
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`the browser has ended:\n${output}`)));
    child.stderr?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      const url = /DevTools listening on (ws:\/\/\S+)/.exec(output)?.[1];
      if (url !== undefined) resolve(url);
    });
  });
}
