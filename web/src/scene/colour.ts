/** Linear light, its way from sRGB, and Oklab, where equal steps look equal; see native/picture. */

export type Rgb = readonly [number, number, number];

/** Linear light of "#rrggbb". */
export function fromHex(hex: string): Rgb {
  const n = Number.parseInt(hex.slice(1), 16);
  return [linear(n >> 16), linear((n >> 8) & 255), linear(n & 255)];
}

function linear(byte: number): number {
  const x = byte / 255;
  return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
}

const times = (matrix: readonly Rgb[], v: Rgb): Rgb =>
  matrix.map((row) => row[0] * v[0] + row[1] * v[1] + row[2] * v[2]) as unknown as Rgb;

// Oklab (Björn Ottosson, 2020).
const TO_LMS: readonly Rgb[] = [
  [0.41222146, 0.53633255, 0.051445995],
  [0.2119035, 0.6806995, 0.10739696],
  [0.08830246, 0.28171885, 0.6299787],
];
const TO_LAB: readonly Rgb[] = [
  [0.21045426, 0.7936178, -0.004072047],
  [1.9779985, -2.4285922, 0.4505937],
  [0.025904037, 0.78277177, -0.80867577],
];
const FROM_LAB: readonly Rgb[] = [
  [1, 0.39633778, 0.21580376],
  [1, -0.105561346, -0.06385417],
  [1, -0.08948418, -1.2914855],
];
const FROM_LMS: readonly Rgb[] = [
  [4.0767417, -3.3077116, 0.23096994],
  [-1.268438, 2.6097574, -0.34131938],
  [-0.0041960863, -0.7034186, 1.7076147],
];

export function toOklab(rgb: Rgb): Rgb {
  return times(TO_LAB, times(TO_LMS, rgb).map(Math.cbrt) as unknown as Rgb);
}

export function fromOklab(lab: Rgb): Rgb {
  const cubed = times(FROM_LAB, lab).map((x) => x ** 3) as unknown as Rgb;
  return times(FROM_LMS, cubed).map((x) => Math.max(x, 0)) as unknown as Rgb;
}

/** A colour made lighter or darker and more or less colourful. */
export function tone(lab: Rgb, lightness: number, chroma: number): Rgb {
  const l = Math.min(lab[0] * lightness, 0.985);
  return [l, lab[1] * chroma, lab[2] * chroma];
}

export const mix = (a: Rgb, b: Rgb, t: number): Rgb => [
  a[0] + (b[0] - a[0]) * t,
  a[1] + (b[1] - a[1]) * t,
  a[2] + (b[2] - a[2]) * t,
];
