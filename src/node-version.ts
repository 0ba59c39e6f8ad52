/** The oldest Node.js that this program runs on. `cli/main.ts` has the same numbers: it can import nothing before it knows. */
const OLDEST = [22, 13] as const;

/** What is wrong with this Node.js; null when nothing is. */
export function wrongNode(version: string = process.versions.node): string | null {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isOld = major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]);
  return isOld ? `turnwire needs Node.js ${OLDEST.join(".")} or later; this is ${version}.` : null;
}
