/** Which models a key is good for: names, with `*` for any run of characters; null is all of them. */
export type AllowedModels = readonly string[] | null;

export function allowsModel(allowed: AllowedModels, model: string): boolean {
  return allowed === null || allowed.some((pattern) => matches(pattern, model));
}

/**
 * Whether the name fits the pattern. Walks both once, and goes back to the last star only: no pattern takes longer than
 * their lengths multiplied.
 */
function matches(pattern: string, name: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  let index = 0;
  while (index < name.length) {
    if (pattern[at] === "*") {
      star = at;
      resume = index;
      at += 1;
    } else if (pattern[at] === name[index]) {
      at += 1;
      index += 1;
    } else if (star >= 0) {
      at = star + 1;
      resume += 1;
      index = resume;
    } else {
      return false;
    }
  }
  while (pattern[at] === "*") at += 1;
  return at === pattern.length;
}
