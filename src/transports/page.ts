import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { TLSSocket } from "node:tls";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { TransportContext } from "./context.ts";
import type { ModelList } from "./model-list.ts";
import { JSON_TYPE } from "./json-answer.ts";
import { isForeign } from "./origins.ts";
import { snippets } from "./snippets.ts";

const TEMPLATE = readFileSync(new URL("page.html", import.meta.url), "utf8");
const SCRIPT = /<script>([^]*?)<\/script>/.exec(TEMPLATE)?.[1] ?? "";
const POLICY = [
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  "img-src data:",
  `script-src 'sha256-${createHash("sha256").update(SCRIPT).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** What `GET /` answers: a page for whoever opens the server in a browser, and a few words of JSON for everybody else. */
export class Page {
  readonly #context: TransportContext;
  readonly #models: ModelList;

  constructor(context: TransportContext, models: ModelList) {
    this.#context = context;
    this.#models = models;
  }

  async answer(request: FastifyRequest, reply: FastifyReply): Promise<string> {
    const origin = originOf(request);
    reply.header("vary", "accept").header("cache-control", "no-store");
    if (request.headers.accept?.includes("text/html") !== true) {
      reply.type(JSON_TYPE);
      return JSON.stringify({
        name: "turnwire",
        version: this.#context.version,
        status: this.#status(),
        base_url: `${origin}/v1`,
      });
    }
    const needsKey = await this.#context.access.needsKey();
    // Models are named to clients with a key, and the model server is asked for them only.
    const models = needsKey || this.#isEmbedded(request) ? null : await this.#names();
    reply.type("text/html; charset=utf-8").headers({
      "content-security-policy": POLICY,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    });
    return this.#render(origin, models, needsKey);
  }

  /** Whether a page of another site loads this one as a part of itself: then nobody reads it. */
  #isEmbedded({ headers }: FastifyRequest): boolean {
    return headers["sec-fetch-dest"] !== "document" && isForeign(this.#context.policy, headers);
  }

  #status(): "ready" | "draining" {
    return this.#context.isDraining() ? "draining" : "ready";
  }

  /** Null when they cannot be had, or not in time: the page is there all the same. */
  async #names(): Promise<readonly string[] | null> {
    const late = Promise.withResolvers<null>();
    const timer = setTimeout(() => late.resolve(null), this.#context.limits.pageMs);
    try {
      return await Promise.race([this.#models.names(), late.promise]);
    } catch {
      return null;
    } finally {
      clearTimeout(timer);
    }
  }

  #render(origin: string, models: readonly string[] | null, needsKey: boolean): string {
    const blocks = snippets(origin, models?.[0], needsKey);
    const values: Record<string, string> = {
      version: escape(this.#context.version),
      status: this.#status(),
      statusText: this.#status() === "ready" ? "Ready" : "Draining",
      baseUrl: escape(`${origin}/v1`),
      models: modelsHtml(models, needsKey),
      access: needsKey ? "API key required" : "Open: no API key needed",
    };
    for (const [name, text] of Object.entries(blocks)) values[name] = escape(text);
    return TEMPLATE.replace(/\{\{(\w+)\}\}/g, (_match, name: string) => values[name] ?? "");
  }
}

function modelsHtml(models: readonly string[] | null, needsKey: boolean): string {
  if (needsKey) return `<p class="note">Listed at <code>/v1/models</code> for clients with an API key.</p>`;
  if (models === null) return `<p class="note">The models do not answer right now.</p>`;
  if (models.length === 0) return `<p class="note">Any model name is passed on to the backend.</p>`;
  return `<ul class="models">${models.map((name) => `<li>${escape(name)}</li>`).join("")}</ul>`;
}

function escape(text: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? "");
}

/** Where the reader has reached this server. Lines that people paste are made of it, so only a plain host is believed. */
function originOf(request: FastifyRequest): string {
  const { host = "" } = request.headers;
  const isPlain = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i.test(host);
  const socket = request.raw.socket as Partial<TLSSocket>;
  const isTls = socket.encrypted === true || request.headers["x-forwarded-proto"] === "https";
  return `${isTls ? "https" : "http"}://${isPlain ? host : `localhost:${socket.localPort}`}`;
}
