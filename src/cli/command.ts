import { closest } from "../suggest.ts";

/** One command of the program. */
export type Command = {
  readonly name: string;
  /** One line for the overview. */
  readonly summary: string;
  /** What may follow the name. */
  readonly usage: string;
  /** Whether it takes the settings of the server, which its help then lists. */
  readonly takesSettings: boolean;
  /** Further flags: what is written, and what it does. */
  readonly flags: readonly (readonly [flag: string, text: string])[];
  /** Flags in groups of their own, before those of `flags`. */
  readonly sections?: readonly (readonly [title: string, flags: Command["flags"]])[];
  readonly examples: readonly (readonly [text: string, line: string])[];
  /** The arguments that are for the command itself; without it, all of them. */
  readonly ownArguments?: (args: readonly string[]) => readonly string[];
  /** Resolves with the exit code. */
  readonly run: (args: readonly string[]) => Promise<number>;
};

export const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

/** What is wrong with the flags of a command, in a sentence: the parser's own would advise something else. */
export function wrongFlags(command: string, error: unknown, known: readonly string[]): UserError {
  const { code, message } = error as NodeJS.ErrnoException;
  const flag = /'(--?[^'\s]+)/.exec(message)?.[1];
  if (code !== "ERR_PARSE_ARGS_UNKNOWN_OPTION" || flag === undefined) {
    return new UserError(`${command}: ${message.split(". ", 1)[0]}`, EXIT.usage);
  }
  const meant = closest(flag.replace(/^-+/, ""), known);
  const hint = meant === undefined ? `'turnwire ${command} --help' lists them` : `did you mean '--${meant}'?`;
  return new UserError(`${command} has no flag '${flag}'; ${hint}`, EXIT.usage);
}

/** A failure that the user can understand and mend: its message is all that is printed. */
export class UserError extends Error {
  override readonly name = "UserError";
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}
