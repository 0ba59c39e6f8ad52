/**
 * The table: every name and number of the wire, written once. Everything else in the program refers to these rows, and
 * PROTOCOL.md is held against them by a test.
 */

/** What a client may send over WebSocket. */
export const CLIENT_EVENT = {
  create: "response.create",
  steer: "response.steer",
  interrupt: "response.interrupt",
  /** What clients of the Realtime API say for interrupt. */
  cancel: "response.cancel",
  /** Outputs for a response that runs, as OpenAI's multi-agent mode takes them. */
  inject: "response.inject",
  /** Codex, when it has handled a response. */
  processed: "response.processed",
  ping: "ping",
  codexKeepalive: "codex.client.keepalive",
} as const;

/** Client events that need no answer. */
export const IGNORED_CLIENT_EVENTS = [CLIENT_EVENT.processed, CLIENT_EVENT.ping, CLIENT_EVENT.codexKeepalive] as const;

/** What the server sends over SSE and WebSocket. */
export const EVENT = {
  created: "response.created",
  queued: "response.queued",
  inProgress: "response.in_progress",
  completed: "response.completed",
  failed: "response.failed",
  incomplete: "response.incomplete",
  itemAdded: "response.output_item.added",
  itemDone: "response.output_item.done",
  partAdded: "response.content_part.added",
  partDone: "response.content_part.done",
  textDelta: "response.output_text.delta",
  annotationAdded: "response.output_text.annotation.added",
  textDone: "response.output_text.done",
  refusalDelta: "response.refusal.delta",
  refusalDone: "response.refusal.done",
  reasoningDelta: "response.reasoning_text.delta",
  reasoningDone: "response.reasoning_text.done",
  summaryPartAdded: "response.reasoning_summary_part.added",
  summaryPartDone: "response.reasoning_summary_part.done",
  summaryDelta: "response.reasoning_summary_text.delta",
  summaryDone: "response.reasoning_summary_text.done",
  argumentsDelta: "response.function_call_arguments.delta",
  argumentsDone: "response.function_call_arguments.done",
  customInputDelta: "response.custom_tool_call_input.delta",
  customInputDone: "response.custom_tool_call_input.done",
  shellCommandAdded: "response.shell_call_command.added",
  shellCommandDelta: "response.shell_call_command.delta",
  shellCommandDone: "response.shell_call_command.done",
  compacting: "response.compaction.compacting",
  steerAccepted: "response.steer.accepted",
  steerPending: "response.steer.pending",
  steerFailed: "response.steer.failed",
  interruptAccepted: "response.interrupt.accepted",
  interruptFailed: "response.interrupt.failed",
  injectFailed: "response.inject.failed",
  itemInterrupted: "response.output_item.interrupted",
  keepalive: "keepalive",
  error: "error",
} as const;

/** The events that end a turn; exactly one of them is the last event of every turn that had a first one. */
export const TERMINAL_EVENTS = [EVENT.completed, EVENT.failed, EVENT.incomplete] as const;

type ErrorRow = {
  /** The HTTP status, also the `status` of a WebSocket error frame. */
  readonly status: number;
  /** OpenAI's coarse class of the error. */
  readonly type: string;
  /** A code that OpenAI does not define; PROTOCOL.md lists these apart. */
  readonly ours?: true;
};

