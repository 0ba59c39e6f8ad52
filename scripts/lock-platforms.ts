// npm leaves an optional package out of the lockfile when the registry in use does not serve it, and then `npm ci`
// refuses the lockfile it wrote (npm/cli#9846). This adds the missing entries: the version is the one that the parent
// pins, the platform is in the name. Run it after changing a dependency when `npm ci` says "Missing: … from lock file".
// Usage: lock-platforms.ts [folder]

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

type Entry = {
  readonly version?: string;
  readonly dev?: boolean;
  readonly license?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
};
type Lock = { packages: Record<string, Entry> };

const SYSTEMS = ["darwin", "win32", "linux", "android", "freebsd", "openharmony"];
const PROCESSORS = ["arm64", "arm", "x64", "ia32", "ppc64", "riscv64", "s390x", "wasm32"];

function platformOf(name: string) {
  const words = name.replace("-windows-", "-win32-").split(/[/-]/);
  const os = SYSTEMS.find((system) => words.includes(system));
  const cpu = PROCESSORS.find((processor) => words.includes(processor));
  const libc = words.some((word) => word.startsWith("musl")) ? "musl" : "glibc";
  return os && cpu ? { os: [os], cpu: [cpu], ...(os === "linux" && { libc: [libc] }) } : undefined;
}

const file = join(process.argv[2] ?? ".", "package-lock.json");
const lock = JSON.parse(readFileSync(file, "utf8")) as Lock;
const { packages } = lock;
const added: string[] = [];

for (const [path, parent] of Object.entries(packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    if (packages[key] || packages[`${path}/${key}`]) continue;
    const platform = platformOf(name);
    if (!platform || !/^\d/.test(version))
      throw new Error(`${name}@${version} is missing and its name says no platform`);
    const { dev, license } = parent;
    packages[key] = { version, ...(dev && { dev }), ...(license && { license }), optional: true, ...platform } as Entry;
    added.push(name);
  }
}

lock.packages = Object.fromEntries(Object.entries(packages).toSorted(([a], [b]) => a.localeCompare(b, "en")));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added.length} entries added`);
