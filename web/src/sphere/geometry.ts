/**
 * Where cells lie on the unit sphere, and which cell a direction from the centre hits; the twin of
 * native/hexworld/src/geometry.rs.
 *
 * A point is the normalised linear mix of its triangle's three icosahedron vertices (the gnomonic map).
 * The z axis points to the north pole.
 */

import { cellCount, resolve } from "./topology";

export type Vec3 = readonly [number, number, number];

/** One of the twenty triangles: the upper half of a diamond has the corners O, P, Q, the lower R, P, Q. */
export interface Face {
  readonly diamond: number;
  readonly lower: boolean;
  /** Apex (O or R), P, Q. */
  readonly corners: readonly [Vec3, Vec3, Vec3];
  /** Rows of the inverse of the corners: a direction's dot products with them are its weights. */
  readonly inverse: readonly [Vec3, Vec3, Vec3];
}

export interface Hit {
  readonly cell: number;
  /** 0 at the cell's centre, 1 on its border. */
  readonly border: number;
}

export const dot = (a: Vec3, b: Vec3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

const cross = (a: Vec3, b: Vec3): Vec3 => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

const scale = (a: Vec3, s: number): Vec3 => [a[0] * s, a[1] * s, a[2] * s];

export const normalise = (a: Vec3): Vec3 => scale(a, 1 / Math.sqrt(dot(a, a)));

/** Between two unit vectors, in radians. */
export function angle(a: Vec3, b: Vec3): number {
  const across = cross(a, b);
  return Math.atan2(Math.sqrt(dot(across, across)), dot(a, b));
}

const NORTH: Vec3 = [0, 0, 1];
const SOUTH: Vec3 = [0, 0, -1];

/** Vertex k of the ring at latitude ±atan(1/2), the southern one turned by 36°. */
function ring(k: number, north: boolean): Vec3 {
  const turn = (((k % 5) * 72 + (north ? 0 : 36)) * Math.PI) / 180;
  const z = 1 / Math.sqrt(5);
  return [2 * z * Math.cos(turn), 2 * z * Math.sin(turn), north ? z : -z];
}

/** The corners O, P, Q, R of a diamond. */
function diamondCorners(d: number): readonly [Vec3, Vec3, Vec3, Vec3] {
  const k = d % 5;
  return d < 5
    ? [NORTH, ring(k, true), ring(k + 1, true), ring(k, false)]
    : [ring(k + 1, true), ring(k, false), ring(k + 1, false), SOUTH];
}

function face(diamond: number, lower: boolean): Face {
  const [o, p, q, r] = diamondCorners(diamond);
  const corners: readonly [Vec3, Vec3, Vec3] = [lower ? r : o, p, q];
  const [a, b, c] = corners;
  const volume = 1 / dot(a, cross(b, c));
  const inverse = [cross(b, c), cross(c, a), cross(a, b)].map((v) => scale(v, volume));
  return { diamond, lower, corners, inverse: inverse as unknown as Face["inverse"] };
}

/** The twenty triangles: face 2d is the upper half of diamond d, face 2d + 1 the lower. */
export const FACES: readonly Face[] = Array.from({ length: 20 }, (_, n) => face(n >> 1, n % 2 === 1));

/** The centre of a cell as a unit vector. */
export function position(f: number, cell: number): Vec3 {
  const diamonds = 10 * f * f;
  if (cell >= diamonds) return cell === diamonds ? NORTH : SOUTH;
  const row = Math.floor(cell / f);
  const [d, i, j] = [Math.floor(row / f), (row % f) + 1, cell % f];
  const lower = i + j > f;
  const [apex, p, q] = FACES[2 * d + (lower ? 1 : 0)]!.corners;
  const [wa, wp, wq] = lower ? [i + j - f, f - j, f - i] : [f - i - j, i, j];
  return normalise([
    apex[0] * wa + p[0] * wp + q[0] * wq,
    apex[1] * wa + p[1] * wp + q[1] * wq,
    apex[2] * wa + p[2] * wp + q[2] * wq,
  ]);
}

/** The cell that the ray from the centre along a direction (of any length) leaves the sphere through. */
export function hit(f: number, direction: Vec3): Hit {
  let best = -Infinity;
  let found: Face | undefined;
  let weights: Vec3 = [0, 0, 0];
  for (const face of FACES) {
    const w: Vec3 = [
      dot(face.inverse[0], direction),
      dot(face.inverse[1], direction),
      dot(face.inverse[2], direction),
    ];
    const least = Math.min(w[0], w[1], w[2]);
    if (least > best) [best, found, weights] = [least, face, w];
  }
  const sum = weights[0] + weights[1] + weights[2];
  if (!found || !Number.isFinite(best) || !(sum > 0)) return { cell: cellCount(f) - 2, border: 0 };

  // Barycentric coordinates scaled to the lattice; the nearest lattice point is found by rounding all three
  // and mending the one that was furthest off.
  const exact = weights.map((w) => (w / sum) * f) as [number, number, number];
  const whole = exact.map(Math.round) as [number, number, number];
  const off = exact.map((x, n) => Math.abs(x - whole[n]!)) as [number, number, number];
  const worst = off[0] >= off[1] ? (off[0] >= off[2] ? 0 : 2) : off[1] >= off[2] ? 1 : 2;
  whole[worst] = f - whole[(worst + 1) % 3]! - whole[(worst + 2) % 3]!;
  const [a, b, c] = exact.map((x, n) => x - whole[n]!) as [number, number, number];
  const border = Math.min(1, Math.max(Math.abs(a - b), Math.abs(b - c), Math.abs(c - a)));
  const [, p, q] = whole;
  const cell = found.lower ? resolve(f, found.diamond, f - q, f - p) : resolve(f, found.diamond, p, q);
  return { cell: cell ?? cellCount(f) - 2, border };
}
