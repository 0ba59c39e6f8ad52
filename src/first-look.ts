import type { Backend } from "./core/ports.ts";
import { ApiError } from "./protocol/errors.ts";

/** What a first look at the model server found, in a sentence for its operator. */
export type FirstLook = { readonly isWell: boolean; readonly text: string };

const MOST_NAMES = 8;

/** Asks the model server for its models. Never rejects. */
export async function lookAt(backend: Pick<Backend, "models">, url: string): Promise<FirstLook> {
  try {
    const names = await backend.models();
    if (names.length === 0) return { isWell: false, text: `the model server ${url} answers, and lists no models` };
    const shown = names.slice(0, MOST_NAMES).join(", ");
    const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : "";
    const count = names.length === 1 ? "1 model" : `${names.length} models`;
    return { isWell: true, text: `the model server ${url} answers, ${count}: ${shown}${more}` };
  } catch (error) {
    return { isWell: false, text: `the model server ${url} does not answer GET /models: ${reasonOf(error)}` };
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  const { code, message } = error as NodeJS.ErrnoException;
  const known = REASONS[code ?? ""];
  return known ?? (message === "" ? (code ?? "no connection") : message);
}

const REASONS: { readonly [code: string]: string } = {
  ECONNREFUSED: "nothing listens there (connection refused)",
  ENOTFOUND: "its name is not known",
  EAI_AGAIN: "its name is not known",
  UND_ERR_CONNECT_TIMEOUT: "no answer in time",
  UND_ERR_HEADERS_TIMEOUT: "no answer in time",
};
