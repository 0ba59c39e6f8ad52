import { isLoopback, parseConfig } from "../config.ts";
import type { Log } from "../observe.ts";
import type { RunningServer } from "../server.ts";
import type { Config } from "../settings.ts";
import { VERSION } from "../version.ts";
import { lookAt } from "../first-look.ts";
import { banner } from "./banner.ts";
import { type Command, EXIT, UserError } from "./command.ts";
import { maskUrl } from "./config.ts";
import { onStop } from "./stop.ts";

/** `turnwire serve`: runs until it is told to stop. */
export const serve: Command = {
  name: "serve",
  summary: "start the server; this is what 'turnwire' alone does",
  usage: "[flags]",
  takesSettings: true,
  flags: [],
  examples: [
    ["try it, with a simulator in the place of a model", "turnwire"],
    [
      "in front of vLLM, SGLang, llama.cpp, Ollama or any OpenAI-compatible server",
      "turnwire --backend http://localhost:8000/v1",
    ],
    [
      "serve it to others, with a key for each tenant",
      "turnwire keys add team-a && turnwire --host 0.0.0.0 --backend http://localhost:8000/v1",
    ],
    ["offer a model by another name", "turnwire --backend http://localhost:11434/v1 --model gpt-5=qwen3:32b"],
  ],
  run: async (args) => {
    const { config } = parseConfig({ args, environment: process.env });
    const isPretty = config.logFormat === "pretty" || (config.logFormat === "auto" && process.stdout.isTTY);
    // Only here: the help and the version need not wait for all of the server to be loaded.
    const { createLog } = await import("../observe.ts");
    const log = createLog({ level: config.logLevel, pretty: isPretty });
    const server = await start(config, log);
    const ended = untilStopped(server, log, process.stdout.isTTY);
    announce(server, config, log, isPretty && process.stdout.isTTY);
    if (config.backend !== undefined) void tellOfModels(server, maskUrl(config.backend), log);
    return await ended;
  },
};

/** Whether the model server answers: better known now than with the first turn. */
async function tellOfModels(server: RunningServer, url: string, log: Log): Promise<void> {
  const { isWell, text } = await lookAt(server, url);
  if (isWell) log.info(text);
  else log.warn(text);
}

async function start(config: Config, log: Log): Promise<RunningServer> {
  const { StartError, startServer } = await import("../server.ts");
  try {
    return await startServer(config, { log });
  } catch (error) {
    if (error instanceof StartError) throw new UserError(error.message, EXIT.failure);
    throw error;
  }
}

function announce(server: RunningServer, config: Config, log: Log, isTerminal: boolean): void {
  if (isTerminal) {
    process.stdout.write(banner(server.url, config, server));
    return;
  }
  if (config.backend === undefined) log.warn("no --backend: a simulator answers, not a model");
  if (!server.needsKey) {
    if (isLoopback(config.host)) log.info("no API keys: only this machine can connect");
    else log.warn({ host: config.host }, "no API keys: whoever reaches the port is let in");
  }
  const tenants = [...new Set(config.apiKeys.map(({ tenant }) => tenant))];
  const fields = {
    url: server.url,
    address: `${config.host}:${new URL(server.url).port || (config.tlsCert === undefined ? "80" : "443")}`,
    modelServer: config.backend === undefined ? "simulator" : maskUrl(config.backend),
    access: server.needsKey ? "API key needed" : "no API key needed",
    tenants,
    data: maskUrl(config.store),
    memory: server.sizes,
    version: VERSION,
  };
  log.info(fields, "listening");
}

/** Lets the first signal end the server gently, and a second one end the process at once. Rejects when closing fails. */
function untilStopped(server: RunningServer, log: Log, isTerminal: boolean): Promise<never> {
  return new Promise((_resolve, reject) => {
    onStop((signal) => {
      log.info({ signal }, `stopping: running turns may still end${isTerminal ? "; once more stops at once" : ""}`);
      // Whatever still keeps the process alive then is of no use to anybody.
      server.close().then(() => process.exit(EXIT.ok), reject);
    });
  });
}
