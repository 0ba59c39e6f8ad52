/** Text of an answer, told apart from the thinking before it. */
export type Spoken = { readonly kind: "text" | "reasoning"; readonly text: string };

/**
 * - `auto`: an answer that begins with a tag such as `<think>` thinks until the tag is closed.
 * - `open`: every answer begins inside its thinking, since the template has written the opening tag.
 * - `off`: tags are text.
 */
export type ThinkTagsMode = "auto" | "open" | "off";

const TAGS: readonly (readonly [open: string, close: string])[] = [
  ["<think>", "</think>"],
  ["<thinking>", "</thinking>"],
  ["<thought>", "</thought>"],
  ["[THINK]", "[/THINK]"],
];

type State =
  /** Not enough has come to know how the answer begins. */
  | { readonly at: "start" }
  | { readonly at: "thinking"; readonly close: string; readonly hasBegun: boolean }
  /** Behind the closing tag: line ends before the text are not part of it. */
  | { readonly at: "between" }
  | { readonly at: "text" };

/** Takes thinking between tags at the beginning of an answer out of its text, while the text arrives. */
export class ThinkTags {
  #state: State;
  /** Text that may be a part of a tag, or white space that nothing has followed yet. */
  #held = "";
  #holdsOnlySpace = true;

  constructor(mode: ThinkTagsMode) {
    if (mode === "off") this.#state = { at: "text" };
    else if (mode === "auto") this.#state = { at: "start" };
    else this.#state = { at: "thinking", close: "</think>", hasBegun: false };
  }

  /** Whether text is only text from here on. */
  get isOver(): boolean {
    return this.#state.at === "text" && this.#held === "";
  }

  /** From here on tags are text: the server tells thinking apart itself. */
  stop(): readonly Spoken[] {
    const held = this.#held;
    this.#held = "";
    const wasThinking = this.#state.at === "thinking";
    this.#state = { at: "text" };
    return wasThinking ? spoken("reasoning", held.trimEnd()) : spoken("text", held);
  }

  push(piece: string): readonly Spoken[] {
    if (this.#holdsOnlySpace && this.#awaits && piece.trim() === "") {
      // More white space decides nothing. What is held is not looked at again, so that the work stays linear.
      this.#held += piece;
      return [];
    }
    const said = this.#take(piece);
    this.#holdsOnlySpace = this.#held.trim() === "";
    return said;
  }

  /** Whether white space may be held back. */
  get #awaits(): boolean {
    return this.#state.at === "start" || this.#state.at === "thinking";
  }

  #take(piece: string): readonly Spoken[] {
    const text = this.#held + piece;
    this.#held = "";
    switch (this.#state.at) {
      case "text":
        return spoken("text", text);
      case "between":
        return this.#behind(text);
      case "start":
        return this.#begin(text);
      case "thinking":
        return this.#think(this.#state, text);
      default:
        return this.#state satisfies never;
    }
  }

  #begin(text: string): readonly Spoken[] {
    const begun = text.trimStart();
    for (const [open, close] of TAGS) {
      if (begun.startsWith(open)) {
        return this.#think({ at: "thinking", close, hasBegun: false }, begun.slice(open.length));
      }
    }
    if (TAGS.some(([open]) => open.startsWith(begun))) {
      this.#held = text;
      return [];
    }
    this.#state = { at: "text" };
    return spoken("text", text);
  }

  #think(state: Extract<State, { at: "thinking" }>, all: string): readonly Spoken[] {
    this.#state = state;
    const { close } = state;
    // White space alone is no thinking: models that were told not to think write an empty pair of tags.
    const text = state.hasBegun ? all : all.trimStart();
    const end = text.indexOf(close);
    if (end !== -1) {
      const thought = spoken("reasoning", text.slice(0, end).trimEnd());
      return [...thought, ...this.#behind(text.slice(end + close.length))];
    }
    const kept = partOfTag(text, close);
    const said = text.slice(0, text.length - kept.length).trimEnd();
    this.#held = text.slice(said.length);
    if (said !== "" && !state.hasBegun) this.#state = { ...state, hasBegun: true };
    return spoken("reasoning", said);
  }

  #behind(text: string): readonly Spoken[] {
    const rest = text.trimStart();
    this.#state = { at: rest === "" ? "between" : "text" };
    return spoken("text", rest);
  }
}

function spoken(kind: Spoken["kind"], text: string): readonly Spoken[] {
  return text === "" ? [] : [{ kind, text }];
}

/** The longest end of the text with which the tag could begin. */
function partOfTag(text: string, tag: string): string {
  for (let length = Math.min(tag.length - 1, text.length); length > 0; length -= 1) {
    const end = text.slice(-length);
    if (tag.startsWith(end)) return end;
  }
  return "";
}
