/**
 * What cells are made of. The colour of a kind comes from the server; how it varies with the amount, and
 * whether it glows, follows from the kind's name, in the manner of native/picture. Unknown names get a plain
 * ramp from dark to light.
 */

import type { Kind } from "../state/session";
import { fromHex, fromOklab, mix, tone, toOklab, type Rgb } from "./colour";

export const SHADES = 256;

/** Amounts from here on have the last shade, whatever their kind. */
const TABLE = 8_192;

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

/** What the kinds of a world look like. */
export class Shader {
  /**
   * Four floats a texel, a row of shades for albedo and grain, then one for glow and shine, for each kind;
   * the last pair of rows is for cells of no known kind.
   */
  readonly data: Float32Array;
  readonly rows: number;
  /** Whether any kind gives enough light of its own to be worth a halo. */
  readonly glows: boolean;
  readonly #tables: readonly Uint8Array[];

  constructor(kinds: readonly Kind[]) {
    const all = [...kinds, UNKNOWN];
    const looks = all.map((kind) => (kind === UNKNOWN ? UNKNOWN_LOOK : (LOOKS[kind.name] ?? PLAIN)));
    this.rows = 2 * all.length;
    this.data = new Float32Array(SHADES * this.rows * 4);
    this.glows = looks.some(({ glow }) => (glow?.[0] ?? 0) > 0.05);
    this.#tables = looks.map(shadesOf);
    all.forEach(({ color }, n) => {
      const { stops, glow: [strength, glow] = [0, stops], grain, shine } = looks[n]!;
      const lab = toOklab(fromHex(color));
      for (let shade = 0; shade < SHADES; shade++) {
        const at = shade / (SHADES - 1);
        const light = sample(lab, glow, at).map((x) => x * strength);
        this.data.set([...sample(lab, stops, at), grain], 4 * (2 * n * SHADES + shade));
        this.data.set([...light, shine], 4 * ((2 * n + 1) * SHADES + shade));
      }
    });
  }

  /** The shade of an amount of a kind, 0..255. */
  shade(kind: number, amount: number): number {
    const table = this.#tables[kind] ?? this.#tables[this.#tables.length - 1]!;
    return table[amount < TABLE ? amount : TABLE - 1]!;
  }
}

const shadesOf = ({ full, curve }: Look): Uint8Array =>
  Uint8Array.from({ length: TABLE }, (_, amount) =>
    Math.round((Math.min(amount, full) / full) ** curve * (SHADES - 1)),
  );

function sample(lab: Rgb, stops: readonly Stop[], at: number): Rgb {
  const next = stops.findIndex(([place]) => place >= at);
  const [end, light, chroma] = stops[next < 0 ? stops.length - 1 : next]!;
  const to = tone(lab, light, chroma);
  const before = stops[next - 1];
  if (next <= 0 || !before) return fromOklab(to);
  return fromOklab(mix(tone(lab, before[1], before[2]), to, (at - before[0]) / (end - before[0])));
}
