/** Kind and amount of every cell, and which rows have changed since they were last drawn. */

import type { FieldMessage, Patch } from "../protocol/field";
import { cellCount, rowCount, rowLength, rowStart } from "../sphere/topology";

/** The kind of a cell that no keyframe has named. */
export const UNKNOWN = 255;

export type Applied =
  /** The planes are now at the message's tick. */
  | "applied"
  /** The message is older than the planes; nothing changed. */
  | "stale"
  /** The message begins after the planes' tick, or is of another sphere; a keyframe is needed. */
  | "gap";

export class Planes {
  readonly frequency: number;
  /** In order of id. */
  readonly kinds: Uint8Array;
  readonly amounts: Uint16Array;
  /** -1 before the first keyframe. */
  tick = -1;
  readonly #dirty: Uint8Array;
  #anyDirty = false;

  constructor(frequency: number) {
    this.frequency = frequency;
    this.kinds = new Uint8Array(cellCount(frequency)).fill(UNKNOWN);
    this.amounts = new Uint16Array(cellCount(frequency));
    this.#dirty = new Uint8Array(rowCount(frequency));
    this.#markAll();
  }

  apply(message: FieldMessage): Applied {
    if (message.frequency !== this.frequency) return "gap";
    if (message.type === "keyframe") {
      this.kinds.fill(UNKNOWN);
      this.amounts.fill(0);
      this.#markAll();
    } else if (this.tick < message.since) {
      return "gap";
    } else if (message.tick < this.tick) {
      return "stale";
    }
    for (const patch of message.patches) this.#write(patch);
    this.tick = message.tick;
    return "applied";
  }

  /** Rows that changed since the last call, joined to stretches that do not leave a diamond. */
  takeDirty(visit: (firstRow: number, rows: number) => void): boolean {
    if (!this.#anyDirty) return false;
    this.#anyDirty = false;
    const { frequency: f } = this;
    for (let row = 0; row < this.#dirty.length; row++) {
      if (!this.#dirty[row]) continue;
      const end = row < 10 * f ? (Math.floor(row / f) + 1) * f : row + 1;
      let next = row;
      while (next < end && this.#dirty[next]) this.#dirty[next++] = 0;
      visit(row, next - row);
      row = next - 1;
    }
    return true;
  }

  /** Has every row drawn again. */
  touch(): void {
    this.#markAll();
  }

  /** Cells of each kind; unknown cells are not counted. */
  census(kinds: number): number[] {
    const counts = new Array<number>(256).fill(0);
    for (const kind of this.kinds) counts[kind]!++;
    return counts.slice(0, kinds);
  }

  #write(patch: Patch): void {
    const { frequency: f } = this;
    const start = rowStart(f, patch.row);
    // The decoder has checked bounds; a patch made by hand must not write beside its row either.
    const length = rowLength(f, patch.row);
    if ("column" in patch) {
      if (patch.column + patch.kinds.length > length) return;
      this.kinds.set(patch.kinds, start + patch.column);
      this.amounts.set(patch.amounts, start + patch.column);
    } else {
      patch.columns.forEach((column, n) => {
        if (column >= length) return;
        this.kinds[start + column] = patch.kinds[n]!;
        this.amounts[start + column] = patch.amounts[n]!;
      });
    }
    this.#dirty[patch.row] = 1;
    this.#anyDirty = true;
  }

  #markAll(): void {
    this.#dirty.fill(1);
    this.#anyDirty = true;
  }
}
