import { describe, expect, it } from "vitest";

import { hit, position } from "../src/sphere/geometry";
import { fromHex, fromOklab, toOklab } from "../src/scene/colour";
import { sphereGeometry } from "../src/scene/mesh";
import { Orbit } from "../src/scene/orbit";
import { Shader, SHADES } from "../src/scene/palette";
import { Governor } from "../src/scene/quality";

describe("Orbit", () => {
  it("sees the point it is above in the middle, north up and east right", () => {
    const orbit = new Orbit();
    orbit.fit(1.6, 0.02);
    const f = 20;
    for (const cell of [0, 777, 1234, 3999]) {
      const [x, y, z] = position(f, cell);
      orbit.longitude = Math.atan2(y, x);
      orbit.latitude = Math.asin(z);
      expect(hit(f, orbit.pick(0, 0, 1.6)!).cell).toBe(cell);
    }
    orbit.longitude = orbit.latitude = 0;
    expect(orbit.pick(0.1, 0, 1.6)![1]).toBeGreaterThan(0.01);
    expect(orbit.pick(0, 0.1, 1.6)![2]).toBeGreaterThan(0.01);
    expect(orbit.pick(0.99, 0.99, 1.6)).toBeUndefined();
  });

  it("knows how far it sees", () => {
    const orbit = new Orbit();
    orbit.fit(1, 0.001);
    expect(orbit.reach(1)).toBeCloseTo(Math.acos(1 / (1 + orbit.height)));
    orbit.zoom(1e-9);
    for (let n = 0; n < 200; n++) orbit.advance(0.05, false);
    expect(orbit.reach(1)).toBeCloseTo(orbit.height * Math.tan((16 * Math.PI) / 180) * Math.SQRT2, 3);
  });

  it("keeps the world under the pointer, glides, and comes to rest", () => {
    const orbit = new Orbit();
    orbit.fit(1, 0.02);
    const before = orbit.longitude;
    orbit.drag(30, 0, 800, 0.016);
    orbit.drag(30, 0, 800, 0.016);
    const dragged = orbit.longitude;
    expect(dragged).toBeLessThan(before);
    let frames = 0;
    while (orbit.advance(0.016, false)) expect(++frames).toBeLessThan(1_000);
    expect(orbit.longitude).toBeLessThan(dragged);
    expect(orbit.advance(0.016, false)).toBe(false);
  });

  it("stays between the ground and the sky", () => {
    const orbit = new Orbit();
    orbit.fit(1, 0.02);
    const settle = () => {
      for (let n = 0; n < 200; n++) orbit.advance(0.05, false);
      return orbit.height;
    };
    const home = settle();
    orbit.zoom(1e-9);
    expect(settle()).toBeGreaterThan(0);
    orbit.zoom(1e9);
    expect(settle()).toBeCloseTo(1.8 * home);
    orbit.drag(0, 1e6, 800, 0.016);
    expect(settle() && Math.abs(orbit.latitude)).toBeLessThan(Math.PI / 2);
  });
});

describe("Shader", () => {
  it("has a shade for every kind and amount", () => {
    const shader = new Shader([
      { name: "water", color: "#2985bd" },
      { name: "ember", color: "#ff8a10" },
      { name: "never heard of", color: "#123456" },
    ]);
    expect([shader.rows, shader.data.length, shader.glows]).toEqual([8, 8 * SHADES * 4, true]);
    expect(shader.data.every((x) => x >= 0 && x < 3)).toBe(true);
    for (const kind of [0, 1, 2, 3, 255]) {
      expect(shader.shade(kind, 0)).toBe(0);
      expect(shader.shade(kind, 65535)).toBe(255);
    }
    expect(shader.shade(0, 100)).toBeGreaterThan(shader.shade(0, 10));
  });

  it("brings colours to Oklab and back", () => {
    const rgb = fromHex("#2985bd");
    fromOklab(toOklab(rgb)).forEach((x, n) => expect(x).toBeCloseTo(rgb[n]!, 3));
  });
});

describe("sphereGeometry", () => {
  it("is closed, on the unit sphere, and seen from outside", () => {
    const geometry = sphereGeometry();
    const at = geometry.getAttribute("position");
    const index = geometry.getIndex()!;
    let area = 0;
    for (let n = 0; n < index.count; n += 3) {
      const [a, b, c] = [0, 1, 2].map((k) =>
        [0, 1, 2].map((axis) => at.getComponent(index.getX(n + k), axis)),
      );
      const [u, v] = [b!.map((x, axis) => x - a![axis]!), c!.map((x, axis) => x - a![axis]!)];
      const normal = [0, 1, 2].map(
        (k) => u[(k + 1) % 3]! * v[(k + 2) % 3]! - u[(k + 2) % 3]! * v[(k + 1) % 3]!,
      );
      expect(normal.reduce((sum, x, axis) => sum + x * a![axis]!, 0)).toBeGreaterThan(0);
      area += Math.hypot(...normal) / 2;
    }
    expect(area).toBeCloseTo(4 * Math.PI, 0);
  });
});

describe("Governor", () => {
  it("lowers the quality while frames are slow, and stays where it is pinned", () => {
    const governor = new Governor();
    for (let n = 0; n < 300; n++) governor.frame(1 / 60);
    expect(governor.quality.halo).toBe(true);
    for (let n = 0; n < 300; n++) governor.frame(1 / 8);
    expect(governor.quality.pixelRatio).toBe(0.5);
    const pinned = new Governor(1);
    for (let n = 0; n < 300; n++) expect(pinned.frame(1 / 8)).toBe(false);
  });
});
