/**
 * Makes a text that matches a regular expression: literals, classes, groups, first alternatives and fewest repetitions.
 * The expression is never run, since it is the client's and may be slow on purpose.
 *
 * @param extra characters that repetitions add where they may, to reach a length
 * @returns undefined when the expression uses something else (look-around, back references)
 */
export function samplePattern(pattern: string, extra = 0): string | undefined {
  if (pattern.length > LONGEST) return undefined;
  try {
    return new PatternSampler(pattern, extra).sample();
  } catch (error) {
    if (error instanceof Unsupported) return undefined;
    throw error;
  }
}

class Unsupported extends Error {}

const LONGEST = 10_000;
/** Characters that repetitions may make in all, those of alternatives that are read over included. */
const MOST_REPEATED = 100_000;
const DEEPEST = 100;
/** Characters to try where a class says which ones it does not want. */
const POOL = "aA0 _-.,:;!?/@#%&+=*~|<>(){}[]\n\té漢".split("");

type Range = { readonly from: string; readonly to: string };
const CLASSES: { readonly [letter: string]: readonly Range[] } = {
  d: [{ from: "0", to: "9" }],
  w: [
    { from: "a", to: "z" },
    { from: "A", to: "Z" },
    { from: "0", to: "9" },
    { from: "_", to: "_" },
  ],
  s: [
    { from: " ", to: " " },
    { from: "\t", to: "\r" },
  ],
};
const CONTROLS: { readonly [letter: string]: string } = { n: "\n", r: "\r", t: "\t", f: "\f", v: "\v", 0: "\0" };

class PatternSampler {
  readonly #pattern: string;
  #position = 0;
  #extra: number;
  #depth = 0;
  #repeated = 0;

  constructor(pattern: string, extra: number) {
    this.#pattern = pattern;
    this.#extra = extra;
  }

  sample(): string {
    const text = this.#alternatives();
    if (this.#position < this.#pattern.length) throw new Unsupported();
    return text;
  }

  /** The first alternative; the others are read over, and may not use up the extra length. */
  #alternatives(): string {
    this.#depth += 1;
    if (this.#depth > DEEPEST) throw new Unsupported();
    const first = this.#sequence();
    const { length } = this.#pattern;
    const extra = this.#extra;
    while (this.#position < length && this.#pattern[this.#position] === "|") {
      this.#position += 1;
      this.#sequence();
    }
    this.#extra = extra;
    this.#depth -= 1;
    return first;
  }

  #sequence(): string {
    let text = "";
    while (this.#position < this.#pattern.length) {
      const next = this.#pattern[this.#position];
      if (next === "|" || next === ")") break;
      const atom = this.#atom();
      text += this.#repeat(atom);
      if (text.length > LONGEST) throw new Unsupported();
    }
    return text;
  }

  #repeat(atom: string): string {
    const quantifier = /^(?:[?*+]|\{(\d+)(,?)(\d*)\})\??/.exec(
      this.#pattern.slice(this.#position, this.#position + 24),
    );
    if (quantifier === null) return atom;
    this.#position += quantifier[0].length;
    const [sign, lowest, comma, highest] = quantifier;
    let fewest = sign.startsWith("+") ? 1 : 0;
    let most = sign.startsWith("?") ? 1 : LONGEST;
    if (lowest !== undefined) {
      fewest = Number(lowest);
      most = comma === "" ? fewest : highest === "" ? LONGEST : Number(highest);
    }
    const wanted = atom === "" ? 0 : Math.ceil(this.#extra / atom.length);
    const added = Math.min(wanted, Math.max(0, most - fewest));
    this.#extra = Math.max(0, this.#extra - added * atom.length);
    this.#repeated += (fewest + added) * atom.length;
    if ((fewest + added) * atom.length > LONGEST || this.#repeated > MOST_REPEATED) throw new Unsupported();
    return atom.repeat(fewest + added);
  }

  #atom(): string {
    const next = this.#take();
    switch (next) {
      case "^":
      case "$":
        return "";
      case ".":
        return "a";
      case "(":
        return this.#group();
      case "[":
        return this.#class();
      case "\\":
        return this.#escape();
      case "?":
      case "*":
      case "+":
        throw new Unsupported();
      default:
        return next;
    }
  }

