import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** The file of a program of this machine; null when it is not installed. */
export function findCommand(command: string): string | null {
  // Servers are often in folders that only root's PATH has.
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  return folders.map((folder) => join(folder, command)).find(isExecutable) ?? null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
