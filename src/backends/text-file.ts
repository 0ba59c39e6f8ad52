/** Files whose bytes are text: few chat servers take files, and all take text. */

/** `data:text/plain;charset=utf-8;base64,…`; what is in front of the data may be left out. */
const DATA_URL = /^data:([^,;]*)((?:;[^,;]*)*),/i;
const TEXT_TYPE =
  /^(text\/.+|application\/(.+\+)?(json|xml|yaml|x-yaml|toml|javascript|typescript|sql|csv|x-sh|x-httpd-php|graphql|jsonl|x-ndjson|rtf|x-tex)|image\/svg\+xml|message\/rfc822)$/i;
const TEXT_NAME =
  /\.(txt|md|markdown|rst|csv|tsv|json|jsonl|ndjson|xml|ya?ml|toml|ini|cfg|conf|env|log|html?|css|scss|svg|m?[jt]sx?|cjs|py|ipynb|rb|go|rs|java|kt|swift|c|h|cc|cpp|hpp|cs|php|pl|lua|r|sh|bash|zsh|ps1|bat|sql|graphql|proto|tex|diff|patch|dockerfile|makefile|eml|srt|vtt)$/i;
/** Types that say nothing of what is inside. */
const ANY_TYPE: ReadonlySet<string> = new Set(["", "application/octet-stream", "binary/octet-stream"]);

/**
 * The text of a file, or undefined for one that is not known as text, or whose bytes are none.
 *
 * @param data a data URL, or base64 alone
 * @param name by which a file is known whose type says nothing
 */
export function textFile(data: string, name: string | null): string | undefined {
  const [head = "", type = "", parameters = ""] = DATA_URL.exec(data) ?? [];
  const isText = TEXT_TYPE.test(type) || (ANY_TYPE.has(type.toLowerCase()) && name !== null && TEXT_NAME.test(name));
  if (!isText) return undefined;
  const body = data.slice(head.length);
  const isBase64 = head === "" || /;base64$/i.test(parameters);
  const [, charset = "utf-8"] = /;charset="?([^;"]+)/i.exec(parameters) ?? [];
  try {
    return new TextDecoder(charset, { fatal: true }).decode(isBase64 ? fromBase64(body) : fromPercents(body));
  } catch {
    return undefined;
  }
}

/** @throws SyntaxError where it is not base64, which Buffer would read for what it is not */
function fromBase64(body: string): Buffer {
  const text = body.replace(/\s/g, "");
  if (!/^[\w+/-]*=*$/.test(text)) throw new SyntaxError("not base64");
  return Buffer.from(text, "base64");
}

function fromPercents(body: string): Buffer {
  const bytes = body.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  // Characters that were written as they are stand for their own UTF-8.
  return /[^\0-\xff]/.test(bytes) ? Buffer.from(decodeURIComponent(body), "utf8") : Buffer.from(bytes, "latin1");
}