  #group(): string {
    const prefix = /^\?(?::|<[^=!>]+>)/.exec(this.#pattern.slice(this.#position, this.#position + 100));
    if (prefix !== null) this.#position += prefix[0].length;
    else if (this.#pattern[this.#position] === "?") throw new Unsupported();
    const text = this.#alternatives();
    if (this.#take() !== ")") throw new Unsupported();
    return text;
  }

  #escape(): string {
    const letter = this.#take();
    if (letter === "b" || letter === "B") return "";
    if (/[1-9ck]/.test(letter)) throw new Unsupported();
    const ranges = this.#named(letter);
    return ranges === undefined ? this.#character(letter) : pick(ranges.list, ranges.isNegated);
  }

  #class(): string {
    const isNegated = this.#pattern[this.#position] === "^";
    if (isNegated) this.#position += 1;
    const list: Range[] = [];
    for (let next = this.#take(); next !== "]"; next = this.#take()) {
      let letter = next;
      if (next === "\\") {
        letter = this.#take();
        const named = this.#named(letter);
        if (named !== undefined) {
          if (named.isNegated) throw new Unsupported();
          list.push(...named.list);
          continue;
        }
        letter = letter === "b" ? "\b" : this.#character(letter);
      }
      let to = letter;
      if (this.#pattern[this.#position] === "-" && (this.#pattern[this.#position + 1] ?? "]") !== "]") {
        this.#position += 1;
        to = this.#take();
        if (to === "\\") to = this.#character(this.#take());
      }
      list.push({ from: letter, to });
    }
    return pick(list, isNegated);
  }

  /** `\d` and its like; undefined when the letter names no class. */
  #named(letter: string): { readonly list: readonly Range[]; readonly isNegated: boolean } | undefined {
    if (letter === "p" || letter === "P") {
      const property = /^\{([^}]{1,60})\}/.exec(this.#pattern.slice(this.#position, this.#position + 64));
      if (property === null || letter === "P") throw new Unsupported();
      this.#position += property[0].length;
      if (/^(?:L|Letter|Ll|Lowercase_Letter|Alphabetic|Script=Latin)$/.test(property[1] ?? "")) {
        return { list: [{ from: "a", to: "z" }], isNegated: false };
      }
      if (/^(?:N|Nd|Number)$/.test(property[1] ?? "")) return { list: CLASSES["d"] ?? [], isNegated: false };
      if (/^(?:Lu|Uppercase_Letter)$/.test(property[1] ?? "")) {
        return { list: [{ from: "A", to: "Z" }], isNegated: false };
      }
      throw new Unsupported();
    }
    const list = CLASSES[letter.toLowerCase()];
    return list === undefined ? undefined : { list, isNegated: letter !== letter.toLowerCase() };
  }

  /** The character that an escape stands for. */
  #character(letter: string): string {
    const code = { u: /^(?:([0-9a-f]{4})|\{([0-9a-f]{1,6})\})/i, x: /^([0-9a-f]{2})/i }[letter];
    if (code === undefined) return CONTROLS[letter] ?? letter;
    const digits = code.exec(this.#pattern.slice(this.#position, this.#position + 8));
    if (digits === null) throw new Unsupported();
    this.#position += digits[0].length;
    const point = Number.parseInt(digits[1] ?? digits[2] ?? "", 16);
    if (point > 0x10ffff) throw new Unsupported();
    return String.fromCodePoint(point);
  }

  /** The next character, whole where it takes two units. */
  #take(): string {
    const point = this.#pattern.codePointAt(this.#position);
    if (point === undefined) throw new Unsupported();
    const character = String.fromCodePoint(point);
    this.#position += character.length;
    return character;
  }
}

function pick(list: readonly Range[], isNegated: boolean): string {
  const chosen = isNegated
    ? POOL.find((character) => !list.some(({ from, to }) => from <= character && character <= to))
    : list[0]?.from;
  if (chosen === undefined) throw new Unsupported();
  return chosen;
}
