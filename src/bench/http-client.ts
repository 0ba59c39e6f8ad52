import { Agent, type ClientRequest, type IncomingMessage, request as openRequest } from "node:http";
import { gzipSync } from "node:zlib";
import { SseDecoder } from "../protocol/sse-decoder.ts";
import { ChatWatch } from "./chat-watch.ts";
import { apiUrl, responsesUrl, type Target, Wire } from "./target.ts";
import { type BenchClient, BenchError, type TurnResult, TurnWatch, type Watch } from "./turn.ts";

const MAX_EVENT_LENGTH = 256 * 1024 * 1024;

/** Turns over one HTTP connection that is kept alive, with answers as server-sent events. */
export function openHttpClient(target: Target, { compress }: { readonly compress: boolean }): BenchClient {
  return openStreams(target, { url: responsesUrl(target), compress, watch: () => new TurnWatch() });
}

/** The same over chat completions, which has no turns: for a model server with nothing in front of it. */
export function openChatClient(target: Target): BenchClient {
  return openStreams(target, {
    url: apiUrl(target, "chat/completions"),
    compress: false,
    watch: () => new ChatWatch(),
  });
}

function openStreams(
  target: Target,
  { url, compress, watch }: { readonly url: URL; readonly compress: boolean; readonly watch: () => Watch },
): BenchClient {
  const wire = new Wire();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agent.createConnection = () => wire.connect(url);
  return {
    turn: (request) => {
      const text = JSON.stringify(request);
      const body = compress ? gzipSync(text) : Buffer.from(text);
      const headers = httpHeaders(url, target.key, body.length, compress);
      const watching = watch();
      const call = openRequest({
        agent,
        method: "POST",
        host: url.hostname,
        path: url.pathname + url.search,
        headers,
        setHost: false,
      });
      call.end(body);
      return readTurn(call, watching, target);
    },
    bytes: () => wire.bytes(),
    close: () => agent.destroy(),
  };
}

/** The headers of a request: as few as a client may send, so that no figure is padded. */
export function httpHeaders(url: URL, key: string | null, length: number, compress: boolean): readonly string[] {
  const pairs: readonly (readonly [name: string, value: string])[] = [
    ["host", url.host],
    ["connection", "keep-alive"],
    ["accept", "text/event-stream"],
    ...(key === null ? [] : [["authorization", `Bearer ${key}`] as const]),
    ["content-type", "application/json"],
    ...(compress ? [["content-encoding", "gzip"] as const] : []),
    ["content-length", String(length)],
  ];
  return pairs.flat();
}

function readTurn(call: ClientRequest, watch: Watch, target: Target): Promise<TurnResult> {
  return new Promise((resolve, reject) => {
    call.on("error", (error) => reject(new BenchError(`${target.name}: ${error.message}`, { cause: error })));
    call.on("response", (response: IncomingMessage) => {
      if (response.statusCode !== 200) {
        refused(response, target).then(reject, reject);
        return;
      }
      const decoder = new SseDecoder(MAX_EVENT_LENGTH);
      let result: TurnResult | null = null;
      response.on("data", (bytes: Buffer) => {
        try {
          for (const { data } of decoder.push(bytes)) result ??= watch.read(data);
        } catch (error) {
          response.destroy();
          reject(error);
        }
      });
      response.on("error", reject);
      // The connection is free only now; the time of the turn's end was taken with its last event.
      response.on("end", () => {
        if (result === null) reject(new BenchError(`${target.name} ended its answer before the turn was over`));
        else resolve(result);
      });
    });
  });
}

async function refused(response: IncomingMessage, target: Target): Promise<BenchError> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString().slice(0, 300);
  return new BenchError(`${target.name} refused a turn: ${response.statusCode} ${text}`);
}
