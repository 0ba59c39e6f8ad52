import { describe, expect, test } from "vitest";
import { chatContent } from "../../src/backends/chat-parts.ts";

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
  ])("%j is text, since no server would take it as it is", (part, text) => {
    expect(chatContent([part])).toEqual([{ type: "text", text }]);
  });
});
