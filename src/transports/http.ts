import { createServer, type Server, STATUS_CODES } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { MemoryLease } from "../core/budget.ts";
import type { Permit, Tenant } from "../core/ports.ts";
import { ApiError, errorBody, retryHeaders, toApiError } from "../protocol/errors.ts";
import { canonicalUrl } from "./canonical-url.ts";
import { compact } from "./compact.ts";
import { decoderOf, tooLarge, unpack } from "./body-encoding.ts";
import type { TransportContext } from "./context.ts";
import { allowOrigins } from "./cross-origin.ts";
import { serveConversations } from "./conversations.ts";
import { countInputTokens } from "./input-tokens.ts";
import type { TransportLimits } from "./limits.ts";
import { ModelList } from "./model-list.ts";
import { Page } from "./page.ts";
import { overloaded } from "./load.ts";
import { JSON_TYPE } from "./json-answer.ts";
import { answerPlainHttp } from "./plain-on-tls.ts";
import { reportRefusal, routeOf, who } from "./report.ts";
import { leaseOf, metered, pieceBytes } from "./request-memory.ts";
import { createResponse, RESPONSES_PATHS } from "./responses.ts";
import { serveStored } from "./retrieval.ts";
import { type Handler, resource, unknownRoute } from "./routes.ts";

export type Tls = { readonly cert: string | Buffer; readonly key: string | Buffer };

/** The node server: its time limits, and TLS where there is a certificate. */
export function createNodeServer(limits: TransportLimits, tls: Tls | undefined): Server {
  const options = {
    headersTimeout: limits.requestHeaderMs,
    requestTimeout: limits.requestMs,
    // How late a request that takes too long may be noticed.
    connectionsCheckingInterval: Math.min(30_000, limits.requestHeaderMs),
    keepAliveTimeout: limits.keepAliveMs,
    maxHeaderSize: limits.maxHeaderBytes,
    // An upgrade to anything else is declined by answering the request as the plain one that it also is.
    shouldUpgradeCallback: (request: { readonly headers: { readonly upgrade?: string | undefined } }) =>
      request.headers.upgrade?.toLowerCase() === "websocket",
  };
  if (tls === undefined) return createServer(options);
  const server = createTlsServer({ ...options, ...tls });
  answerPlainHttp(server);
  return server;
}

/** The routes over HTTP. Every answer carries an id, and every error is an envelope of the protocol's. */
export function createHttpApp(context: TransportContext, server: Server): FastifyInstance {
  const { engine, runtime, limits, load, isDraining, access, door, policy, version, isTemporary } = context;
  const models = new ModelList(context);
  const page = new Page(context, models);
  const fail = (thrown: unknown, request: FastifyRequest, reply: FastifyReply): void =>
    answerError(context, thrown, request, reply);

  const app: FastifyInstance = fastify({
    serverFactory: (handler) => server.on("request", handler),
    genReqId: () => runtime.newId("request"),
    bodyLimit: limits.maxMessageBytes,
    rewriteUrl: ({ url = "/" }) => canonicalUrl(url),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 1000 },
    frameworkErrors: fail,
    clientErrorHandler: (error, socket) => answerBrokenRequest(context, error, socket),
  });
  app.setErrorHandler(fail);
  app.setNotFoundHandler(unknownRoute);
  app.addHook("onRequest", async (request, reply) => {
    reply.header("x-request-id", request.id);
    if (isDraining()) reply.header("connection", "close");
    checkUrl(request.url, limits);
    await door.checkHost(request.raw);
  });
  allowOrigins(app, policy);
  // A body is read as bytes, so that its size is known, and decoded where its meaning is.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, async (_request: unknown, body: unknown) => body);

  route(app, "GET", "/", async (request, reply) => page.answer(request, reply));
  // The second name is what other servers call it, and their clients wait for.
  for (const path of ["/healthz", "/health"]) {
    route(app, "GET", path, async () => ({
      status: "ok",
      server: "turnwire",
      version,
      ...(isTemporary && { temporary: true }),
    }));
  }
  route(app, "GET", "/readyz", async (_request, reply) => {
    const status = isDraining() ? "draining" : await storeStatus(context);
    if (status !== "ready") reply.code(503);
    return { status };
  });

  const guarded = (api: FastifyInstance): void => {
    api.decorateRequest("tenant", "");
    api.decorateRequest("permit");
    api.decorateRequest("lease");
    api.addHook("onRequest", async (request, reply) => {
      await door.checkSite(request.raw);
      const permit = await access.authenticate(request.headers.authorization, request.ip);
      request.setDecorator<Permit>("permit", permit);
      request.setDecorator<Tenant>("tenant", permit.tenant);
      const lease = context.engine.memory.of(permit.tenant).open();
      request.setDecorator<MemoryLease>("lease", lease);
      reply.raw.once("close", () => lease.release());
      decoderOf(request.headers["content-encoding"]);
    });
    api.addHook("preParsing", async (request) => {
      const decoder = decoderOf(request.headers["content-encoding"]);
      const lease = leaseOf(request);
      if (decoder !== null) {
        return unpack(request.raw, decoder, limits.maxMessageBytes, (piece) => lease.grow(pieceBytes(piece)));
      }
      return metered(request, lease);
    });
  };
  app.register(async (api) => {
    guarded(api);
    api.addHook("onRequest", async (request) => {
      if (load.isOverloaded) throw overloaded(limits);
      engine.checkRoom(request.getDecorator<Tenant>("tenant"));
    });
    for (const path of RESPONSES_PATHS) {
      route(api, "POST", path, async (request, reply) =>
        createResponse(context, request.getDecorator<Permit>("permit"), request, reply),
      );
      route(api, "POST", `${path}/compact`, async (request, reply) =>
        compact(context, request.getDecorator<Permit>("permit"), request, reply),
      );
      route(api, "POST", `${path}/input_tokens`, async (request, reply) =>
        countInputTokens(context, request.getDecorator<Permit>("permit"), request, reply),
      );
    }
  });
  app.register(async (api) => {
    guarded(api);
    for (const path of RESPONSES_PATHS) serveStored(api, path, context);
  });
  app.register(
    async (api) => {
      guarded(api);
      // In here, so that the hook above runs for unknown routes too.
      api.setNotFoundHandler(unknownRoute);
      serveConversations(api, context);
      refuseOtherApis(api);
      route(api, "GET", "/models", async (request) =>
        models.list(request.getDecorator<Permit>("permit"), request.query),
      );
      // Names of models have slashes, which some clients encode and others do not.
      route(api, "GET", "/models/*", async (request) =>
        models.get((request.params as { readonly "*": string })["*"], request.getDecorator<Permit>("permit")),
      );
    },
    { prefix: "/v1" },
  );
  return app;
}

