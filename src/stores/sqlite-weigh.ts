import type { Part } from "./database.ts";

/** A row as it is in memory, by what its first page says: rows of earlier versions count no instructions and tools. */
const WEIGHT = "max(n.bytes, length(n.content))";

export const WEIGH: { readonly [Of in Part]: (where: string) => string } = {
  response: (where) => `
    SELECT ${WEIGHT} + coalesce((SELECT max(bytes, length(content)) FROM nodes WHERE seq = n.head), 0) AS bytes
    FROM nodes n WHERE ${where}`,
  recording: (where) => `SELECT coalesce(length(recording), 0) AS bytes FROM nodes WHERE ${where}`,
  chain: (where) => `
    WITH RECURSIVE line (parent, weight) AS (
      SELECT n.parent, ${WEIGHT} FROM nodes n WHERE ${where} AND whole = 1
      UNION ALL
      SELECT n.parent, ${WEIGHT} FROM line JOIN nodes n ON n.seq = line.parent
    )
    SELECT sum(weight) AS bytes FROM line`,
};
