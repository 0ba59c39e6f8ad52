import { stripVTControlCharacters } from "node:util";
import type { Report } from "./report.ts";
import { textReport, uploadReport } from "./text-report.ts";
import type { Upload } from "./upload.ts";

/** A report as a page. */
export function reportPage(report: Report): string {
  return page(`turnwire bench ${report.version}`, textReport(report));
}

export function uploadPage(uploads: readonly Upload[], version: string): string {
  return page(`turnwire bench bytes ${version}`, uploadReport(uploads));
}

function page(title: string, text: string): string {
  const escaped = stripVTControlCharacters(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<!doctype html><meta charset="utf-8"><title>${title}</title><pre>${escaped}</pre>`;
}
