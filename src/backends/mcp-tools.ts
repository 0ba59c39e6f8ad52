import { unsupportedTool } from "../protocol/errors.ts";
import type { Tool } from "../protocol/tools.ts";

/** What becomes of a tool of the kind `mcp`: somebody chose that server for this request, and nothing here can reach it. */
export type McpTools = "refuse" | "omit";

/** @throws ApiError `unsupported_tool` */
export function checkMcp(tools: readonly Tool[], policy: McpTools): void {
  const index = policy === "omit" ? -1 : tools.findIndex(({ type }) => type === "mcp");
  if (index !== -1) throw unsupportedTool("mcp", `tools[${index}]`);
}
