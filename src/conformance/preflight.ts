import { type HttpAnswer, requestOver, upgradeOver } from "./http.ts";
import type { Target } from "./target.ts";
import { Transcript } from "./transcript.ts";
import { isObject } from "./wire.ts";
import { shorten, Unreachable, UsageError } from "./violation.ts";

export type PreflightOptions = {
  readonly target: Target;
  readonly key: string | null;
  readonly model: string | null;
  readonly timeoutMs: number;
};

export type Known = {
  /** The model to use. */
  readonly model: string;
  /** Why connections cannot be opened at all; null when they can. */
  readonly withoutSocket: string | null;
};

/**
 * What has to be so before any case makes sense: somebody answers, the key is taken, and there is a model. Everything
 * else is for the cases to say.
 */
export async function preflight({ target, key, model, timeoutMs }: PreflightOptions): Promise<Known> {
  const context = { target, timeoutMs, transcript: new Transcript() };
  const upgrade = await upgradeOver(context, "/responses", { key }).catch((error: unknown) => {
    const reason = (error as Error).message.replace(/^.*: /, "");
    throw new Unreachable(`${target.base} cannot be reached: ${reason}`);
  });
  if (upgrade.status === 401 || upgrade.status === 403) {
    const problem = key === null ? "wants a key; give one with --key" : "does not take this key";
    throw new UsageError(`${target.base} ${problem} (it answered ${upgrade.status})`);
  }
  return { model: model ?? (await firstModel(context, key)), withoutSocket: reasonWithout(upgrade) };
}

/** Why no case can use a WebSocket, in one line that all of them share; null when the server speaks it. */
function reasonWithout({ status, text }: HttpAnswer): string | null {
  if (status === 101) return null;
  const said = text.trim() === "" ? "" : `: ${shorten(text.trim(), 120)}`;
  return `the server has no WebSocket at /responses (it answered the upgrade with ${status}${said})`;
}

async function firstModel(context: Parameters<typeof requestOver>[0], key: string | null): Promise<string> {
  const models = await requestOver(context, "GET", "/models", { key })
    .then(({ json }) => json["data"])
    .catch(() => null);
  const first: unknown = Array.isArray(models) ? models[0] : null;
  if (isObject(first) && typeof first["id"] === "string") return first["id"];
  throw new UsageError(`${context.target.base}/models names no model; say which one to use with --model`);
}
