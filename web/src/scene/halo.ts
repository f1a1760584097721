/** The halo around cells that give light: a small, blurred picture of that light alone, added at last. */

import {
  AdditiveBlending,
  HalfFloatType,
  LinearFilter,
  Mesh,
  Scene,
  Vector2,
  WebGLRenderTarget,
  type Camera,
  type RawShaderMaterial,
  type WebGLRenderer,
} from "three";

import { material } from "./material";
import { screenGeometry } from "./mesh";
import { blurFragment, haloFragment, screenVertex } from "./shaders";

/** The small picture's height in pixels; a halo holds no detail worth more. */
const HEIGHT = 160;

export class Halo {
  readonly #targets = [0, 1, 2].map(
    () =>
      new WebGLRenderTarget(1, 1, {
        type: HalfFloatType,
        minFilter: LinearFilter,
        magFilter: LinearFilter,
        depthBuffer: false,
      }),
  );
  readonly #light = new Scene();
  readonly #screen = new Scene();
  readonly #quad: Mesh<ReturnType<typeof screenGeometry>, RawShaderMaterial>;
  readonly #blur: RawShaderMaterial;
  readonly #add: RawShaderMaterial;
  readonly #blurring = { uImage: { value: null as unknown }, uStep: { value: new Vector2() } };

  /** `glow` draws the light of the cells alone. */
  constructor(glow: Mesh) {
    this.#light.add(glow);
    const flat = { depthTest: false, depthWrite: false };
    this.#blur = material(screenVertex, blurFragment, this.#blurring, flat);
    const images = { uNear: { value: this.#target(0).texture }, uFar: { value: this.#target(2).texture } };
    this.#add = material(screenVertex, haloFragment, images, { ...flat, blending: AdditiveBlending, transparent: true }); // prettier-ignore
    this.#quad = new Mesh(screenGeometry(), this.#blur);
    this.#quad.frustumCulled = false;
    this.#screen.add(this.#quad);
  }

  resize(aspect: number): void {
    for (const target of this.#targets) target.setSize(Math.max(1, Math.round(HEIGHT * aspect)), HEIGHT);
  }

  /** Makes the small picture, before the large one is drawn. */
  prepare(renderer: WebGLRenderer, camera: Camera): void {
    const [near, aside, far] = [this.#target(0), this.#target(1), this.#target(2)];
    renderer.setRenderTarget(near);
    renderer.clear();
    renderer.render(this.#light, camera);
    // A tight halo, and from it a faint one that reaches further.
    for (const [from, to, reach] of [
      [near, near, 1],
      [near, far, 3.2],
    ] as const) {
      // prettier-ignore
      this.#pass(renderer, camera, from, aside, reach / from.width, 0);
      this.#pass(renderer, camera, aside, to, 0, reach / from.height);
    }
    renderer.setRenderTarget(null);
  }

  /** Adds the halo to what has been drawn. */
  draw(renderer: WebGLRenderer, camera: Camera): void {
    this.#quad.material = this.#add;
    renderer.render(this.#screen, camera);
  }

  dispose(): void {
    for (const target of this.#targets) target.dispose();
    this.#quad.geometry.dispose();
    this.#blur.dispose();
    this.#add.dispose();
  }

  #pass(
    renderer: WebGLRenderer,
    camera: Camera,
    from: WebGLRenderTarget,
    to: WebGLRenderTarget,
    x: number,
    y: number,
  ): void {
    // prettier-ignore
    this.#blurring.uImage.value = from.texture;
    this.#blurring.uStep.value.set(x, y);
    this.#quad.material = this.#blur;
    renderer.setRenderTarget(to);
    renderer.render(this.#screen, camera);
  }

  #target(n: number): WebGLRenderTarget {
    return this.#targets[n]!;
  }
}
