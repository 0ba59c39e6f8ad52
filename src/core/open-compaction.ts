import type { OutputCompaction } from "../protocol/items.ts";
import { EVENT } from "../protocol/table.ts";
import type { EventLog } from "./open-item.ts";

/** A compaction item that has been added: what it will hold is still being written. */
export class OpenCompaction {
  readonly index: number;
  readonly id: string;
  readonly #log: EventLog;

  constructor(id: string, index: number, log: EventLog) {
    this.index = index;
    this.id = id;
    this.#log = log;
    const item = this.#item("");
    log.write({ type: EVENT.itemAdded, sequence_number: log.next(), output_index: index, item });
    this.grow();
  }

  /** Tells that the summary grows; what it says stays here. */
  grow(): void {
    const at = { item_id: this.id, output_index: this.index };
    this.#log.write({ type: EVENT.compacting, sequence_number: this.#log.next(), ...at });
  }

  close(content: string): OutputCompaction {
    const item = this.#item(content);
    this.#log.write({ type: EVENT.itemDone, sequence_number: this.#log.next(), output_index: this.index, item });
    return item;
  }

  #item(encrypted_content: string): OutputCompaction {
    return Object.freeze({ type: "compaction", id: this.id, encrypted_content } as const);
  }
}
