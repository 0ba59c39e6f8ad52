import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { redact } from "../../src/backends/redact.ts";

const CANARY = 'Zebra-canary "quoted" \\path\\new\n<b>ünïcode</b> 日本語テスト😀 & more';
const request = (text: string): Uint8Array =>
  Buffer.from(JSON.stringify({ messages: [{ role: "user", content: text }] }));

/** How servers write what they quote. */
const SHAPES: readonly (readonly [name: string, write: (text: string) => string])[] = [
  ["as it is", (text) => text],
  ["as JSON", (text) => JSON.stringify(text)],
  ["as JSON within JSON", (text) => JSON.stringify(JSON.stringify(text))],
  ["three times escaped", (text) => JSON.stringify(JSON.stringify(JSON.stringify(text)))],
  [
    "in ASCII alone",
    (text) =>
      JSON.stringify(text).replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`),
  ],
  [
    "as bytes of Python",
    (text) =>
      [...Buffer.from(text)]
        .map((byte) =>
          byte < 0x7f && byte > 0x1f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`,
        )
        .join(""),
  ],
  ["for a URL", (text) => encodeURIComponent(text)],
  [
    "for HTML",
    (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;"),
  ],
  ["in upper case", (text) => text.toUpperCase()],
  ["with lines broken", (text) => text.replaceAll(" ", "\n    ")],
  ["cut short", (text) => `${text.slice(0, 40)}...`],
];

describe("what quotes the request is cut", () => {
  test.each(SHAPES)("%s", async (_name, write) => {
    const words = `Error in template: got ${write(CANARY)} at position 7`;
    const cut = await redact(words, [request(`before ${CANARY} after`)]);
    expect(cut).toMatch(/^Error in template: got [\\"]*…/);
    for (const part of ["ebra", "canary", "quoted", "path", "nicode", "日本", "テスト", "\\u65e5"]) {
      expect(cut.toLowerCase()).not.toContain(part);
    }
  });

  test("and the server's own words stay", async () => {
    const words = '{"error":{"message":"Requested 99999 tokens, beyond the 4096 of the window","code":"too_long"}}';
    expect(await redact(words, [request("Tell me of whales")])).toBe(words);
    expect(await redact("Unknown role: 'whale-song-of-may'", [request("a whale-song-of-may.")])).toBe(
      "Unknown role: '…'",
    );
  });

  test("also names that are too short to be a quotation", async () => {
    expect(await redact("no call c4l1 there, nor 12 or ab", [request("x")])).toBe("no call … there, nor 12 or ab");
  });

  test("wherever it stands in a long request, in one piece or in many", async () => {
    const filler = 'lorem ipsum dolor sit amet \\n "x" '.repeat(20_000);
    for (const place of [0, 262_100, 262_144, 500_000]) {
      const text = `${filler.slice(0, place)}the-hidden-canary${filler.slice(place)}`;
      const body = request(text);
      const pieces = [body.subarray(0, 100), body.subarray(100)];
      for (const content of [[body], place > 200 ? pieces : [body]]) {
        expect(await redact("bad: the-hidden-canary!", content)).toBe("bad: …!");
      }
    }
  });

  test("whatever it is made of", async () => {
    const text = fc.stringMatching(/^[a-z]{8,20}(?:[ "\\\n][a-z]{8,20}){0,3}$/);
    await fc.assert(
      fc.asyncProperty(text, text, text, async (before, secret, after) => {
        const cut = await redact(`W: ${JSON.stringify(secret)}.`, [request(before), request(`${secret}${after}`)]);
        for (const word of secret.split(/[^a-z]+/)) expect(cut).not.toContain(word);
      }),
    );
  });

  test("and of a request that is too long to compare with, nothing is kept", async () => {
    expect(await redact("own words", [new Uint8Array(9 * 1024 * 1024)])).toBe("…");
  });
});
