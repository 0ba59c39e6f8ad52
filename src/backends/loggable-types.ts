/** Names of tools and items as a log may show them: those of the API; any other is the client's own word. */

const HOSTED = [
  "web_search",
  "web_search_preview",
  "file_search",
  "computer",
  "computer_use",
  "computer_use_preview",
  "code_interpreter",
  "image_generation",
  "image_gen",
  "mcp",
  "mcp_list_tools",
  "mcp_approval_request",
  "mcp_approval_response",
  "local_shell",
  "shell",
  "apply_patch",
  "tool_search",
  "program",
  "item_reference",
  "reasoning",
  "message",
] as const;

const KNOWN: ReadonlySet<string> = new Set(
  HOSTED.flatMap((name) => [name, `${name}_call`, `${name}_call_output`, `${name}_output`]),
);

/** The types, each once, with those that are not the API's under one name. */
export function loggableTypes(types: readonly string[]): readonly string[] {
  const shown = types.map((type) => (KNOWN.has(type.replace(/_\d{4}_\d{2}_\d{2}$|_\d{8}$/, "")) ? type : "(another)"));
  return [...new Set(shown)];
}
