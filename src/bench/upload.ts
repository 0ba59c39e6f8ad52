import type { Recording } from "./recording.ts";
import { MODES, type Mode } from "./requests.ts";
import { uploadBytes } from "./wire-bytes.ts";

/** What a run uploads in one way of bringing it. */
export type UploadVariant = {
  readonly mode: Mode;
  readonly compress: boolean;
  /** Instructions and tools in the first turn only. */
  readonly once: boolean;
  readonly total: number;
  readonly perTurn: readonly number[];
};

export type Upload = {
  readonly id: string;
  readonly turns: number;
  /** The first one is the baseline: stateless HTTP, plain. */
  readonly variants: readonly UploadVariant[];
};

/** The address that requests are counted with: a server on the usual port of this machine. */
const URL_COUNTED = new URL("http://127.0.0.1:4400/v1/responses");

/** Every way that makes sense: a stateless client cannot send anything once. */
export async function measureUpload(recording: Recording): Promise<Upload> {
  const variants: UploadVariant[] = [];
  for (const mode of MODES) {
    for (const once of mode === "full" ? [false] : [false, true]) {
      for (const compress of [false, true]) {
        const perTurn = await uploadBytes(recording, mode, { compress, once, url: URL_COUNTED, key: null });
        variants.push({ mode, compress, once, perTurn, total: sum(perTurn) });
      }
    }
  }
  return { id: recording.id, turns: recording.turns.length, variants };
}

/** The variant of an upload. */
export function variantOf(
  { variants }: Upload,
  mode: Mode,
  { compress = false, once = false }: { readonly compress?: boolean; readonly once?: boolean } = {},
): UploadVariant | undefined {
  return variants.find((variant) => variant.mode === mode && variant.compress === compress && variant.once === once);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
