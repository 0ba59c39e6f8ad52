/**
 * What the official SDKs have and this server does not, on purpose: names and reasons. A newer SDK that has a name which is
 * neither ours nor in here fails a test, for Node by its types (`test/types/left-out.test-d.ts`) and for Python by its models.
 */

const HOSTED = "a hosted tool's, and this server runs none";
const AUDIO = "no endpoint of the Responses API that this server offers makes audio";

export const LEFT_OUT = {
  /** Keys of a response. */
  response: {
    output_text: "put together by the SDK",
    image: "a setting of image generation, which is a hosted tool",
    input_transformations: "this server shows the model what the client sent",
    prompt: "there are no prompt templates",
    prompt_cache_diagnostics: "the cache is the model server's, which does not say",
    prompt_cache_options: "not shown; OpenAI's snapshots have it only where it was asked for",
  },
  usage: {},
  inputTokens: { cache_write_tokens_details: "no model server says how long it keeps what it has cached" },
  /** Events. */
  events: {
    "response.audio.delta": AUDIO,
    "response.audio.done": AUDIO,
    "response.audio.transcript.delta": AUDIO,
    "response.audio.transcript.done": AUDIO,
    "response.code_interpreter_call_code.delta": HOSTED,
    "response.code_interpreter_call_code.done": HOSTED,
    "response.code_interpreter_call.completed": HOSTED,
    "response.code_interpreter_call.in_progress": HOSTED,
    "response.code_interpreter_call.interpreting": HOSTED,
    "response.file_search_call.completed": HOSTED,
    "response.file_search_call.in_progress": HOSTED,
    "response.file_search_call.searching": HOSTED,
    "response.image_generation_call.completed": HOSTED,
    "response.image_generation_call.generating": HOSTED,
    "response.image_generation_call.in_progress": HOSTED,
    "response.image_generation_call.partial_image": HOSTED,
    "response.mcp_call_arguments.delta": HOSTED,
    "response.mcp_call_arguments.done": HOSTED,
    "response.mcp_call.completed": HOSTED,
    "response.mcp_call.failed": HOSTED,
    "response.mcp_call.in_progress": HOSTED,
    "response.mcp_list_tools.completed": HOSTED,
    "response.mcp_list_tools.failed": HOSTED,
    "response.mcp_list_tools.in_progress": HOSTED,
    "response.shell_call_output_content.delta": "of a shell that OpenAI runs; here the client runs it",
    "response.shell_call_output_content.done": "of a shell that OpenAI runs; here the client runs it",
    "response.web_search_call.completed": HOSTED,
    "response.web_search_call.in_progress": HOSTED,
    "response.web_search_call.searching": HOSTED,
  },
  /** Fields of events that this server has. */
  fields: {
    "response.reasoning_summary_part.done.status": "only of a part that is cut off, and absent otherwise",
  },
  /** Fields of the items that the model makes. */
  message: {},
  functionCall: { caller: "programmatic tool calling is a hosted tool's" },
  customCall: { caller: "programmatic tool calling is a hosted tool's" },
  reasoning: { status: "OpenAI's reasoning items have none, whatever the type allows" },
} as const;
