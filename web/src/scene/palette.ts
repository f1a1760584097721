/**
 * What cells are made of. The colour of a kind comes from the server; how it varies with the amount, and
 * whether it glows, follows from the kind's name, in the manner of native/picture. Unknown names get a plain
 * ramp from dark to light.
 */

import type { Kind } from "../state/session";
import { fromHex, fromOklab, mix, tone, toOklab, type Rgb } from "./colour";

export const SHADES = 256;

/** Texels in a row of the palette: the shades, then one that holds `full` and `curve`. */
export const PALETTE_WIDTH = SHADES + 1;

/** A tone of the kind's colour: where on the ramp, lightness and chroma relative to the colour. */
type Stop = readonly [at: number, lightness: number, chroma: number];

interface Look {
  /** The amount of the last shade; more looks the same. */
  readonly full: number;
  /** An exponent below 1 spreads small amounts, where the eye should see most. */
  readonly curve: number;
  readonly stops: readonly Stop[];
  /** Light of its own: strength, and its tones. */
  readonly glow?: readonly [strength: number, stops: readonly Stop[]];
  /** How much of the sun it mirrors. */
  readonly shine: number;
  /** How much equal cells differ in brightness. */
  readonly grain: number;
}

const PLAIN: Look = {
  full: 255,
  curve: 0.6,
  stops: [
    [0, 0.72, 0.9],
    [1, 1.18, 1],
  ],
  shine: 0,
  grain: 0.08,
};

const LOOKS: Partial<Record<string, Look>> = {
  rock: { full: 60, curve: 0.8, stops: [[0, 0.72, 1], [0.45, 1, 1], [1, 1.38, 1]], shine: 0, grain: 0.1 }, // prettier-ignore
  water: {
    full: 600,
    curve: 0.6,
    stops: [
      [0, 1.34, 0.75],
      [0.14, 1.19, 0.95],
      [0.38, 1, 1],
      [0.7, 0.81, 1.1],
      [1, 0.6, 1.02],
    ],
    shine: 1,
    grain: 0,
  },
  moss: { full: 24, curve: 1, stops: [[0, 0.85, 0.6], [1, 1.06, 1]], shine: 0, grain: 0.14 }, // prettier-ignore
  thicket: { full: 160, curve: 0.8, stops: [[0, 1.22, 1.25], [0.5, 1, 1], [1, 0.8, 0.9]], shine: 0, grain: 0.16 }, // prettier-ignore
  ferrite: { full: 4500, curve: 0.8, stops: [[0, 0.74, 0.85], [0.5, 1, 1], [1, 1.24, 1.1]], shine: 0.5, grain: 0.16 }, // prettier-ignore
  crystal: {
    full: 40,
    curve: 1,
    stops: [
      [0, 0.38, 0.55],
      [0.3, 0.66, 0.95],
      [0.6, 1, 1],
      [0.85, 1.36, 0.6],
      [1, 1.55, 0.15],
    ],
    glow: [
      0.1,
      [
        [0, 0.3, 0.7],
        [0.5, 0.8, 1.3],
        [1, 1.45, 0.5],
      ],
    ],
    shine: 0.25,
    grain: 0,
  },
  ember: {
    full: 60,
    curve: 0.6,
    stops: [
      [0, 0.3, 0.4],
      [1, 0.3, 0.4],
    ],
    glow: [
      1.15,
      [
        [0, 0.84, 1],
        [0.3, 0.97, 1.02],
        [0.65, 1.06, 0.95],
        [1, 1.24, 0.72],
      ],
    ],
    shine: 0,
    grain: 0,
  },
  peat: { full: 240, curve: 1, stops: [[0, 0.66, 0.9], [0.5, 0.9, 1], [1, 1.24, 1]], shine: 0, grain: 0.18 }, // prettier-ignore
};

/** Cells that no keyframe has named: hardly lighter than the sky. */
const UNKNOWN: Kind = { name: "", color: "#1a2133" };
const UNKNOWN_LOOK: Look = { full: 1, curve: 1, stops: [[0, 1, 1]], shine: 0, grain: 0.06 };

/**
 * Four floats a texel, two rows a kind: albedo and grain, then glow and shine. The last pair of rows is for
 * cells of no known kind.
 */
export function palette(kinds: readonly Kind[]): { readonly data: Float32Array; readonly rows: number } {
  const rows = 2 * (kinds.length + 1);
  const data = new Float32Array(PALETTE_WIDTH * rows * 4);
  [...kinds, UNKNOWN].forEach((kind, n) => {
    const look = kind === UNKNOWN ? UNKNOWN_LOOK : (LOOKS[kind.name] ?? PLAIN);
    const lab = toOklab(fromHex(kind.color));
    const [strength, glow] = look.glow ?? [0, look.stops];
    for (let shade = 0; shade < SHADES; shade++) {
      const at = shade / (SHADES - 1);
      const light = sample(lab, glow, at).map((x) => x * strength);
      data.set([...sample(lab, look.stops, at), look.grain], texel(shade, 2 * n));
      data.set([...light, look.shine], texel(shade, 2 * n + 1));
    }
    data.set([look.full, look.curve, 0, 0], texel(SHADES, 2 * n));
  });
  return { data, rows };
}

/** Whether any of these kinds gives enough light of its own to be worth a halo. */
export const anyGlow = (kinds: readonly Kind[]): boolean =>
  kinds.some(({ name }) => (LOOKS[name]?.glow?.[0] ?? 0) > 0.05);

const texel = (x: number, row: number) => 4 * (row * PALETTE_WIDTH + x);

function sample(lab: Rgb, stops: readonly Stop[], at: number): Rgb {
  const next = stops.findIndex(([place]) => place >= at);
  const [end, light, chroma] = stops[next < 0 ? stops.length - 1 : next]!;
  const to = tone(lab, light, chroma);
  const before = stops[next - 1];
  if (next <= 0 || !before) return fromOklab(to);
  return fromOklab(mix(tone(lab, before[1], before[2]), to, (at - before[0]) / (end - before[0])));
}
