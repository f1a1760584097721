/** Where the viewer is: drag turns the world under it with inertia, wheel and pinch change the height. */

import { angle, normalise, type Vec3 } from "../sphere/geometry";

/** Vertical angle of view, in radians. */
export const FIELD_OF_VIEW = (32 * Math.PI) / 180;

/** The share of the shorter side of the screen that the world takes at first. */
const FILL = 0.84;
/** How fast a flung world comes to rest, and the height to where it was asked to be: e-fold times in s. */
const GLIDE_S = 0.32;
const CLIMB_S = 0.09;
const MAX_LATITUDE = (89 * Math.PI) / 180;

export interface Axes {
  readonly eye: Vec3;
  readonly right: Vec3;
  readonly up: Vec3;
  /** Towards the world's centre. */
  readonly ahead: Vec3;
}

export class Orbit {
  /** In radians; the point that faces the viewer. */
  longitude = 0;
  latitude = (20 * Math.PI) / 180;
  /** Above the surface, in radii of the world. */
  height = 3;
  #wanted = 3;
  #spin: [number, number] = [0, 0];
  #least = 0.02;
  #home = 3;
  #touched = false;
  #seen: readonly number[] = [];

  /** Fits the world into a screen of this shape, unless the viewer has already chosen a height. */
  fit(aspect: number, cellWidth: number): void {
    const half = Math.tan(FIELD_OF_VIEW / 2) * Math.min(1, aspect) * FILL;
    this.#home = Math.sqrt(1 + 1 / (half * half)) - 1;
    this.#least = Math.min(0.5, Math.max(0.002, 7 * cellWidth));
    if (!this.#touched) this.height = this.#wanted = this.#home;
    this.zoom(1);
  }

  /** Turns the world as if it was dragged by these pixels on a screen of this height. */
  drag(dx: number, dy: number, screenHeight: number, seconds: number): void {
    const [east, north] = this.#angles(dx, dy, screenHeight);
    this.#turn(east, north);
    if (seconds > 0) {
      const blend = Math.min(1, seconds / 0.05);
      this.#spin = [
        this.#spin[0] + (east / seconds - this.#spin[0]) * blend,
        this.#spin[1] + (north / seconds - this.#spin[1]) * blend,
      ];
    }
  }

  /** Takes hold of the world: it no longer glides. */
  hold(): void {
    this.#spin = [0, 0];
  }

  /** Changes the height by a factor; more than 1 is further away. */
  zoom(factor: number): void {
    if (factor !== 1) this.#touched = true;
    this.#wanted = Math.min(this.#home * 1.8, Math.max(this.#least, this.#wanted * factor));
  }

  /** Lets time pass, `held` while a finger or button is down; true if the view is another than before. */
  advance(seconds: number, held: boolean): boolean {
    const step = Math.min(seconds, 0.1);
    this.height += (this.#wanted - this.height) * (1 - Math.exp(-step / CLIMB_S));
    if (Math.abs(this.#wanted - this.height) < 1e-4 * this.height) this.height = this.#wanted;
    if (!held) {
      this.#turn(this.#spin[0] * step, this.#spin[1] * step);
      const left = Math.exp(-step / GLIDE_S);
      this.#spin = [this.#spin[0] * left, this.#spin[1] * left];
      if (Math.hypot(...this.#spin) < 1e-4 * this.height) this.hold();
    }
    const seen = [this.longitude, this.latitude, this.height];
    const moved = seen.some((x, n) => x !== this.#seen[n]);
    this.#seen = seen;
    return moved;
  }

  axes(): Axes {
    const [sin, cos] = [Math.sin(this.longitude), Math.cos(this.longitude)];
    const [rise, flat] = [Math.sin(this.latitude), Math.cos(this.latitude)];
    const out: Vec3 = [flat * cos, flat * sin, rise];
    const distance = 1 + this.height;
    return {
      eye: [out[0] * distance, out[1] * distance, out[2] * distance],
      right: [-sin, cos, 0],
      up: [-rise * cos, -rise * sin, flat],
      ahead: [-out[0], -out[1], -out[2]],
    };
  }

  /**
   * The point of the unit sphere seen at (x, y), each in -1..1 from left to right and from bottom to top;
   * undefined beside the sphere.
   */
  pick(x: number, y: number, aspect: number): Vec3 | undefined {
    const { eye, right, up, ahead } = this.axes();
    const half = Math.tan(FIELD_OF_VIEW / 2);
    const ray = normalise([0, 1, 2].map((n) => ahead[n]! + half * (right[n]! * x * aspect + up[n]! * y)) as unknown as Vec3); // prettier-ignore
    const along = -(eye[0] * ray[0] + eye[1] * ray[1] + eye[2] * ray[2]);
    const distance = 1 + this.height;
    const inside = 1 - (distance * distance - along * along);
    if (inside < 0) return undefined;
    const t = along - Math.sqrt(inside);
    return [eye[0] + ray[0] * t, eye[1] + ray[1] * t, eye[2] + ray[2] * t];
  }

  /** How far from the middle of the view cells are seen, in radians. */
  reach(aspect: number): number {
    const corner = this.pick(1, 1, aspect);
    return corner ? angle(corner, this.pick(0, 0, aspect)!) : Math.acos(1 / (1 + this.height));
  }

  /** The point under the middle of the screen follows the pointer. */
  #angles(dx: number, dy: number, screenHeight: number): [number, number] {
    const perPixel = Math.min((2 * Math.tan(FIELD_OF_VIEW / 2) * this.height) / screenHeight, 0.012);
    return [(-dx * perPixel) / Math.max(Math.cos(this.latitude), 0.25), dy * perPixel];
  }

  #turn(east: number, north: number): void {
    this.longitude = (this.longitude + east) % (2 * Math.PI);
    this.latitude = Math.max(-MAX_LATITUDE, Math.min(MAX_LATITUDE, this.latitude + north));
  }
}
