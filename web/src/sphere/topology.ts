/**
 * The sphere's cells, their numbers and who lies beside whom; the twin of native/hexworld/src/topology.rs.
 *
 * Ten diamonds of f × f cells and two poles. A diamond owns rows i = 1..f and columns j = 0..f-1; the cell
 * (d, i, j) has the id d·f² + (i-1)·f + j, the north pole 10f², the south pole 10f² + 1. A row (d, i) has
 * the number d·f + i - 1; the poles are the rows 10f and 10f + 1 of one cell.
 */

export const MAX_FREQUENCY = 4096;

/** Offsets (di, dj) of the six directions; each next one is a left turn. */
export const DIRECTIONS: readonly (readonly [number, number])[] = [
  [0, 1],
  [-1, 1],
  [-1, 0],
  [0, -1],
  [1, -1],
  [1, 0],
];

export const isFrequency = (f: number): boolean => Number.isInteger(f) && f >= 1 && f <= MAX_FREQUENCY;

export const cellCount = (f: number): number => 10 * f * f + 2;

export const rowCount = (f: number): number => 10 * f + 2;

/** Cells in a row: f, or 1 at a pole. */
export const rowLength = (f: number, row: number): number => (row < 10 * f ? f : 1);

/** The id of a row's first cell. */
export const rowStart = (f: number, row: number): number =>
  row < 10 * f ? row * f : 10 * f * f + (row - 10 * f);

/**
 * The id of (d, i, j) with i in 0..f+1 and j in -1..f: inside the diamond or in the ring of foreign cells
 * around it. Undefined where no cell lies.
 */
export function resolve(f: number, d: number, i: number, j: number): number | undefined {
  const at = (diamond: number, i: number, j: number) => (diamond * f + i - 1) * f + j;
  if (i >= 1 && i <= f && j >= 0 && j < f) return at(d, i, j);
  if ((j < 0 && i === 0) || (i === f + 1 && (j < 0 || j === f))) return undefined;
  const k = d % 5;
  const north = (k: number, i: number, j: number) => at(k % 5, i, j);
  const south = (k: number, i: number, j: number) => at(5 + (k % 5), i, j);
  if (d < 5) {
    if (i === 0) return j === 0 ? 10 * f * f : north(k + 1, j, 0);
    if (j < 0) return north(k + 4, 1, i - 1);
    return i > f ? south(k + 4, 1, j) : south(k, i, 0);
  }
  if (i === 0) return j === f ? south(k + 1, f, 0) : north(k + 1, f, j);
  if (j < 0) return north(k, i, f - 1);
  if (i > f) return south(k + 4, j + 1, f - 1);
  return i === f ? 10 * f * f + 1 : south(k + 1, f, i);
}

/** The neighbours of a cell in order of direction: six, or five at a pentagon. */
export function neighbours(f: number, cell: number): number[] {
  const diamonds = 10 * f * f;
  if (cell >= diamonds) {
    // A left turn is eastward around the north pole and westward around the south pole.
    return [0, 1, 2, 3, 4].map((k) =>
      cell === diamonds ? k * f * f : ((5 + ((5 - k) % 5)) * f + f - 1) * f + f - 1,
    );
  }
  const row = Math.floor(cell / f);
  const [d, i, j] = [Math.floor(row / f), (row % f) + 1, cell % f];
  return DIRECTIONS.map(([di, dj]) => resolve(f, d, i + di, j + dj)).filter((c) => c !== undefined);
}
