import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";

// Three tools that look at the files of one folder, and of no other.

/** A tool as the model sees it, and what runs when the model calls it. */
export type Tool = {
  readonly declaration: {
    readonly type: "function";
    readonly name: string;
    readonly description: string;
    readonly parameters: object;
  };
  readonly run: (args: { readonly [name: string]: string }) => Promise<string>;
};

const LONGEST_OUTPUT = 6_000;
const LARGEST_FILE = 256 * 1024;
const MOST_FILES = 500;
const MOST_MATCHES = 40;
const SKIPPED = new Set(["node_modules", ".git"]);

export async function fileTools(folder: string): Promise<readonly Tool[]> {
  const root = await realpath(folder);

  /** The file that a path of the model's leads to. Links are followed first, so that none leads out of the folder. */
  async function inside(path: string): Promise<string> {
    const real = await realpath(resolve(root, path));
    if (real !== root && !real.startsWith(root + sep)) throw new Error(`${path} is outside of the folder`);
    return real;
  }

  async function* walk(directory: string): AsyncGenerator<string> {
    const entries = await readdir(directory, { withFileTypes: true });
    for (const entry of entries.toSorted((a, b) => a.name.localeCompare(b.name))) {
      if (SKIPPED.has(entry.name)) continue;
      const path = join(directory, entry.name);
      if (entry.isDirectory()) yield* walk(path);
      else if (entry.isFile()) yield relative(root, path);
    }
  }

  const files = await take(walk(root), MOST_FILES);
  const folders = [".", ...new Set(files.map((file) => file.split(sep).slice(0, -1).join("/")).filter(Boolean))];

  return [
    tool("list_files", "Lists the files and folders of a folder.", "path", folders, async (path) => {
      const entries = await readdir(await inside(path), { withFileTypes: true });
      return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).join("\n");
    }),
    tool("read_file", "Reads a text file.", "path", files, async (path) => {
      const file = await inside(path);
      if ((await stat(file)).size > LARGEST_FILE) throw new Error(`${path} is too large to read`);
      return readFile(file, "utf8");
    }),
    tool("search_files", "Finds lines that contain a text.", "text", ["import", "export", "const"], async (text) => {
      const matches: string[] = [];
      for (const file of files) {
        const path = await inside(file);
        if ((await stat(path)).size > LARGEST_FILE) continue;
        const lines = (await readFile(path, "utf8")).split("\n");
        for (const [index, line] of lines.entries()) {
          if (line.includes(text)) matches.push(`${file}:${index + 1}: ${line.trim()}`);
          if (matches.length === MOST_MATCHES) return matches.join("\n");
        }
      }
      return matches.join("\n") || "no line contains it";
    }),
  ];
}

/** A tool with one argument, a text. Its examples tell a model, and the simulator, what a sensible one looks like. */
function tool(
  name: string,
  description: string,
  argument: string,
  examples: readonly string[],
  run: (value: string) => Promise<string>,
): Tool {
  const parameters = {
    type: "object",
    properties: { [argument]: { type: "string", examples: examples.slice(0, 12) } },
    required: [argument],
    additionalProperties: false,
  };
  return {
    declaration: { type: "function", name, description, parameters },
    run: async (args) => {
      const output = await run(args[argument] ?? "");
      return output.length > LONGEST_OUTPUT ? `${output.slice(0, LONGEST_OUTPUT)}\n[cut]` : output;
    },
  };
}

async function take<T>(source: AsyncIterable<T>, most: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const value of source) {
    taken.push(value);
    if (taken.length === most) break;
  }
  return taken;
}
