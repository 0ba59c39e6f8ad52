import { describe, expect, test } from "vitest";
import { chatContent, namedParts, plainText } from "../../src/backends/chat-parts.ts";

const image = "data:image/png;base64,AA==";

describe("a part of a user's message", () => {
  test.each([
    [
      { type: "input_image", image_url: image, detail: "high" },
      { type: "image_url", image_url: { url: image, detail: "high" } },
    ],
    [
      { type: "input_image", image_url: image, detail: "original" },
      { type: "image_url", image_url: { url: image } },
    ],
    [
      { type: "input_image", image_url: image, detail: null },
      { type: "image_url", image_url: { url: image } },
    ],
    [
      { type: "input_audio", input_audio: { data: "AA==" } },
      { type: "input_audio", input_audio: { data: "AA==" } },
    ],
    [
      { type: "video_url", video_url: { url: "u" } },
      { type: "video_url", video_url: { url: "u" } },
    ],
    [
      { type: "input_file", filename: "a.pdf", file_data: "data:application/pdf;base64,AA==", detail: "low" },
      { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,AA==" } },
    ],
    [
      // Not text, whatever its type says.
      { type: "input_file", filename: "a.txt", file_data: "data:text/plain;base64,/////w==" },
      { type: "file", file: { filename: "a.txt", file_data: "data:text/plain;base64,/////w==" } },
    ],
    [
      { type: "input_file", filename: "a.bin", file_data: "AAAA" },
      { type: "file", file: { filename: "a.bin", file_data: "AAAA" } },
    ],
    [
      { type: "audio_url", audio_url: { url: "u" } },
      { type: "audio_url", audio_url: { url: "u" } },
    ],
  ])("%j is one that chat servers know", (part, expected) => {
    expect(chatContent([part])).toEqual([expected]);
  });

  test.each([
    [{ type: "input_image", file_id: "file-1" }, "[image 'file-1' that cannot be shown here]"],
    [{ type: "input_file", file_id: "file-2" }, "[file 'file-2' that cannot be shown here]"],
    [
      { type: "input_file", filename: "a.txt", file_url: "https://x/a.txt" },
      "[file 'a.txt' that cannot be shown here]",
    ],
    [{ type: "encrypted_content", encrypted_content_id: "e" }, "[encrypted_content that cannot be shown here]"],
    [
      {
        type: "input_file",
        filename: "a.txt",
        file_data: `data:text/plain;base64,${Buffer.from("Grüße").toString("base64")}`,
      },
      "File 'a.txt':\nGrüße",
    ],
    [{ type: "input_file", file_data: "data:text/csv,a%2Cb" }, "File without a name:\na,b"],
    [{ type: "input_file", filename: "a.json", file_data: "data:application/json;base64,e30=" }, "File 'a.json':\n{}"],
    [
      { type: "input_file", filename: "a.py", file_data: "data:application/octet-stream;base64,eA==" },
      "File 'a.py':\nx",
    ],
    [{ type: "input_file", filename: "a.md", file_data: "eA==" }, "File 'a.md':\nx"],
    [
      { type: "input_file", filename: "a", file_data: "data:text/plain;charset=iso-8859-1;base64,/A==" },
      "File 'a':\nü",
    ],
    [{ type: "input_file", file_data: "data:TEXT/Plain;BASE64,eA==" }, "File without a name:\nx"],
    [{ type: "input_file", file_data: "data:text/plain,50%" }, "File without a name:\n50%"],
    [{ type: "input_file", file_data: "data:text/plain,Gr%C3%BC%C3%9Fe" }, "File without a name:\nGrüße"],
    [{ type: "input_file", file_data: "data:application/ld+json,{}" }, "File without a name:\n{}"],
    [{ type: "input_audio" }, "[input_audio that cannot be shown here]"],
  ])("%j is text, since no server would take it as it is", (part, text) => {
    expect(chatContent([part])).toBe(text);
  });
});

const text = (text: string) => ({ type: "input_text", text });

test("texts follow each other with nothing between; what stands for a file has lines of its own", () => {
  const file = { type: "input_file", filename: "a.txt", file_data: "data:text/plain;base64,eA==" };
  const parts = [text("a"), text("b"), file, file, text("c"), { type: "input_image", file_id: "f" }];
  expect(plainText(parts)).toBe("ab\nFile 'a.txt':\nx\nFile 'a.txt':\nx\nc\n[image 'f' that cannot be shown here]");
  expect(plainText([text("a"), text("b")], "\n")).toBe("a\nb");
});

test("what the model reads only the name of is told", () => {
  const output = { type: "function_call_output", output: [{ type: "input_image", file_id: "f" }] };
  expect(namedParts(output)).toEqual(["input_image"]);
  const content = [
    { type: "input_text", text: "x" },
    { type: "input_file", file_url: "u" },
    { type: "input_image", image_url: image },
  ];
  expect(namedParts({ type: "message", content })).toEqual(["input_file"]);
  expect(namedParts({ type: "x", content: [null, 5, {}], output: "x" })).toEqual([]);
});
