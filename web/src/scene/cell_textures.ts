/**
 * The cells on the graphics card: one array texture of kinds (u8) and one of amounts (u16), ten layers of
 * f × f, a layer for each diamond. The planes hold a diamond's rows one after another, so changed rows are
 * uploaded as they are. The two poles are uniforms.
 *
 * three.js uploads whole layers only, so the textures are made by hand and lent to it.
 */

import { ExternalTexture, type WebGLRenderer } from "three";

import type { Planes } from "../state/planes";

export class CellTextures {
  readonly kinds: ExternalTexture;
  readonly amounts: ExternalTexture;
  /** Kind and amount of the north pole, then of the south pole. */
  readonly poles = new Uint32Array(4);
  /** Bytes sent to the graphics card so far. */
  uploaded = 0;
  readonly #renderer: WebGLRenderer;
  readonly #gl: WebGL2RenderingContext;
  readonly #kinds: WebGLTexture;
  readonly #amounts: WebGLTexture;

  constructor(renderer: WebGLRenderer, frequency: number) {
    this.#renderer = renderer;
    this.#gl = renderer.getContext() as WebGL2RenderingContext;
    this.#kinds = this.#create(this.#gl.R8UI, frequency);
    this.#amounts = this.#create(this.#gl.R16UI, frequency);
    this.kinds = new ExternalTexture(this.#kinds);
    this.amounts = new ExternalTexture(this.#amounts);
  }

  /** Uploads what has changed. */
  update(planes: Planes): boolean {
    const gl = this.#gl;
    const { frequency: f, kinds, amounts } = planes;
    let prepared = false;
    return planes.takeDirty((row, rows) => {
      if (row >= 10 * f) {
        const cell = 10 * f * f + (row - 10 * f);
        this.poles.set([kinds[cell]!, amounts[cell]!], 2 * (row - 10 * f));
        return;
      }
      if (!prepared) this.#prepare();
      prepared = true;
      const [from, to] = [row * f, (row + rows) * f];
      const [layer, y] = [Math.floor(row / f), row % f];
      this.#bind(this.#kinds);
      gl.texSubImage3D(gl.TEXTURE_2D_ARRAY, 0, 0, y, layer, f, rows, 1, gl.RED_INTEGER, gl.UNSIGNED_BYTE, kinds.subarray(from, to)); // prettier-ignore
      this.#bind(this.#amounts);
      gl.texSubImage3D(gl.TEXTURE_2D_ARRAY, 0, 0, y, layer, f, rows, 1, gl.RED_INTEGER, gl.UNSIGNED_SHORT, amounts.subarray(from, to)); // prettier-ignore
      this.uploaded += 3 * (to - from);
    });
  }

  dispose(): void {
    this.#gl.deleteTexture(this.#kinds);
    this.#gl.deleteTexture(this.#amounts);
    this.#renderer.resetState();
  }

  #create(format: number, f: number): WebGLTexture {
    const gl = this.#gl;
    const texture = gl.createTexture();
    this.#bind(texture);
    gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, format, f, f, 10);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
      gl.texParameteri(gl.TEXTURE_2D_ARRAY, filter, gl.NEAREST);
    }
    for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) {
      gl.texParameteri(gl.TEXTURE_2D_ARRAY, wrap, gl.CLAMP_TO_EDGE);
    }
    return texture;
  }

  /** Through three.js, which remembers what is bound where. */
  #bind(texture: WebGLTexture): void {
    this.#renderer.state.activeTexture(this.#gl.TEXTURE0);
    this.#renderer.state.bindTexture(this.#gl.TEXTURE_2D_ARRAY, texture);
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
