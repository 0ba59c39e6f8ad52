import type { Group } from "../case.ts";
import { KEYS } from "../features.ts";
import { SAY_OK } from "../prompts.ts";
import type { Trial } from "../trial.ts";
import { demand, same, skip } from "../violation.ts";
import { errorOf } from "../wire.ts";

const CODEX_HEADERS = {
  "openai-beta": "responses_websockets=2026-02-06",
  "x-client-request-id": "00000000-0000-4000-8000-000000000000",
  "session-id": "00000000-0000-4000-8000-000000000001",
  originator: "codex_cli_rs",
};

/** How a connection begins: the upgrade, who is let in, and what is said before anything was asked. */
export const HANDSHAKE: Group = {
  name: "handshake",
  title: "the upgrade, its headers, and who is let in",
  cases: [
    {
      id: "handshake.upgrade",
      level: "must",
      title: "GET /responses with an upgrade is answered by 101, at the path where POST creates responses.",
      rule: "W1",
      from: "OpenAI WebSocket guide; Open Responses, WebSocket",
      mend: "Accept WebSocket upgrades at the very path of POST /v1/responses.",
      run: async (trial) => {
        const { status, headers } = await trial.attemptUpgrade();
        same(status, 101, "The status of the upgrade");
        // The key of the request is the sample of RFC 6455, so the answer is known.
        same(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "sec-websocket-accept");
      },
    },
    {
      id: "handshake.plain-client",
      level: "must",
      title: "A client that offers no subprotocol and no compression is accepted, and gets neither.",
      rule: "W1",
      from: "openai-node sends neither; RFC 6455 §4.1",
      mend: "Do not demand a subprotocol or a beta header, and answer only extensions that were offered.",
      run: async (trial) => {
        const { status, headers } = await trial.upgrade();
        same(status, 101, "The status of the upgrade");
        for (const name of ["sec-websocket-protocol", "sec-websocket-extensions"]) {
          demand(headers[name] === undefined, `The 101 has a '${name}' that was not offered.`, { got: headers[name] });
        }
      },
    },
    {
      id: "handshake.client-headers",
      level: "must",
      title: "Headers that known clients add, such as OpenAI-Beta, are accepted and a turn works.",
      rule: "W1",
      from: "Codex sends them; the platform does not need them",
      mend: "Ignore request headers that you have no use for, instead of refusing or requiring them.",
      run: async (trial) => {
        const socket = await trial.connect({ headers: CODEX_HEADERS });
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
    {
      id: "handshake.query",
      level: "should",
      title: "Query parameters that the server does not know are ignored.",
      rule: "W1",
      from: "clients and gateways add api-version or model",
      mend: "Match the path of the upgrade without its query.",
      run: async (trial) => {
        const { status } = await trial.upgrade({ path: "/responses?api-version=preview&trace=1" });
        same(status, 101, "The status of an upgrade with a query");
      },
    },
    {
      id: "handshake.compression-offer",
      level: "must",
      title: "A client that offers permessage-deflate can work, whether or not the server takes the offer.",
      rule: "W1",
      from: "Codex offers it; RFC 7692",
      mend: "Decline the extension by leaving it out of the 101, or implement it; never fail the handshake over it.",
      run: async (trial) => {
        const socket = await trial.connect({ deflate: true });
        await socket.completed({ input: SAY_OK, store: false });
        await socket.completed({ input: SAY_OK, store: false });
      },
    },
    {
      id: "handshake.silent",
      level: "must",
      title: "After the 101 the server says nothing until the client has.",
      rule: "W2",
      from: "OpenAI WebSocket guide; Codex probes connections this way",
      mend: "Send no greeting: there is no session.created in the Responses API.",
      run: async (trial) => {
        const socket = await trial.connect();
        await socket.ping();
        await socket.ping();
        same(socket.messages, [], "What the server sent before the client said anything");
      },
    },
    {
      id: "handshake.missing-key",
      level: "must",
      title: "An upgrade without a key is refused by an HTTP answer of 401, not accepted and then closed.",
      rule: "A1",
      from: "OpenAI; Codex reconnects five times when it is accepted first",
      mend: "Check the key before the 101, and answer the request with 401 and an error body.",
      run: async (trial) => {
        await trial.requires(KEYS);
        same((await trial.upgrade({ key: null })).status, 401, "The status of an upgrade without a key");
      },
    },
    {
      id: "handshake.wrong-key",
      level: "must",
      title: "An upgrade with a wrong key is refused by an HTTP answer of 401.",
      rule: "A1",
      from: "OpenAI",
      mend: "Check the key before the 101, and answer the request with 401 and an error body.",
      run: async (trial) => {
        await trial.requires(KEYS);
        const wrong = [`${trial.key ?? ""}x`, "sk-conformance-wrong"];
        for (const key of wrong) same((await trial.upgrade({ key })).status, 401, "The status with a wrong key");
        const basic = { authorization: `Basic ${trial.key ?? ""}` };
        const { status } = await trial.upgrade({ key: null, headers: basic });
        demand(status !== 101, "The key was taken although it was not shown as a bearer token.", { got: status });
      },
    },
    {
      id: "handshake.refusal-body",
      level: "should",
      title: "A refused upgrade has the error body of the API: error with message, type, param and code.",
      rule: "W3",
      from: "OpenAI; Codex shows it to its user",
      mend: "Write the same JSON error body on a refused upgrade as on a refused POST.",
      run: async (trial) => {
        await trial.requires(KEYS);
        const answer = await trial.upgrade({ key: null });
        const error = errorOf(answer.json, "The body of the refusal");
        same(Object.keys(error).toSorted(), ["code", "message", "param", "type"], "The keys of the error");
      },
    },
    {
      id: "handshake.same-door",
      level: "must",
      title: "POST wants the same key as the upgrade does.",
      rule: "A1",
      from: "OpenAI",
      mend: "Check keys in one place for both transports.",
      run: async (trial) => {
        await trial.requires(KEYS);
        for (const key of [null, "sk-conformance-wrong"]) {
          const { status } = await trial.post({ input: SAY_OK }, { key });
          same(status, 401, key === null ? "The status of POST without a key" : "The status of POST with a wrong key");
        }
      },
    },
    {
      id: "handshake.other-path",
      level: "must",
      title: "An upgrade at a path that does not exist is refused by an HTTP answer of 4xx.",
      rule: "W3",
      from: "HTTP",
      mend: "Answer upgrades at unknown paths with 404 instead of accepting them or dropping the connection.",
      run: async (trial) => {
        const { status } = await trial.upgrade({ path: "/conformance/nowhere" });
        demand(status >= 400 && status < 500, "An upgrade at an unknown path was not refused.", {
          expected: "a status of 4xx",
          got: status,
        });
      },
    },
    {
      id: "handshake.no-upgrade",
      level: "should",
      title: "GET /responses without an upgrade is answered by 4xx at once.",
      rule: "H6",
      from: "HTTP",
      mend: "Answer a plain GET of the path with 404, 405 or 426 instead of letting it wait.",
      run: async (trial) => {
        const { status } = await trial.request("GET", "/responses");
        demand(status >= 400 && status < 500, "A plain GET was not refused.", {
          expected: "a status of 4xx",
          got: status,
        });
      },
    },
    {
      id: "handshake.request-id",
      level: "should",
      title: "The 101 and refusals have an x-request-id.",
      rule: "H6",
      from: "OpenAI over HTTP",
      mend: "Put an x-request-id on the answer to every upgrade: it is what a user can quote to an operator.",
      run: async (trial) => {
        for (const path of ["/responses", "/conformance/nowhere"]) {
          const { headers, status } = await trial.upgrade({ path });
          demand((headers["x-request-id"] ?? "") !== "", `The ${status} has no x-request-id.`, { got: headers });
        }
      },
    },
    {
      id: "handshake.foreign-page",
      level: "should",
      title: "A server that wants no key refuses upgrades that come from web pages of other sites.",
      rule: "W3",
      from: "cross-site WebSocket hijacking",
      mend: "Compare Origin with Host on an upgrade that shows no key, and answer 403 when they differ.",
      run: async (trial) => {
        if (await trial.offers(KEYS)) return wantsKey(trial);
        const { status } = await trial.upgrade({ headers: { origin: "https://evil.example" } });
        demand(status >= 400 && status < 500, "A page of another site may connect.", { expected: 403, got: status });
      },
    },
  ],
};

/** Where a key is wanted, a page has none that a browser would send by itself: only cookies could be the trouble. */
async function wantsKey(trial: Trial): Promise<void> {
  const headers = { origin: "https://evil.example", cookie: `token=${trial.key ?? skip("no key was given")}` };
  const { status } = await trial.upgrade({ key: null, headers });
  demand(status >= 400 && status < 500, "A key in a cookie lets a page of another site in.", {
    expected: 401,
    got: status,
  });
}
