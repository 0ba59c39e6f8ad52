import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Command, EXIT, UserError } from "./command.ts";
import { runProgram } from "./run-program.ts";

/** `turnwire demo`: an agent over stateless HTTP and over WebSocket, and what each way put on the wire. */
export const demo: Command = {
  name: "demo",
  summary: "run one agent over HTTP and over WebSocket, and compare what each sends",
  usage: "[folder that the agent looks at] [task]",
  takesSettings: false,
  flags: [],
  examples: [
    ["the simulator reads this program's files", "turnwire demo"],
    ["a server of your own, with its model", "TURNWIRE_URL=http://127.0.0.1:4400 TURNWIRE_MODEL=qwen3 turnwire demo ."],
  ],
  run: async (args) => {
    const flag = args.find((arg) => arg.startsWith("-"));
    if (flag !== undefined) throw new UserError(`demo has no flag '${flag}'`, EXIT.usage);
    // Compiled beside this file, or as it stands in a checkout.
    const files = ["../examples/demo.js", "../../examples/demo.ts"].map((path) =>
      fileURLToPath(new URL(path, import.meta.url)),
    );
    const file = files.find((path) => existsSync(path));
    if (file === undefined) throw new UserError("the demo is not part of this installation", EXIT.failure);
    return runProgram(process.execPath, [file, ...args], process.env);
  },
};
