import { ApiError } from "../protocol/errors.ts";
import type { CreateRequest } from "../protocol/request.ts";
import type { Models, Permit } from "./ports.ts";

/** How many names an error tells. */
const MOST_NAMES = 20;

/**
 * The request with the model that it leaves out: the one that stands in for unknown names, or the only one that is served.
 * @throws ApiError `missing_required_parameter`
 */
export async function withModel(
  request: CreateRequest,
  models: Models,
  permit: Pick<Permit, "allowsModel"> | undefined,
): Promise<CreateRequest> {
  if (request.model !== "") return request;
  const { fallback = null } = models;
  const listed = fallback === null ? await models.list().catch((): readonly string[] => []) : [fallback];
  const names = listed.filter((name) => permit?.allowsModel(name) ?? true);
  const [only] = names;
  if (only !== undefined && names.length === 1) return { ...request, model: only };
  const known = names.length === 0 ? "" : ` This server has ${names.slice(0, MOST_NAMES).join(", ")}.`;
  throw new ApiError("missing_required_parameter", `Missing required parameter: 'model'.${known}`, { param: "model" });
}
