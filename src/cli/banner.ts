import { styleText } from "node:util";
import { isLoopback } from "../config.ts";
import type { RunningServer } from "../server.ts";
import type { Config } from "../settings.ts";
import type { Sizes } from "../sizes.ts";
import { VERSION } from "../version.ts";
import { maskUrl, showBytes } from "./config.ts";

/** What somebody who has just started the server wants to know, on one screen. */
export function banner(
  url: string,
  config: Config,
  { needsKey, sizes }: Pick<RunningServer, "needsKey" | "sizes">,
): string {
  const model = exampleModel(config);
  const key = needsKey ? "<key>" : "none";
  const header = needsKey ? ' -H "authorization: Bearer $OPENAI_API_KEY"' : "";
  const headers = needsKey ? ",{headers:{authorization:'Bearer '+process.env.OPENAI_API_KEY}}" : "";
  // In a checkout this Node.js comes with the install; the machine's own may be too old to know WebSocket.
  const node = process.execPath.includes("node_modules") ? "npx node" : "node";
  const socket = url.replace(/^http/, "ws");
  const create = `{type:'response.create',model:'${model}',input:'Hello'}`;
  const lines: readonly (readonly [string, string] | null)[] = [
    ["page", url],
    ["api", `${url}/v1/responses   (POST: JSON or SSE; upgrade: WebSocket)`],
    ["model", modelLine(config)],
    ["keys", keysLine(config, needsKey)],
    ["data", dataLine(config, sizes)],
    ["memory", memoryLine(sizes)],
    null,
    [
      "curl",
      `curl ${url}/v1/responses${header} -H 'content-type: application/json' -d '{"model":"${model}","input":"Hello"}'`,
    ],
    [
      "WebSocket",
      `${node} -e "s=new WebSocket('${socket}/v1/responses'${headers});s.onopen=()=>s.send(JSON.stringify(${create}));s.onmessage=e=>{console.log(e.data);/completed|error/.test(JSON.parse(e.data).type)&&s.close()}"`,
    ],
    ["OpenAI SDK", `OPENAI_BASE_URL=${url}/v1 OPENAI_API_KEY=${key}`],
    ["Codex", `codex -c openai_base_url='"${url}/v1"' -m ${model}`],
  ];
  const text = lines.map((line) => (line === null ? "" : `  ${styleText("bold", line[0].padEnd(11))} ${line[1]}`));
  const stop = styleText("dim", "Ctrl-C stops it. 'turnwire --help' shows every setting.");
  return `\n  ${styleText(["bold", "green"], "turnwire")} ${VERSION}\n\n${text.join("\n")}\n\n  ${stop}\n\n`;
}

/** A name that this server will serve. */
function exampleModel({ models, defaultModel, backend }: Config): string {
  const [named] = [...models.keys()].filter((name) => name !== "*");
  return named ?? defaultModel ?? (backend === undefined ? "sim" : "<model>");
}

function modelLine({ backend }: Config): string {
  if (backend !== undefined) return maskUrl(backend);
  const warning = styleText("yellow", "a simulator: its answers are made up");
  return `${warning}. A real one: turnwire --backend http://localhost:8000/v1`;
}

function memoryLine({ heapBytes, memoryBytes, memoryBytesPerTenant, contextBytes }: Sizes): string {
  const [all, tenant, context, heap] = [memoryBytes, memoryBytesPerTenant, contextBytes, heapBytes].map(rounded);
  return `${all} for requests and connections, ${tenant} for one key, ${context} for one context (heap: ${heap})`;
}

/** To whole mebibytes. */
function rounded(bytes: number): string {
  return showBytes(Math.round(bytes / 2 ** 20) * 2 ** 20);
}

function dataLine({ store, dataDir }: Config, { storeBytes }: Sizes): string {
  if (store === "memory:") return `in memory: gone when the server stops (${rounded(storeBytes)} for stored responses)`;
  return store === "sqlite:" ? `stored responses in the folder ${dataDir}` : `stored responses in ${maskUrl(store)}`;
}

function keysLine({ apiKeys, host }: Config, needsKey: boolean): string {
  const tenants = [...new Set(apiKeys.map(({ tenant }) => tenant))];
  const stored = "'turnwire keys list' shows those in the store";
  if (tenants.length > 0) return `of ${tenants.join(", ")}; ${stored}`;
  if (needsKey) return `needed; ${stored}`;
  if (isLoopback(host)) return "none: only this machine can connect";
  return styleText("yellow", "none: whoever reaches this port may use the model");
}
