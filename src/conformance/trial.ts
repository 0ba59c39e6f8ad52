import { type HttpAnswer, type HttpOptions, requestOver, upgradeOver } from "./http.ts";
import { Socket, type SocketOptions } from "./socket.ts";
import type { Target } from "./target.ts";
import { Transcript } from "./transcript.ts";
import type { Json } from "./types.ts";
import { demand, skip, Violation } from "./violation.ts";

/** What all trials of one run have in common. */
export type Setup = {
  readonly target: Target;
  readonly model: string;
  /** Why no WebSocket can be opened; null when the server has one. */
  readonly withoutSocket: string | null;
  readonly key: string | null;
  /** A key of another tenant. */
  readonly secondKey: string | null;
  /** How long each single wait may take. */
  readonly timeoutMs: number;
  /** What was found out or recorded once, by what asked for it. */
  readonly once: Map<object, Promise<Once<unknown>>>;
};

export type UpgradeOptions = HttpOptions & { readonly path?: string };

type Once<T> = { readonly value: T; readonly transcript: Transcript };

/** Something that not every server offers; asked once, by a trial of its own. */
export type Feature = {
  /** As it stands in "the server does not offer …". */
  readonly what: string;
  readonly isOffered: (trial: Trial) => Promise<boolean>;
};

/** Something that several cases look at and that is made once. */
export type Recording<T> = { readonly make: (trial: Trial) => Promise<T> };

/** One case against the server: it opens what the case needs, keeps a transcript, and closes everything in the end. */
export class Trial {
  readonly transcript = new Transcript();
  readonly #setup: Setup;
  readonly #sockets: Socket[] = [];

  constructor(setup: Setup) {
    this.#setup = setup;
  }

  get model(): string {
    return this.#setup.model;
  }

  get target(): Target {
    return this.#setup.target;
  }

  get timeoutMs(): number {
    return this.#setup.timeoutMs;
  }

  /** The key in use; null when none was given. */
  get key(): string | null {
    return this.#setup.key;
  }

  /** The key of another tenant; without one the case is skipped. */
  get secondKey(): string {
    return this.#setup.secondKey ?? skip("no --second-key was given: a key of another tenant is needed");
  }

  /** A new connection, on which nothing has happened yet. */
  async connect(options: SocketOptions = {}): Promise<Socket> {
    const { target, model, timeoutMs, key, withoutSocket } = this.#setup;
    if (withoutSocket !== null) skip(withoutSocket);
    const name = `ws${this.#sockets.length + 1}`;
    const socket = new Socket(
      `${target.webSocket}${options.query ?? ""}`,
      { key, ...options },
      { target, model, timeoutMs, transcript: this.transcript, name },
    );
    this.#sockets.push(socket);
    await socket.opened();
    return socket;
  }

  /** Asks for an upgrade and goes no further: the answer, whether it is 101 or a refusal. */
  async upgrade(options: UpgradeOptions = {}): Promise<HttpAnswer> {
    if (!this.hasSocket) skip(this.#setup.withoutSocket ?? "");
    return this.attemptUpgrade(options);
  }

  get hasSocket(): boolean {
    return this.#setup.withoutSocket === null;
  }

  /** As `upgrade`, also where the server is known to have no WebSocket. */
  attemptUpgrade(options: UpgradeOptions = {}): Promise<HttpAnswer> {
    return upgradeOver(this.#http, options.path ?? "/responses", { key: this.#setup.key, ...options });
  }

  /** One request over HTTP; the path is below the base URL. */
  request(method: string, path: string, options: HttpOptions = {}): Promise<HttpAnswer> {
    return requestOver(this.#http, method, path, { key: this.#setup.key, ...options });
  }

  /** Creates a response over HTTP. */
  post(fields: Json, options: HttpOptions = {}): Promise<HttpAnswer> {
    return this.request("POST", "/responses", { json: { model: this.model, ...fields }, ...options });
  }

  /** Creates a response over HTTP that has to succeed. */
  async posted(fields: Json, options: HttpOptions = {}): Promise<HttpAnswer> {
    const answer = await this.post(fields, options);
    demand(answer.status === 200, "A request over HTTP that should succeed did not.", {
      expected: 200,
      got: `${answer.status} ${answer.text}`,
    });
    return answer;
  }

  /** Skips the case where the server does not offer something. */
  async requires(feature: Feature): Promise<void> {
    const probed = await this.#probe(feature);
    if (probed === true) return;
    const why = probed === false ? "" : `: the probe failed: ${probed}`;
    skip(`the server does not offer ${feature.what}${why}`);
  }

  async offers(feature: Feature): Promise<boolean> {
    return (await this.#probe(feature)) === true;
  }

  /** Asked once. A server that breaks the probe does not offer the feature; the reason says what it did. */
  async #probe(feature: Feature): Promise<boolean | string> {
    const probe = async (trial: Trial): Promise<boolean | string> => {
      try {
        return await feature.isOffered(trial);
      } catch (error) {
        if (error instanceof Violation) return error.got === null ? error.message : `${error.message} (${error.got})`;
        throw error;
      }
    };
    return (await this.#once(feature, probe)).value;
  }

  /** What was recorded once for all cases; its frames become part of this case's transcript. */
  async recording<T>(recording: Recording<T>): Promise<T> {
    const { value, transcript } = await this.#once(recording, (trial) => recording.make(trial));
    this.transcript.include(transcript);
    return value;
  }

  note(text: string): void {
    this.transcript.note("case", text);
  }

  close(): void {
    for (const socket of this.#sockets) socket.cut();
  }

  get #http(): { target: Target; timeoutMs: number; transcript: Transcript } {
    const { target, timeoutMs } = this.#setup;
    return { target, timeoutMs, transcript: this.transcript };
  }

  #once<T>(key: object, make: (trial: Trial) => Promise<T>): Promise<Once<T>> {
    const known = this.#setup.once.get(key);
    if (known !== undefined) return known as Promise<Once<T>>;
    const made = this.#make(make);
    this.#setup.once.set(key, made);
    return made;
  }

  async #make<T>(make: (trial: Trial) => Promise<T>): Promise<Once<T>> {
    const trial = new Trial(this.#setup);
    try {
      return { value: await make(trial), transcript: trial.transcript };
    } catch (error) {
      this.transcript.include(trial.transcript);
      throw error;
    } finally {
      trial.close();
    }
  }
}
