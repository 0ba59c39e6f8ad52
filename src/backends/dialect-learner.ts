import type { ApiError } from "../protocol/errors.ts";
import { changed, type Dialect, type DialectChange } from "./dialect.ts";
import { lessonsIn, rowsIn } from "./dialect-lessons.ts";

/** A lesson, and the dialect that it makes of the one before. */
export type LessonTried = { readonly name: string; readonly change: DialectChange; readonly dialect: Dialect };

/** A refusal, as far as it teaches. */
export type Taught = {
  readonly error: ApiError;
  /** Null where the server said nothing. */
  readonly refusal: { readonly status: number; readonly words: { readonly text: string | null } } | null;
};

/** How many requests one turn may spend on learning. */
const MOST_LESSONS = 8;
/** Statuses of refusals that are about the form of the request. */
const ABOUT_FORM = new Set([400, 404, 405, 415, 422, 500, 501]);
/** What one turn learns: which lessons are tried, and which of them have helped. */
export class DialectLearner {
  #dialect: Dialect;
  readonly #tried: { readonly lesson: LessonTried; readonly error: ApiError }[] = [];

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  /** What may be tried next, the likeliest first. */
  onRefusal({ error, refusal }: Taught): readonly LessonTried[] {
    const text = refusal?.words.text ?? null;
    if (text === null || refusal === null || this.#tried.length >= MOST_LESSONS) return [];
    // Every other code is of a refusal whose cause is known.
    if (!ABOUT_FORM.has(refusal.status) || error.code !== "invalid_prompt") return [];
    return lessonsIn(text, this.#dialect).map((lesson) => ({
      ...lesson,
      dialect: changed(this.#dialect, lesson.change),
    }));
  }

  /** @param error the refusal that the lesson is drawn from */
  try(lesson: LessonTried, error: ApiError): void {
    this.#tried.push({ lesson, error });
    this.#dialect = lesson.dialect;
  }

  /** The request was taken: what was tried last of each row has helped. */
  onSuccess(): DialectChange {
    return sum(this.#tried.map(({ lesson }) => lesson));
  }

  /**
   * The request is refused for good.
   * @returns what has helped all the same, and the error to tell: that of the first refusal that no lesson mended
   */
  onFailure({ error, refusal }: Taught): { readonly proven: DialectChange; readonly error: ApiError } {
    const last = this.#tried.at(-1);
    if (last === undefined) return { proven: {}, error };
    const text = refusal?.words.text ?? null;
    // Without an answer nobody knows whether the last lesson was right.
    const unproven = text === null ? new Set([last.lesson.name]) : new Set(rowsIn(text));
    const first = this.#tried.find(({ lesson }) => unproven.has(lesson.name));
    const proven = this.#tried.map(({ lesson }) => lesson).filter(({ name }) => !unproven.has(name));
    return { proven: sum(proven), error: text === null ? error : (first?.error ?? error) };
  }
}

function sum(lessons: readonly LessonTried[]): DialectChange {
  let change: DialectChange = {};
  for (const lesson of lessons) {
    const omit = [...(change.omit ?? []), ...(lesson.change.omit ?? [])];
    change = { ...change, ...lesson.change, ...(omit.length > 0 && { omit }) };
  }
  return change;
}
