import type { Annotation } from "../protocol/items.ts";
import { type Fields, isFields } from "./call-pieces.ts";

/** Sources that search models name: annotations of their text, each once, however often chunks repeat them. */
export class ChatAnnotations {
  readonly #seen = new Set<string>();
  #waiting: Annotation[] = [];
  /** Sources of the whole answer, of which no place is known. */
  readonly #sources: Pick<Annotation, "url" | "title">[] = [];

  /** Reads what a chunk and its delta say. */
  read(chunk: Fields, delta: Fields | null): void {
    const annotations = delta?.["annotations"];
    if (Array.isArray(annotations)) for (const each of annotations) this.#annotation(each);
    const { citations, search_results: results } = chunk;
    // The results have titles, the citations are their addresses alone.
    if (Array.isArray(results)) for (const each of results) this.#source(each);
    if (Array.isArray(citations)) for (const each of citations) this.#source(each);
  }

  /** Those that belong to text that was said. */
  take(): readonly Annotation[] {
    if (this.#waiting.length === 0) return this.#waiting;
    const taken = this.#waiting;
    this.#waiting = [];
    return taken;
  }

  /** At the end: the sources that no annotation names, for the whole text. @param length characters of it */
  rest(length: number): readonly Annotation[] {
    const unnamed = this.#sources.filter(({ url }) => !this.#seen.has(`place of ${url}`));
    return unnamed.map((source) => ({ type: "url_citation", ...source, start_index: 0, end_index: length }));
  }

  /** Chat nests what the Responses API has beside the type. */
  #annotation(value: unknown): void {
    if (!isFields(value) || value["type"] !== "url_citation") return;
    const nested = value["url_citation"];
    const { url, title, start_index: start, end_index: end } = isFields(nested) ? nested : value;
    if (typeof url !== "string") return;
    const annotation = {
      type: "url_citation",
      url,
      ...titled(title),
      start_index: place(start),
      end_index: place(end),
    };
    if (!this.#isNew(JSON.stringify(annotation))) return;
    this.#seen.add(`place of ${url}`);
    this.#waiting.push(annotation as Annotation);
  }

  #source(value: unknown): void {
    const { url, title } = isFields(value) ? value : { url: value, title: "" };
    if (typeof url === "string" && this.#isNew(`source ${url}`)) this.#sources.push({ url, ...titled(title) });
  }

  #isNew(key: string): boolean {
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }
}

function titled(title: unknown): { readonly title: string } {
  return { title: typeof title === "string" ? title : "" };
}

function place(value: unknown): number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : 0;
}
