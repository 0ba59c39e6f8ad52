import { statSync } from "node:fs";
import { dirname } from "node:path";

/** Who may read files of the server: none of them is for other users of the machine. */

const BY_OTHERS = 0o077;
const THROUGH = 0o011;

/**
 * What is wrong with the permissions of folders and files that exist, each as a sentence with its remedy. A file is safe in a
 * folder that others cannot enter.
 */
export function readableByOthers(folder: string | null, files: readonly string[]): readonly string[] {
  const wrong = folder === null ? [] : sentences(folder, "700", true);
  return [...wrong, ...files.flatMap((file) => ((modeOf(dirname(file)) ?? 0) & THROUGH ? sentences(file, "600") : []))];
}

function sentences(path: string, remedy: string, isFolder = false): readonly string[] {
  const mode = modeOf(path);
  if (mode === null || (mode & BY_OTHERS) === 0) return [];
  const what = isFolder ? "enter or read" : "read or change";
  return [`other users can ${what} ${path} (mode ${mode.toString(8)}): chmod ${remedy} ${path}`];
}

/** The permissions of a path; null where it does not exist, or where the system has no such thing. */
function modeOf(path: string): number | null {
  if (process.platform === "win32") return null;
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? null : stat.mode & 0o777;
}