/** How long a load balancer waits for what it asks. */
const PROBE_MS = 2000;

async function storeStatus({ probe }: TransportContext): Promise<"ready" | "no_store"> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(late.reject, PROBE_MS);
  try {
    await Promise.race([probe(), late.promise]);
    return "ready";
  } catch {
    return "no_store";
  } finally {
    clearTimeout(timer);
  }
}

/** Clients of other APIs hear how they can use this one. */
function refuseOtherApis(api: FastifyInstance): void {
  const refusals = { "/chat/completions": useResponses("Chat Completions"), "/messages": useResponses("Messages") };
  for (const [path, error] of Object.entries(refusals)) {
    route(api, "POST", path, async () => {
      throw error;
    });
  }
}

function useResponses(name: string): ApiError {
  const message =
    `This server does not speak the ${name} API; it speaks the Responses API, at POST /v1/responses. Switch your client to it: ` +
    "client.responses.create() in OpenAI's SDKs, openai.responses(model) in the AI SDK, use_responses_api=True in LangChain, " +
    'OpenAIResponsesModel in Pydantic AI, openai/responses/<model> in LiteLLM, wire_api = "responses" in Codex.';
  return new ApiError("not_found", message);
}

/** @throws ApiError `request_headers_too_large` */
export function checkUrl(url: string, { maxUrlLength }: Pick<TransportLimits, "maxUrlLength">): void {
  if (url.length <= maxUrlLength) return;
  const message = `The URL of a request may have at most ${maxUrlLength} characters.`;
  throw new ApiError("request_headers_too_large", message);
}

function route(app: FastifyInstance, method: "GET" | "POST", url: string, handler: Handler): void {
  resource(app, url, { [method]: handler });
}

function answerError(context: TransportContext, thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  // A client that drops its upload fails the reading of it, and is not there to hear of that.
  if (!request.raw.complete && request.raw.destroyed) {
    reply.raw.destroy();
    return;
  }
  const error = explain(thrown, context.limits);
  const permit = (request as { readonly permit?: Permit | null }).permit ?? null;
  const route = routeOf({ method: request.method, url: request.url });
  reportRefusal(context.report, error, { what: "request", route, ...who("http", request.id, permit) });
  if (reply.raw.writableEnded) return;
  if (reply.raw.headersSent) {
    // Half an answer is on its way, and no error can be told in the middle of it.
    reply.raw.destroy();
    return;
  }
  if (error.code === "invalid_api_key") reply.header("www-authenticate", "Bearer");
  reply
    .code(error.status)
    .headers({ "x-request-id": request.id, ...retryHeaders(error) })
    .type(JSON_TYPE)
    .send(JSON.stringify(errorBody(error)));
}

/** What the framework throws, in the protocol's words. */
function explain(thrown: unknown, limits: TransportLimits): ApiError {
  if (thrown instanceof ApiError) return thrown;
  switch (String((thrown as Partial<FastifyError> | null)?.code)) {
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return tooLarge(limits.maxMessageBytes);
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return new ApiError("unsupported_media_type", "The content type of a request must be 'application/json'.");
    case "FST_ERR_CTP_INVALID_CONTENT_LENGTH":
      return new ApiError("invalid_value", "The body of the request is not as long as its 'content-length' says.");
    case "FST_ERR_BAD_URL":
    case "FST_ERR_MAX_PARAM_LENGTH":
      return new ApiError("not_found", "The URL of the request is not valid.");
    default:
      return toApiError(thrown);
  }
}

/** Bytes that are no HTTP request, or not in time; there is no request here that could be answered the usual way. */
function answerBrokenRequest(context: TransportContext, error: NodeJS.ErrnoException, socket: Socket): void {
  const isTooSlow = error.code === "ERR_HTTP_REQUEST_TIMEOUT";
  if (isTooSlow) context.onCut("slow_request");
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const isTooLarge = error.code === "HPE_HEADER_OVERFLOW";
  const { maxHeaderBytes } = context.limits;
  const answer = isTooSlow
    ? new ApiError("request_timeout", "The request did not arrive completely in time.")
    : isTooLarge
      ? new ApiError("request_headers_too_large", `URL and headers may have at most ${maxHeaderBytes} bytes together.`)
      : new ApiError("invalid_value", "This is not a valid HTTP request.");
  const requestId = context.runtime.newId("request");
  reportRefusal(context.report, answer, { what: "request", route: null, ...who("http", requestId, null) });
  const body = JSON.stringify(errorBody(answer));
  socket.once("finish", () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status]}\r\ncontent-type: ${JSON_TYPE}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\nx-request-id: ${requestId}\r\n\r\n${body}`,
  );
}
