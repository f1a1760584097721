/**
 * Decodes the messages `keyframe` and `diff`: cells of the field by row.
 *
 * Little-endian: magic "gpk1" or "gpd1", frequency u32, since u64, tick u64, rows u32; then each row: row
 * u32, form u8 and, by form,
 *   0  the whole row: kinds u8 × length, amounts u16 × length;
 *   1  single cells: count u16, then column u16, kind u8, amount u16 each;
 *   2  a run: column u16, count u16 ≥ 1, kinds u8 × count, amounts u16 × count.
 */

import { isFrequency, rowCount, rowLength } from "../sphere/topology";
import { failure, success, type Result } from "./result";

/** Neighbouring cells of one row. */
export interface Run {
  readonly row: number;
  readonly column: number;
  /** As many as `amounts`. */
  readonly kinds: Uint8Array;
  readonly amounts: Uint16Array;
}

/** Single cells of one row. */
export interface Scatter {
  readonly row: number;
  readonly columns: Uint16Array;
  readonly kinds: Uint8Array;
  readonly amounts: Uint16Array;
}

export type Patch = Run | Scatter;

export interface FieldMessage {
  /** A keyframe replaces everything; a diff leads from any tick in since..tick to `tick`. */
  readonly type: "keyframe" | "diff";
  readonly frequency: number;
  readonly since: number;
  readonly tick: number;
  /** Every row, column and count lies on the sphere. */
  readonly patches: readonly Patch[];
}

const HEADER = 4 + 4 + 8 + 8 + 4;
const ROW_HEADER = 4 + 1;
const KEYFRAME = 0x316b7067; // "gpk1"
const DIFF = 0x31647067; // "gpd1"

export function decodeField(bytes: Uint8Array): Result<FieldMessage> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER) {
    return failure("truncated", `${bytes.length} bytes are no header of ${HEADER}`, bytes.length);
  }
  const magic = view.getUint32(0, true);
  if (magic !== KEYFRAME && magic !== DIFF) {
    return failure("invalid", `magic 0x${magic.toString(16)} is neither a keyframe's nor a diff's`, 0);
  }
  const type = magic === KEYFRAME ? "keyframe" : "diff";
  const frequency = view.getUint32(4, true);
  if (!isFrequency(frequency)) return failure("invalid", `frequency ${frequency}`, 4);
  const since = readTick(view, 8);
  const tick = readTick(view, 16);
  if (since === undefined || tick === undefined) return failure("invalid", "a tick is 2^53 or more", 8);
  if (type === "keyframe" ? since !== tick : since > tick) {
    return failure("invalid", `a ${type} from tick ${since} to ${tick}`, 8);
  }

  const rows = view.getUint32(24, true);
  const patches: Patch[] = [];
  let at = HEADER;
  for (let n = 0; n < rows; n++) {
    if (bytes.length - at < ROW_HEADER) return failure("truncated", `row ${n} of ${rows} is missing`, at);
    const row = view.getUint32(at, true);
    if (row >= rowCount(frequency)) return failure("out_of_range", `row ${row}`, at);
    const form = view.getUint8(at + 4);
    const patch = readPatch(view, at + ROW_HEADER, row, form, rowLength(frequency, row));
    if (!patch.ok) return patch;
    patches.push(patch.value.patch);
    at = patch.value.end;
  }
  if (at !== bytes.length) return failure("trailing", `${bytes.length - at} bytes follow the last row`, at);
  return success({ type, frequency, since, tick, patches });
}

type ReadPatch = Result<{ readonly patch: Patch; readonly end: number }>;

function readPatch(view: DataView, at: number, row: number, form: number, length: number): ReadPatch {
  const left = view.byteLength - at;
  switch (form) {
    case 0:
      return readRun(view, at, row, 0, length);
    case 1: {
      if (left < 2) return failure("truncated", "a count is missing", at);
      return readScatter(view, at + 2, row, view.getUint16(at, true), length);
    }
    case 2: {
      if (left < 4) return failure("truncated", "column and count of a run are missing", at);
      const column = view.getUint16(at, true);
      const count = view.getUint16(at + 2, true);
      if (count === 0) return failure("invalid", "a run of no cells", at + 2);
      if (column + count > length) {
        return failure("out_of_range", `${count} cells from column ${column} of row ${row}`, at);
      }
      return readRun(view, at + 4, row, column, count);
    }
    default:
      return failure("invalid", `form ${form} of row ${row}`, at - 1);
  }
}

function readRun(view: DataView, at: number, row: number, column: number, count: number): ReadPatch {
  const end = at + 3 * count;
  if (end > view.byteLength) return failure("truncated", `row ${row} announces ${count} cells`, at);
  const kinds = new Uint8Array(view.buffer, view.byteOffset + at, count);
  const amounts = new Uint16Array(count);
  for (let n = 0; n < count; n++) amounts[n] = view.getUint16(at + count + 2 * n, true);
  return success({ patch: { row, column, kinds, amounts }, end });
}

function readScatter(view: DataView, at: number, row: number, count: number, length: number): ReadPatch {
  const end = at + 5 * count;
  if (end > view.byteLength) return failure("truncated", `row ${row} announces ${count} cells`, at);
  const columns = new Uint16Array(count);
  const kinds = new Uint8Array(count);
  const amounts = new Uint16Array(count);
  for (let n = 0, from = at; n < count; n++, from += 5) {
    const column = view.getUint16(from, true);
    if (column >= length) return failure("out_of_range", `column ${column} of row ${row}`, from);
    columns[n] = column;
    kinds[n] = view.getUint8(from + 2);
    amounts[n] = view.getUint16(from + 3, true);
  }
  return success({ patch: { row, columns, kinds, amounts }, end });
}

/** A u64 below 2^53. */
function readTick(view: DataView, at: number): number | undefined {
  const high = view.getUint32(at + 4, true);
  return high < 2 ** 21 ? high * 2 ** 32 + view.getUint32(at, true) : undefined;
}
