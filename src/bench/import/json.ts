/** Reading of JSON that somebody else has written, and that may hold anything. */

export type Json = { readonly [field: string]: unknown };

export function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A field that is an object; an empty one where it is not. */
export function objectIn(value: Json, field: string): Json {
  const found = value[field];
  return isJson(found) ? found : {};
}

/** The objects in a field that is a list. */
export function objectsIn(value: Json, field: string): readonly Json[] {
  const found = value[field];
  return Array.isArray(found) ? found.filter(isJson) : [];
}

export function textIn(value: Json, field: string): string | undefined {
  const found = value[field];
  return typeof found === "string" ? found : undefined;
}

/** The objects of a file with one on each line; a line that was cut off, as the last one may be, is left out. */
export function jsonLines(text: string): readonly Json[] {
  return text.split("\n").flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line);
      return isJson(value) ? [value] : [];
    } catch {
      return [];
    }
  });
}
