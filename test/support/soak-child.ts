import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { Holding } from "./soak-server.ts";

const SERVER = new URL("soak-server.ts", import.meta.url);

/** A server whose memory is its own. */
export class SoakChild {
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#process = child;
    this.url = url;
  }

  static async start(): Promise<SoakChild> {
    const execArgv = ["--expose-gc", "--disable-warning=ExperimentalWarning"];
    const child = fork(SERVER, { execArgv });
    const [url] = (await once(child, "message")) as [string];
    return new SoakChild(child, url);
  }

  async holding(): Promise<Holding> {
    const answer = once(this.#process, "message") as Promise<[Holding]>;
    this.#process.send("holding");
    const [holding] = await answer;
    return holding;
  }

  /** Asks until it is so; a test's own limit ends it. */
  async until(isSo: (holding: Holding) => boolean): Promise<Holding> {
    for (;;) {
      const holding = await this.holding();
      if (isSo(holding)) return holding;
    }
  }

  /** Ends the server in good order. */
  async end(): Promise<void> {
    const exit = once(this.#process, "exit");
    this.#process.disconnect();
    const [code, signal] = (await exit) as [number | null, string | null];
    if (code !== 0) throw new Error(`the server ended with ${code ?? signal}`);
  }
}
