import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";

type Json = { readonly [field: string]: unknown };
type Stored = { readonly tenant: string; readonly context: string; readonly items: ReadonlyMap<string, string> };

/** In what the small server differs from one that does everything right. */
export type Habits = {
  /** Not there at all: the upgrade is answered with this status. */
  readonly webSocket?: false;
  /** Looks parents up among the responses of all tenants. */
  readonly sharesResponses?: true;
  /** Takes a parent that it does not find for none. */
  readonly ignoresMissingParents?: true;
  /** Looks item references up among the items of all tenants. */
  readonly sharesItems?: true;
  /** Leaves out references that it cannot resolve, instead of refusing them. */
  readonly ignoresMissingItems?: true;
  /** Every error names the request that it is for. */
  readonly namesRequests?: true;
  /** Fields that its responses lack. */
  readonly lacks?: readonly string[];
  /** Tells every client that it is the first. */
  readonly mixesClients?: true;
  /** What a warm-up reports as tokens of output. */
  readonly warmUpOutput?: number;
  /** Bodies that are longer are refused with this status. */
  readonly bodyLimit?: { readonly bytes: number; readonly status: number };
  /** How the error for an unknown model begins; null serves any model. */
  readonly unknownModel?: string | null;
  /** Events for which it cuts the connection. */
  readonly hangsUpAt?: (event: Json) => boolean;
};

const TENANTS: { readonly [key: string]: string } = { "key-one": "one", "key-two": "two" };

/** A small server of the protocol, right as far as its tests look; none of its code is ours. */
export async function startSmallServer(habits: Habits = {}): Promise<string> {
  const stored = new Map<string, Stored>();
  const server = createServer((request, response) => {
    serveHttp(request, response, { habits, stored }).catch((error: unknown) => response.destroy(error as Error));
  });
  const sockets = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    const tenant = tenantOf(request);
    if (habits.webSocket === false || tenant === null || request.url?.split("?")[0] !== "/v1/responses") {
      const status = tenant === null ? "401 Unauthorized" : "404 Not Found";
      socket.end(`HTTP/1.1 ${status}\r\ncontent-length: 9\r\nconnection: close\r\n\r\nNot Found`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (client) => serveSocket(client, { habits, stored, tenant }));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(async () => {
    for (const client of sockets.clients) client.terminate();
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

type State = { readonly habits: Habits; readonly stored: Map<string, Stored> };

function serveSocket(client: WebSocket, state: State & { readonly tenant: string }): void {
  // A frame that breaks the protocol ends the connection, which is all that there is to do.
  client.on("error", () => client.terminate());
  client.on("message", (data) => {
    try {
      const event = parse((data as Buffer).toString());
      if (state.habits.hangsUpAt?.(event) === true) return client.terminate();
      const response = respond(event, state);
      client.send(JSON.stringify({ type: "response.created", response: { ...response, status: "in_progress" } }));
      client.send(JSON.stringify({ type: "response.completed", response }));
    } catch (refusal) {
      const { status, error } = refusal as Refusal;
      client.send(JSON.stringify({ type: "error", status, error }));
    }
  });
}

async function serveHttp(request: IncomingMessage, response: ServerResponse, state: State): Promise<void> {
  const { habits } = state;
  const answer = (status: number, body: unknown): void => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  if (request.url === "/v1/models") return answer(200, { data: [{ id: "small" }] });
  const tenant = tenantOf(request);
  if (tenant === null) return answer(401, { error: { message: "no" } });
  if (request.method !== "POST" || request.url !== "/v1/responses") return answer(404, { error: { message: "no" } });
  if (habits.bodyLimit !== undefined && body.length > habits.bodyLimit.bytes) {
    return answer(habits.bodyLimit.status, { error: { message: "request body too large" } });
  }
  try {
    answer(200, respond(parse(body.toString()), { ...state, tenant }));
  } catch (refusal) {
    const { status, error } = refusal as Refusal;
    answer(status, { error });
  }
}

class Refusal extends Error {
  readonly status = 400;
  readonly error: Json;

  constructor(code: string, message: string, param: string) {
    super(message);
    this.error = { type: "invalid_request_error", code, message, param };
  }
}

function parse(text: string): Json {
  try {
    return Object(JSON.parse(text)) as Json;
  } catch {
    throw new Refusal("invalid_json", "This is not JSON.", "body");
  }
}

let serial = 0;

function respond(request: Json, { habits, stored, tenant }: State & { readonly tenant: string }): Json {
  serial += 1;
  const refuse = (code: string, message: string, param: string): never => {
    throw new Refusal(code, habits.namesRequests === true ? `${message} (req_${serial})` : message, param);
  };
  const { model, previous_response_id: parent, input, metadata, generate } = request;
  const says = habits.unknownModel;
  if (model !== "small" && says !== null)
    refuse("model_not_found", says ?? `There is no model '${String(model)}'.`, "model");
  const before = [...stored].find(
    ([id, one]) => id === parent && (one.tenant === tenant || habits.sharesResponses === true),
  )?.[1];
  if (typeof parent === "string" && before === undefined && habits.ignoresMissingParents !== true) {
    refuse("previous_response_not_found", `No response '${parent}'.`, "previous_response_id");
  }
  const seen = [before?.context ?? ""];
  for (const item of Array.isArray(input) ? (input as Json[]) : [{ content: input }]) {
    if (item["type"] !== "item_reference") {
      seen.push(JSON.stringify(item["content"]));
      continue;
    }
    const id = String(item["id"]);
    const found = [...stored.values()].find(
      (one) => one.items.has(id) && (one.tenant === tenant || habits.sharesItems === true),
    );
    if (found !== undefined) seen.push(found.items.get(id) ?? "");
    else if (habits.ignoresMissingItems !== true) refuse("item_not_found", `No item '${id}'.`, "input");
  }
  const context = seen.join("\n");
  const isWarmUp = generate === false;
  const text = isWarmUp ? "" : (/Reply with exactly: ([^"]*)"?$/.exec(context)?.[1] ?? "?");
  const message = { type: "message", id: `msg_${serial}`, role: "assistant", content: [{ type: "output_text", text }] };
  const id = `resp_${serial}`;
  stored.set(id, { tenant, context: `${context}\n${text}`, items: new Map([[message.id, text]]) });
  const input_tokens = context.split(/\s+/).length;
  const output_tokens = isWarmUp ? (habits.warmUpOutput ?? 0) : text.split(/\s+/).length;
  const response = {
    id,
    object: "response",
    status: "completed",
    model,
    metadata: habits.mixesClients === true ? { client: "0" } : (metadata ?? {}),
    output: isWarmUp ? [] : [message],
    usage: { input_tokens, output_tokens, total_tokens: input_tokens + output_tokens },
  };
  return Object.fromEntries(Object.entries(response).filter(([name]) => habits.lacks?.includes(name) !== true));
}

function tenantOf({ headers }: IncomingMessage): string | null {
  return TENANTS[headers.authorization?.replace("Bearer ", "") ?? ""] ?? null;
}
