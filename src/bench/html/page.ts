import { escape } from "./plot.ts";

/** The page around a report: everything that it needs is in it, so that it can be mailed. */
export function page(title: string, lead: string, sections: readonly string[], footer: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<header>
<h1>${escape(title)}</h1>
<p class="lead">${escape(lead)}</p>
</header>
${sections.join("\n")}
<footer>${footer}</footer>
</main>
</body>
</html>
`;
}

export function section(title: string, note: string, body: string): string {
  return `<section>\n<h2>${escape(title)}</h2>\n<p class="note">${escape(note)}</p>\n${body}\n</section>`;
}

export function plots(figures: readonly (readonly [title: string, svg: string])[], kind = ""): string {
  const each = figures.map(([title, svg]) => `<figure><figcaption>${escape(title)}</figcaption>${svg}</figure>`);
  return `<div class="plots ${kind}">${each.join("")}</div>`;
}

/** A table; the first column is text, the others are numbers. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = header.map((cell) => `<th scope="col">${escape(cell)}</th>`).join("");
  const body = rows.map(
    ([first = "", ...cells]) =>
      `<tr><th scope="row">${escape(first)}</th>${cells.map((cell) => `<td>${escape(cell)}</td>`).join("")}</tr>`,
  );
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}

/** A few figures that say the most, each with what it is compared with. */
export function tiles(
  figures: readonly { readonly value: string; readonly what: string; readonly tone: string }[],
): string {
  const each = figures.map(
    ({ value, what, tone }) =>
      `<div class="tile"><strong class="${tone}">${escape(value)}</strong><span>${escape(what)}</span></div>`,
  );
  return `<div class="tiles">${each.join("")}</div>`;
}

export function list(lines: readonly string[]): string {
  return `<ul>${lines.map((line) => `<li>${escape(line)}</li>`).join("")}</ul>`;
}

const STYLE = `
:root { --ground: #fbfaf8; --card: #fff; --ink: #1d1f23; --soft: #62666e; --rule: #e6e3dd; --full: #b0501c; --previous: #2f6cb3; --websocket: #08805a; --direct: #7a6a1f; --model: rgb(255 255 255 / 0.55); }
@media (prefers-color-scheme: dark) {
  :root { --ground: #131517; --card: #1b1e21; --ink: #e9e7e3; --soft: #9aa0a8; --rule: #2d3135; --full: #f0935a; --previous: #79aef0; --websocket: #41cf9c; --direct: #d3bd5c; --model: rgb(0 0 0 / 0.45); }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; -webkit-text-size-adjust: 100%; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 12px; letter-spacing: -0.01em; }
h2 { font-size: 1.2rem; margin: 0 0 4px; }
.lead { font-size: 1.1rem; max-width: 46em; margin: 0 0 28px; }
.note { color: var(--soft); font-size: 0.9rem; max-width: 60em; margin: 0 0 16px; }
section { margin: 48px 0 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(185px, 1fr)); gap: 16px; }
.tile, figure, .scroll { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.tile { padding: 16px 18px; }
.tile strong { display: block; font-size: 1.9rem; line-height: 1.2; font-variant-numeric: tabular-nums; letter-spacing: -0.02em; color: var(--tone); }

.tile span { overflow-wrap: anywhere; color: var(--soft); font-size: 0.88rem; line-height: 1.4; display: block; margin-top: 4px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 16px; margin-bottom: 16px; }
.plots.three { grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); }
.plots.one svg { max-width: 680px; }
figure { margin: 0; padding: 16px 18px 14px; min-width: 0; }
figcaption { font-weight: 600; font-size: 0.95rem; margin-bottom: 10px; }
svg { display: block; width: 100%; height: auto; overflow: visible; font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; font-variant-numeric: tabular-nums; }
svg text { fill: var(--ink); }
svg .tick, svg .axis { fill: var(--soft); }
svg .middle { text-anchor: middle; }
svg .end { text-anchor: end; }
svg .label { fill: var(--tone); font-weight: 600; }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .line { fill: none; stroke: var(--tone); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg .dashed { stroke-dasharray: 5 4; }
svg circle, svg .fill { fill: var(--tone); }
svg .bar { stroke: var(--tone); stroke-width: 1.5; opacity: 0.6; }
svg .model { fill: var(--model); }
.direct { --tone: var(--direct); } .full { --tone: var(--full); } .previous { --tone: var(--previous); } .websocket { --tone: var(--websocket); }
.scroll { overflow-x: auto; padding: 4px 0; margin-bottom: 16px; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 18px; text-align: right; white-space: nowrap; font-weight: 400; border-top: 1px solid var(--rule); }
thead th { color: var(--soft); border-top: 0; font-size: 0.82rem; }
th:first-child { text-align: left; white-space: normal; min-width: 10em; }
ul { margin: 0; padding-left: 1.2em; color: var(--soft); font-size: 0.92rem; } li { margin: 4px 0; }
footer { margin-top: 48px; padding-top: 16px; border-top: 1px solid var(--rule); color: var(--soft); font-size: 0.85rem; }
@media (max-width: 560px) {
  main { padding: 24px 14px 48px; } figure { padding: 14px 12px 12px; } svg { font-size: 15.5px; } .three svg { font-size: 13px; }
  th, td { padding: 7px 12px; } h1 { font-size: 1.45rem; } .lead { font-size: 1rem; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 10px; } .tile { padding: 12px 14px; } .tile strong { font-size: 1.5rem; } .tile span { font-size: 0.8rem; }
}
`;
