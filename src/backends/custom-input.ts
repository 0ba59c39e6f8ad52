/** What is read again with each delta has no more characters than this. */
const LONGEST_OPENING = 256;

/**
 * Reads the plain text of a custom tool out of the JSON arguments `{"input":"…"}` while they arrive. A model that does not
 * keep to that form is taken at its word: what it says is the input.
 */
export class CustomInput {
  #state: "before" | "inside" | "after" | "raw" | "other" = "before";
  /** Arguments that are not decided yet: the beginning, or half of an escape sequence. */
  #pending = "";
  /** Arguments of another form, which are only understood when they are complete. */
  readonly #other: string[] = [];

  /** The text that these arguments add. */
  push(delta: string): string {
    const text = this.#pending + delta;
    this.#pending = "";
    switch (this.#state) {
      case "before": {
        const opening = /^\s*\{\s*"input"\s*:\s*"/.exec(text);
        if (opening !== null) {
          this.#state = "inside";
          return this.#inside(text.slice(opening[0].length));
        }
        if (/^\s*[^\s{]/.test(text)) {
          this.#state = "raw";
          return text;
        }
        if (text.length <= LONGEST_OPENING) this.#pending = text;
        else {
          this.#state = "other";
          this.#other.push(text);
        }
        return "";
      }
      case "other":
        this.#other.push(delta);
        return "";
      case "inside":
        return this.#inside(text);
      case "after":
        return "";
      case "raw":
        return text;
      default:
        return this.#state satisfies never;
    }
  }

  /** What is left when the arguments have ended. */
  end(): string {
    const rest = this.#state === "other" ? this.#other.join("") : this.#pending;
    this.#pending = "";
    if (this.#state !== "before" && this.#state !== "other") return "";
    try {
      const { input } = JSON.parse(rest) as { input?: unknown };
      return typeof input === "string" ? input : rest;
    } catch {
      return rest;
    }
  }

  #inside(text: string): string {
    let decoded = "";
    let position = 0;
    for (;;) {
      const special = /["\\]/g;
      special.lastIndex = position;
      const found = special.exec(text)?.index ?? text.length;
      decoded += text.slice(position, found);
      if (found === text.length) break;
      if (text[found] === '"') {
        this.#state = "after";
        break;
      }
      const escape = /^\\(?:u[0-9a-fA-F]{4}|[^u])/.exec(text.slice(found, found + 6))?.[0];
      if (escape === undefined) {
        this.#pending = text.slice(found);
        break;
      }
      decoded += unescape(escape);
      position = found + escape.length;
    }
    // Half of a surrogate pair waits for the other half: alone it is no character.
    if (this.#state === "inside" && /[\ud800-\udbff]$/.test(decoded)) {
      const half = decoded.charCodeAt(decoded.length - 1).toString(16);
      this.#pending = `\\u${half}${this.#pending}`;
      return decoded.slice(0, -1);
    }
    return decoded;
  }
}

function unescape(escape: string): string {
  try {
    return JSON.parse(`"${escape}"`) as string;
  } catch {
    return escape.slice(1);
  }
}
