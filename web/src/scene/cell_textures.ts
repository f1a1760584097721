/**
 * The cells on the graphics card: an array texture with a layer of f × f for each diamond. A texel holds the
 * kind and the shade of its cell now, then those before the row last changed, so that changes can fade in;
 * a second texture holds when each row changed. Changed rows are uploaded, nothing else. The two poles are
 * uniforms.
 *
 * three.js uploads whole layers only, so the textures are made by hand and lent to it.
 */

import { ExternalTexture, type WebGLRenderer } from "three";

import type { Planes } from "../state/planes";
import type { Shader } from "./palette";

/** Above this frequency cells change at once: what they were before would take too much memory. */
const MAX_FADING = 1_024;

export class CellTextures {
  readonly cells: ExternalTexture;
  /** Time of change by diamond (x) and row (y), in seconds of the clock given to `update`. */
  readonly changes: ExternalTexture;
  /** Kind and shade of the north pole, then of the south pole. */
  readonly poles = new Uint32Array(4);
  readonly fades: boolean;
  /** Bytes sent to the graphics card so far. */
  uploaded = 0;
  readonly #renderer: WebGLRenderer;
  readonly #gl: WebGL2RenderingContext;
  readonly #cells: WebGLTexture;
  readonly #changes: WebGLTexture;
  /** What the graphics card has, by cell; only kept for fading. */
  readonly #texels: Uint8Array;
  readonly #times: Float32Array;
  #filled = false;

  constructor(renderer: WebGLRenderer, frequency: number) {
    this.#renderer = renderer;
    this.#gl = renderer.getContext() as WebGL2RenderingContext;
    const gl = this.#gl;
    this.fades = frequency <= MAX_FADING;
    this.#cells = this.#create(gl.TEXTURE_2D_ARRAY);
    gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, this.fades ? gl.RGBA8UI : gl.RG8UI, frequency, frequency, 10);
    this.#changes = this.#create(gl.TEXTURE_2D);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.R32F, 10, frequency);
    this.cells = new ExternalTexture(this.#cells);
    this.changes = new ExternalTexture(this.#changes);
    this.#texels = new Uint8Array(this.fades ? 40 * frequency * frequency : 2 * frequency * frequency);
    this.#times = new Float32Array(frequency).fill(-1e6);
    this.#prepare();
    for (let d = 0; d < 10; d++) this.#stamp(d, 0, frequency);
  }

  /** Uploads what has changed; `now` in seconds. */
  update(planes: Planes, shader: Shader, now: number): boolean {
    const { frequency: f, kinds, amounts } = planes;
    // The first picture is there at once.
    const time = this.#filled ? now : -1e6;
    let prepared = false;
    const changed = planes.takeDirty((row, rows) => {
      if (row >= 10 * f) {
        const cell = 10 * f * f + (row - 10 * f);
        this.poles.set([kinds[cell]!, shader.shade(kinds[cell]!, amounts[cell]!)], 2 * (row - 10 * f));
        return;
      }
      if (!prepared) this.#prepare();
      prepared = true;
      this.#times.fill(time, 0, rows);
      this.#stamp(Math.floor(row / f), row % f, rows);
      this.#upload(f, row, rows, this.#fill(planes, shader, row * f, (row + rows) * f));
    });
    if (changed && planes.tick >= 0) this.#filled = true;
    return changed;
  }

  dispose(): void {
    this.#gl.deleteTexture(this.#cells);
    this.#gl.deleteTexture(this.#changes);
    this.#renderer.resetState();
  }

  #fill({ kinds, amounts }: Planes, shader: Shader, from: number, to: number): Uint8Array {
    if (!this.fades) {
      for (let cell = from, at = 0; cell < to; cell++, at += 2) {
        this.#texels[at] = kinds[cell]!;
        this.#texels[at + 1] = shader.shade(kinds[cell]!, amounts[cell]!);
      }
      return this.#texels.subarray(0, 2 * (to - from));
    }
    const texels = this.#texels;
    for (let cell = from, at = 4 * from; cell < to; cell++, at += 4) {
      const kind = kinds[cell]!;
      const shade = shader.shade(kind, amounts[cell]!);
      texels[at + 2] = this.#filled ? texels[at]! : kind;
      texels[at + 3] = this.#filled ? texels[at + 1]! : shade;
      texels[at] = kind;
      texels[at + 1] = shade;
    }
    return texels.subarray(4 * from, 4 * to);
  }

  #upload(f: number, row: number, rows: number, texels: Uint8Array): void {
    const gl = this.#gl;
    const format = this.fades ? gl.RGBA_INTEGER : gl.RG_INTEGER;
    this.#bind(gl.TEXTURE_2D_ARRAY, this.#cells);
    gl.texSubImage3D(gl.TEXTURE_2D_ARRAY, 0, 0, row % f, Math.floor(row / f), f, rows, 1, format, gl.UNSIGNED_BYTE, texels); // prettier-ignore
    this.uploaded += texels.length;
  }

  #stamp(diamond: number, row: number, rows: number): void {
    const gl = this.#gl;
    this.#bind(gl.TEXTURE_2D, this.#changes);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, diamond, row, 1, rows, gl.RED, gl.FLOAT, this.#times);
  }

  #create(target: number): WebGLTexture {
    const gl = this.#gl;
    const texture = gl.createTexture();
    this.#bind(target, texture);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER])
      gl.texParameteri(target, filter, gl.NEAREST);
    for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T])
      gl.texParameteri(target, wrap, gl.CLAMP_TO_EDGE);
    return texture;
  }

  /** Through three.js, which remembers what is bound where. */
  #bind(target: number, texture: WebGLTexture): void {
    this.#renderer.state.activeTexture(this.#gl.TEXTURE0);
    this.#renderer.state.bindTexture(target, texture);
  }

  /** Also through three.js, for the same reason. */
  #prepare(): void {
    const gl = this.#gl;
    const { state } = this.#renderer;
    state.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    for (const skip of [gl.UNPACK_SKIP_PIXELS, gl.UNPACK_SKIP_ROWS, gl.UNPACK_SKIP_IMAGES]) {
      state.pixelStorei(skip, 0);
    }
    state.pixelStorei(gl.UNPACK_ROW_LENGTH, 0);
    state.pixelStorei(gl.UNPACK_IMAGE_HEIGHT, 0);
    state.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, false);
    state.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  }
}
