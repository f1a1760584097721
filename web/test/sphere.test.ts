import { describe, expect, it } from "vitest";

import { dot, hit, position, type Vec3 } from "../src/sphere/geometry";
import { cellCount, neighbours, rowCount, rowLength, rowStart } from "../src/sphere/topology";

const cells = (f: number) => Array.from({ length: cellCount(f) }, (_, cell) => cell);

describe("topology", () => {
  it("has the neighbours that the kernel has", () => {
    // From GamePlatform.Compute.neighbours/2; see also the README of the project.
    expect(neighbours(24, 0)).toEqual([1, 576, 5760, 2304, 2305, 24]);
    expect(neighbours(24, 5760)).toEqual([0, 576, 1152, 1728, 2304]);
  });

  it("gives twelve cells five neighbours and all others six, both ways", () => {
    for (const f of [1, 2, 3, 7]) {
      const all = cells(f).map((cell) => neighbours(f, cell));
      expect(all.filter((near) => near.length === 5)).toHaveLength(12);
      expect(all.filter((near) => near.length === 6)).toHaveLength(cellCount(f) - 12);
      all.forEach((near, cell) => {
        expect(new Set(near).size).toBe(near.length);
        for (const other of near) expect(all[other], `${other} beside ${cell}, f = ${f}`).toContain(cell);
      });
    }
  });

  it("counts rows so that every cell is in one", () => {
    const f = 5;
    let next = 0;
    for (let row = 0; row < rowCount(f); row++) {
      expect(rowStart(f, row)).toBe(next);
      next += rowLength(f, row);
    }
    expect(next).toBe(cellCount(f));
  });
});

describe("geometry", () => {
  it("puts cells where native/hexworld puts them", () => {
    const z = 1 / Math.sqrt(5);
    const places: [f: number, cell: number, place: Vec3][] = [
      [4, 160, [0, 0, 1]],
      [4, 161, [0, 0, -1]],
      // The pentagon (f, 0) of the first northern diamond, and of the first southern one.
      [4, 12, [2 * z, 0, z]],
      [1, 0, [2 * z, 0, z]],
      [4, 5 * 16 + 12, [2 * z * Math.cos(Math.PI / 5), 2 * z * Math.sin(Math.PI / 5), -z]],
    ];
    for (const [f, cell, place] of places) {
      position(f, cell).forEach((x, n) => expect(x).toBeCloseTo(place[n]!, 12));
    }
  });

  it("hits every cell at its centre", () => {
    for (const f of [1, 2, 3, 7, 20]) {
      for (const cell of cells(f)) {
        const found = hit(f, position(f, cell).map((x) => 3 * x) as unknown as Vec3);
        expect(found.cell, `f = ${f}`).toBe(cell);
        expect(found.border).toBeLessThan(1e-6);
      }
    }
  });

  it("hits the nearest cell or one beside it", () => {
    const f = 9;
    const centres = cells(f).map((cell) => position(f, cell));
    for (let n = 0; n < 500; n++) {
      const [a, b] = [n * 2.399, 1 - n / 250];
      const flat = Math.sqrt(1 - b * b);
      const ray: Vec3 = [flat * Math.cos(a), flat * Math.sin(a), b];
      const nearest = centres.reduce(
        (best, c, cell) => (dot(c, ray) > dot(centres[best]!, ray) ? cell : best),
        0,
      );
      const found = hit(f, ray).cell;
      expect(found === nearest || neighbours(f, nearest).includes(found)).toBe(true);
    }
  });

  it("survives directions that are none", () => {
    for (const ray of [
      [0, 0, 0],
      [NaN, NaN, NaN],
      [Infinity, 0, 0],
    ] as Vec3[]) {
      expect(hit(3, ray).cell).toBeLessThan(cellCount(3));
    }
  });
});