/** Error codes, with the status and the type that go with each. */
export const ERROR = {
  invalid_json: { status: 400, type: "invalid_request_error" },
  invalid_type: { status: 400, type: "invalid_request_error" },
  invalid_value: { status: 400, type: "invalid_request_error" },
  integer_below_min_value: { status: 400, type: "invalid_request_error" },
  integer_above_max_value: { status: 400, type: "invalid_request_error" },
  decimal_below_min_value: { status: 400, type: "invalid_request_error" },
  decimal_above_max_value: { status: 400, type: "invalid_request_error" },
  missing_required_parameter: { status: 400, type: "invalid_request_error" },
  unknown_parameter: { status: 400, type: "invalid_request_error" },
  unsupported_parameter: { status: 400, type: "invalid_request_error" },
  unsupported_value: { status: 400, type: "invalid_request_error" },
  unsupported_event_type: { status: 400, type: "invalid_request_error", ours: true },
  unsupported_tool: { status: 400, type: "invalid_request_error", ours: true },
  invalid_stream_id: { status: 400, type: "invalid_request_error" },
  websocket_stream_limit_reached: { status: 400, type: "invalid_request_error" },
  websocket_connection_limit_reached: { status: 400, type: "invalid_request_error" },
  previous_response_not_found: { status: 400, type: "invalid_request_error" },
  item_already_in_conversation: { status: 400, type: "invalid_request_error" },
  conversation_locked: { status: 400, type: "invalid_request_error" },
  conversation_full: { status: 400, type: "invalid_request_error", ours: true },
  tool_call_not_found: { status: 400, type: "invalid_request_error", ours: true },
  tool_output_missing: { status: 400, type: "invalid_request_error", ours: true },
  duplicate_item: { status: 400, type: "invalid_request_error", ours: true },
  item_not_found: { status: 404, type: "invalid_request_error", ours: true },
  model_not_found: { status: 400, type: "invalid_request_error" },
  context_length_exceeded: { status: 400, type: "invalid_request_error" },
  invalid_prompt: { status: 400, type: "invalid_request_error" },
  invalid_api_key: { status: 401, type: "invalid_request_error" },
  not_found: { status: 404, type: "invalid_request_error", ours: true },
  method_not_allowed: { status: 405, type: "invalid_request_error", ours: true },
  request_too_large: { status: 413, type: "invalid_request_error", ours: true },
  request_timeout: { status: 408, type: "invalid_request_error", ours: true },
  unsupported_media_type: { status: 415, type: "invalid_request_error", ours: true },
  idempotency_key_in_use: { status: 409, type: "invalid_request_error", ours: true },
  idempotency_key_reused: { status: 422, type: "invalid_request_error", ours: true },
  too_many_runs: { status: 429, type: "rate_limit_error", ours: true },
  too_many_turns: { status: 429, type: "rate_limit_error", ours: true },
  too_many_queued_turns: { status: 429, type: "rate_limit_error", ours: true },
  rate_limit_exceeded: { status: 429, type: "rate_limit_error" },
  insufficient_quota: { status: 429, type: "insufficient_quota" },
  tenant_memory_exceeded: { status: 429, type: "rate_limit_error", ours: true },
  server_memory_exceeded: { status: 429, type: "rate_limit_error", ours: true },
  tenant_storage_exceeded: { status: 403, type: "invalid_request_error", ours: true },
  server_storage_exceeded: { status: 507, type: "server_error", ours: true },
  request_memory_exceeded: { status: 413, type: "invalid_request_error", ours: true },
  server_error: { status: 500, type: "server_error" },
  server_overloaded: { status: 429, type: "rate_limit_error", ours: true },
  too_many_connections: { status: 503, type: "server_error", ours: true },
  host_not_allowed: { status: 403, type: "invalid_request_error", ours: true },
  origin_not_allowed: { status: 403, type: "invalid_request_error", ours: true },
  websocket_disabled: { status: 426, type: "invalid_request_error", ours: true },
  request_headers_too_large: { status: 431, type: "invalid_request_error", ours: true },
  upstream_unavailable: { status: 502, type: "server_error", ours: true },
  store_unavailable: { status: 503, type: "server_error", ours: true },
  server_shutting_down: { status: 503, type: "server_error", ours: true },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERROR;

/** Errors that OpenAI sends without a code over HTTP: clients tell them by their message. The log has the code. */
export const SENT_WITHOUT_CODE: ReadonlySet<ErrorCode> = new Set([
  "tool_call_not_found",
  "tool_output_missing",
  "item_not_found",
]);

type CloseRow = { readonly code: number; readonly reason: string };

/** Why the server ends a WebSocket connection. An error that only concerns one turn never closes it. */
export const CLOSE = {
  server_restart: { code: 1012, reason: "server is restarting" },
  invalid_frame: { code: 1002, reason: "this is not a valid WebSocket frame" },
  binary_message: { code: 1003, reason: "binary messages are not supported" },
  invalid_utf8: { code: 1007, reason: "text messages must be UTF-8" },
  message_too_big: { code: 1009, reason: "message is larger than the limit" },
  internal_error: { code: 1011, reason: "internal error" },
  connection_limit: { code: 1001, reason: "connection reached its age limit" },
  key_not_valid: { code: 1008, reason: "the API key is not valid any more" },
  too_many_errors: { code: 1008, reason: "too many protocol errors in a row" },
  dead_peer: { code: 1011, reason: "keepalive ping timeout" },
  overloaded: { code: 1013, reason: "server is overloaded" },
  slow_message: { code: 1008, reason: "a message took too long to arrive" },
  memory_exceeded: { code: 1013, reason: "memory budget is used up" },
  slow_client: { code: 1013, reason: "client reads too slowly" },
} as const satisfies Record<string, CloseRow>;

export type CloseReason = keyof typeof CLOSE;

/** What a client may ask to be shown besides; of these this server has log probabilities. */
export const INCLUDE = [
  "file_search_call.results",
  "web_search_call.results",
  "web_search_call.action.sources",
  "message.input_image.image_url",
  "computer_call_output.output.image_url",
  "code_interpreter_call.outputs",
  "reasoning.encrypted_content",
  "message.output_text.logprobs",
] as const;

/** Why a response may end incomplete. */
export const INCOMPLETE = ["max_output_tokens", "content_filter", "steered", "interrupted"] as const;

export type IncompleteReason = (typeof INCOMPLETE)[number];

/** Why steering input was not taken, or could not be applied. */
export const STEER_ERROR = [
  "response_not_found",
  "invalid_input",
  "steering_not_supported",
  "too_many_pending_steers",
  "response_already_completed",
  "response_not_active",
  "successor_creation_failed",
] as const;

export type SteerErrorCode = (typeof STEER_ERROR)[number];

/** Why input for a running response was not taken. */
export const INJECT_ERROR = ["response_not_found", "response_already_completed", "invalid_input"] as const;

export type InjectErrorCode = (typeof INJECT_ERROR)[number];

/** Why an interrupt was not obeyed. */
export const INTERRUPT_ERROR = ["interrupt_not_supported"] as const;
