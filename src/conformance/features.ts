import type { Feature } from "./trial.ts";
import { filler, SAY_OK, user } from "./prompts.ts";

/** What a server may offer beyond the core of the protocol. Each is asked for once, the first time that a case needs it. */

export const LANES: Feature = {
  what: "lanes (it does not echo 'stream_id')",
  isOffered: async (trial) => {
    const socket = await trial.connect();
    socket.create({ input: SAY_OK, store: false, stream_id: "probe" });
    const { last } = await socket.rest();
    return last.type === "response.completed" && last["stream_id"] === "probe";
  },
};

export const WARM_UP: Feature = {
  what: "warm-ups ('generate': false)",
  isOffered: async (trial) => {
    const socket = await trial.connect();
    const { response } = await socket.turn({ input: SAY_OK, store: false, generate: false });
    return response !== null && response.status === "completed" && response.output.length === 0;
  },
};

export const STEER: Feature = {
  what: "steering (it does not answer response.steer)",
  isOffered: async (trial) => {
    const socket = await trial.connect();
    socket.send({ type: "response.steer", previous_response_id: "resp_conformance_unknown", input: "x" });
    // A server that ignores what it does not know answers this instead.
    socket.create({ input: SAY_OK, store: false });
    return (await socket.frame()).type === "response.steer.failed";
  },
};

export const INTERRUPT: Feature = {
  what: "interrupts (it refuses response.interrupt, or ignores whatever it does not know)",
  isOffered: async (trial) => {
    const socket = await trial.connect();
    socket.send({ type: "response.conformance_unknown" });
    socket.send({ type: "response.interrupt", response_id: "resp_conformance_unknown", mode: "discard_partial_items" });
    // An interrupt for a response that does not run is ignored in silence; so something has to be asked that is answered.
    socket.create({ input: SAY_OK, store: false });
    const unknown = await socket.frame().catch(() => null);
    return unknown?.type === "error" && (await socket.frame()).type === "response.created";
  },
};

/** GET /responses/{id}. */
export const RETRIEVAL: Feature = {
  what: "stored responses over GET /responses/{id}",
  isOffered: async (trial) => {
    const socket = await trial.connect();
    const { id } = await socket.completed({ input: SAY_OK, store: true });
    return (await trial.request("GET", `/responses/${id}`)).status === 200;
  },
};

/** POST /responses/input_tokens. */
export const TOKEN_COUNTS: Feature = {
  what: "counts over POST /responses/input_tokens",
  isOffered: async (trial) => {
    const json = { model: trial.model, input: SAY_OK };
    return (await trial.request("POST", "/responses/input_tokens", { json })).status === 200;
  },
};

/** POST /responses/compact. */
export const COMPACTION: Feature = {
  what: "compaction over POST /responses/compact",
  isOffered: async (trial) => {
    const json = { model: trial.model, input: SAY_OK };
    return (await trial.request("POST", "/responses/compact", { json })).status === 200;
  },
};

export const COMPACTION_TRIGGER: Feature = {
  what: "compaction by 'compaction_trigger' (it does not answer with a compaction item)",
  isOffered: async (trial) => {
    const socket = await trial.connect();
    const { response } = await socket.turn({ input: [user(SAY_OK), { type: "compaction_trigger" }], store: false });
    return response?.output.some(({ type }) => type === "compaction") === true;
  },
};

export const CONTEXT_MANAGEMENT: Feature = {
  what: "compaction on the way ('context_management')",
  isOffered: async (trial) => {
    const socket = await trial.connect();
    const said = { type: "message", role: "assistant", content: [{ type: "output_text", text: filler(1500) }] };
    const { response } = await socket.turn({
      input: [user(SAY_OK), said, user(SAY_OK)],
      store: false,
      context_management: [{ type: "compaction", compact_threshold: 1000 }],
    });
    return response?.output.some(({ type }) => type === "compaction") === true;
  },
};

/** POST /responses with 'background': true. */
export const BACKGROUND: Feature = {
  what: "background responses ('background': true)",
  isOffered: async (trial) => {
    const answer = await trial.post({ input: SAY_OK, background: true });
    return answer.status === 200 && answer.json["background"] === true;
  },
};

/** POST /conversations. */
export const CONVERSATIONS: Feature = {
  what: "conversations (POST /conversations)",
  isOffered: async (trial) => (await trial.request("POST", "/conversations", { json: {} })).status === 200,
};

/** Whether the server wants a key at all: one that does not cannot refuse a wrong one. */
export const KEYS: Feature = {
  what: "access by key only (it accepts clients without a key)",
  isOffered: async (trial) => {
    if (!trial.hasSocket) return [401, 403].includes((await trial.post({ input: SAY_OK }, { key: null })).status);
    const { status } = await trial.upgrade({ key: null });
    if (status === 101 || trial.key === null) return status === 401 || status === 403;
    // Only a server that accepts the key refuses its absence.
    return status === 401 || status === 403 || (await trial.upgrade()).status === 101;
  },
};
