import { styleText } from "node:util";
import { bytesText, percentText, significant } from "./format.ts";
import { MODES, type Mode, wayTitle } from "./requests.ts";
import { textSection, textTable } from "./text-table.ts";
import { type Upload, variantOf } from "./upload.ts";

/** What runs would upload, counted without a server. */
export function uploadReport(uploads: readonly Upload[]): string {
  const variants = MODES.flatMap((mode) =>
    [false, true].flatMap((once) => (once && mode === "full" ? [] : [{ mode, once }])),
  ).flatMap(({ mode, once }) => [false, true].map((compress) => ({ mode, once, compress })));
  const totals = variants.map(({ mode, once, compress }) =>
    uploads.reduce((sum, upload) => sum + (variantOf(upload, mode, { once, compress })?.total ?? 0), 0),
  );
  const base = totals[0] ?? 0;
  const rows = variants.map(({ mode, once, compress }, index) => [
    wayTitle(mode, compress) + (once ? ", instructions and tools once" : ""),
    bytesText(totals[index] ?? 0),
    percentText((totals[index] ?? 0) / base),
    `${significant(((totals[index] ?? 0) * 8) / UPLINK)} s`,
  ]);
  const turns = uploads.reduce((sum, upload) => sum + upload.turns, 0);
  const what = uploads.length === 1 ? (uploads[0]?.id ?? "") : `${uploads.length} runs`;
  const summary = textTable(["", "up", "share", "at 20 Mbit/s"], rows);
  const note = `${what}, ${turns} turns; counted to the byte as a client would write it, without a server`;
  const parts = [textSection("Upload", summary, note)];
  if (uploads.length > 1) parts.push(textSection("By run", perRun(uploads)));
  parts.push(styleText("dim", UPLOAD_NOTES));
  return parts.join("\n\n");
}

const UPLINK = 20e6;

const UPLOAD_NOTES = `Shares are of stateless HTTP, plain: the whole conversation again each turn, over one connection that is kept alive.
"Once" leaves instructions and tools out of the turns after the first; the standard does not let a server inherit them,
so that is what an extension would save. Not counted: TLS, what clients add to their headers, and the download, which
depends on the server: measure it with 'turnwire bench --from <file>'.`;

function perRun(uploads: readonly Upload[]): string {
  const rows = uploads.map((upload) => {
    const base = variantOf(upload, "full")?.total ?? 0;
    const share = (mode: Mode, compress: boolean, once = false): string =>
      percentText((variantOf(upload, mode, { compress, once })?.total ?? 0) / base);
    return [
      upload.id.length > 44 ? `${upload.id.slice(0, 43)}…` : upload.id,
      String(upload.turns),
      bytesText(base),
      share("previous", false),
      share("websocket", false),
      share("websocket", true),
      share("websocket", false, true),
    ];
  });
  return textTable(["", "turns", "stateless", "previous id", "WebSocket", "+ deflate", "settings once"], rows);
}
