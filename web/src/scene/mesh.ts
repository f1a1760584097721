/** What is drawn: the twenty triangles bent onto the sphere, a triangle that covers the screen, and stars. */

import { BufferAttribute, BufferGeometry } from "three";

import { FACES, normalise } from "../sphere/geometry";

/** Each triangle's edges are cut in this many, for a round limb; what is finer the fragment shader finds. */
const CUTS = 16;

export function sphereGeometry(): BufferGeometry {
  const positions: number[] = [];
  const faces: number[] = [];
  const indices: number[] = [];
  FACES.forEach(({ corners: [apex, p, q], lower }, face) => {
    const base = faces.length;
    const at = (i: number, j: number) => base + i * (CUTS + 1) - (i * (i - 1)) / 2 + j;
    for (let i = 0; i <= CUTS; i++) {
      for (let j = 0; j <= CUTS - i; j++) {
        const k = CUTS - i - j;
        const mixed = [0, 1, 2].map((n) => apex[n]! * k + p[n]! * i + q[n]! * j);
        positions.push(...normalise(mixed as unknown as typeof apex));
        faces.push(face);
        const turn = (a: number, b: number, c: number) => indices.push(...(lower ? [a, c, b] : [a, b, c]));
        if (k > 0) turn(at(i, j), at(i + 1, j), at(i, j + 1));
        if (k > 1) turn(at(i + 1, j), at(i + 1, j + 1), at(i, j + 1));
      }
    }
  });
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(positions), 3));
  geometry.setAttribute("face", new BufferAttribute(new Float32Array(faces), 1));
  geometry.setIndex(indices);
  return geometry;
}

export function screenGeometry(): BufferGeometry {
  const geometry = new BufferGeometry();
  geometry.setAttribute(
    "position",
    new BufferAttribute(new Float32Array([-1, -1, 0, 3, -1, 0, -1, 3, 0]), 3),
  );
  return geometry;
}

/** The same stars every time: direction, linear colour and size. */
export function starGeometry(count = 1_400): BufferGeometry {
  const positions = new Float32Array(3 * count);
  const tints = new Float32Array(4 * count);
  let seed = 0x2545f491;
  const random = () => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return (seed >>> 0) / 2 ** 32;
  };
  for (let n = 0; n < count; n++) {
    const z = 2 * random() - 1;
    const turn = 2 * Math.PI * random();
    const flat = Math.sqrt(1 - z * z);
    positions.set([flat * Math.cos(turn), flat * Math.sin(turn), z], 3 * n);
    const light = 0.22 + 0.75 * random() ** 5;
    const warm = random();
    tints.set([light * (0.74 + 0.26 * warm), light * (0.83 + 0.07 * warm), light * (1 - 0.22 * warm), 0.8 + light], 4 * n); // prettier-ignore
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(positions, 3));
  geometry.setAttribute("tint", new BufferAttribute(tints, 4));
  return geometry;
}
