/** The sphere on a canvas: draws what the session holds, as often as the screen wants. */

import {
  AdditiveBlending,
  DataTexture,
  FloatType,
  GLSL3,
  Matrix3,
  Mesh,
  PerspectiveCamera,
  Points,
  RawShaderMaterial,
  RGBAFormat,
  Scene,
  Vector3,
  WebGLRenderer,
  type IUniform,
} from "three";

import { hit, FACES, type Vec3 } from "../sphere/geometry";
import { cellCount } from "../sphere/topology";
import type { Planes } from "../state/planes";
import type { Kind, Session } from "../state/session";
import { CellTextures } from "./cell_textures";
import { screenGeometry, sphereGeometry, starGeometry } from "./mesh";
import { FIELD_OF_VIEW, Orbit } from "./orbit";
import { palette, PALETTE_WIDTH } from "./palette";
import { Pointer } from "./pointer";
import { screenVertex, skyFragment, sphereFragment, sphereVertex, starFragment, starVertex } from "./shaders";

/** The way to the sun: right, up, towards the viewer. */
const SUN: Vec3 = [-0.48, 0.52, 0.70654];
/** How far the air reaches, in radii of the world. */
const AIR = 0.03;
/** More device pixels than this for each CSS pixel cost much and show little. */
const MAX_PIXEL_RATIO = 2;

type Uniforms = Record<string, IUniform>;

const shader = (vertexShader: string, fragmentShader: string, uniforms: Uniforms, more = {}) =>
  new RawShaderMaterial({ vertexShader, fragmentShader, uniforms, glslVersion: GLSL3, ...more });

export class Viewer {
  readonly orbit = new Orbit();
  readonly #session: Session;
  readonly #canvas: HTMLCanvasElement;
  readonly #renderer: WebGLRenderer;
  readonly #scene = new Scene();
  readonly #camera = new PerspectiveCamera((FIELD_OF_VIEW * 180) / Math.PI, 1, 0.01, 100);
  readonly #pointer: Pointer;
  readonly #globe: Mesh;
  readonly #stop: (() => void)[] = [];
  readonly #shared = {
    uEye: { value: new Vector3() },
    uSun: { value: new Vector3() },
  };
  readonly #sky = {
    uRight: { value: new Vector3() },
    uUp: { value: new Vector3() },
    uAhead: { value: new Vector3() },
    uAir: { value: AIR },
  };
  readonly #cells = {
    uKinds: { value: null as CellTextures["kinds"] | null },
    uAmounts: { value: null as CellTextures["amounts"] | null },
    uPoles: { value: new Uint32Array(4) },
    uPalette: { value: new DataTexture() },
    uFrequency: { value: 1 },
    uKindCount: { value: 0 },
    uPointed: { value: -1 },
    uHaze: { value: 1 },
    uFaces: { value: FACES.map(({ inverse: [a, p, q] }) => new Matrix3(a[0], p[0], q[0], a[1], p[1], q[1], a[2], p[2], q[2])) }, // prettier-ignore
  };
  readonly #stars = { uScale: { value: 1 } };
  #planes: Planes | undefined;
  #textures: CellTextures | undefined;
  #frame = 0;
  #last: number | undefined;

  constructor(canvas: HTMLCanvasElement, session: Session) {
    this.#canvas = canvas;
    this.#session = session;
    this.#renderer = new WebGLRenderer({ canvas, antialias: true, powerPreference: "high-performance" });
    this.#renderer.autoClear = false;
    this.#renderer.info.autoReset = false;

    const sky = shader(screenVertex, skyFragment, { ...this.#shared, ...this.#sky }, { depthTest: false, depthWrite: false }); // prettier-ignore
    const stars = shader(starVertex, starFragment, this.#stars, { depthTest: false, depthWrite: false, blending: AdditiveBlending, transparent: true }); // prettier-ignore
    const globe = shader(sphereVertex, sphereFragment, { ...this.#shared, ...this.#cells });
    this.#globe = new Mesh(sphereGeometry(), globe);
    this.#globe.visible = false;
    // Stars are drawn by the additive pass, so the globe must come after them and be "transparent" too.
    globe.transparent = true;
    globe.depthTest = globe.depthWrite = true;
    [new Mesh(screenGeometry(), sky), new Points(starGeometry(), stars), this.#globe].forEach((object, n) => {
      object.frustumCulled = false;
      object.renderOrder = n;
      this.#scene.add(object);
    });
    sky.transparent = true;

    this.#pointer = new Pointer(canvas, this.orbit);
    this.#watch(session);
    const resized = new ResizeObserver(() => this.#resize());
    resized.observe(canvas);
    this.#stop.push(() => resized.disconnect());
    this.#resize();
    this.#frame = requestAnimationFrame(this.#draw);
  }

  dispose(): void {
    cancelAnimationFrame(this.#frame);
    for (const stop of this.#stop) stop();
    this.#pointer.dispose();
    this.#textures?.dispose();
    this.#scene.traverse((object) => {
      if (object instanceof Mesh || object instanceof Points) {
        (object as Mesh).geometry.dispose();
        ((object as Mesh).material as RawShaderMaterial).dispose();
      }
    });
    this.#cells.uPalette.value.dispose();
    this.#renderer.dispose();
  }

  #watch({ planes, status }: Session): void {
    const takePlanes = () => this.#show(planes.get());
    let kinds: readonly Kind[] | undefined;
    const takeKinds = () => {
      const { world } = status.get();
      if (!world || world.kinds === kinds) return;
      kinds = world.kinds;
      this.#colour(kinds);
    };
    takePlanes();
    takeKinds();
    this.#stop.push(planes.subscribe(takePlanes), status.subscribe(takeKinds));
  }

  #show(planes: Planes | undefined): void {
    this.#textures?.dispose();
    this.#textures = undefined;
    this.#planes = planes;
    this.#globe.visible = planes !== undefined;
    if (!planes) return;
    this.#textures = new CellTextures(this.#renderer, planes.frequency);
    this.#cells.uKinds.value = this.#textures.kinds;
    this.#cells.uAmounts.value = this.#textures.amounts;
    this.#cells.uPoles.value = this.#textures.poles;
    this.#cells.uFrequency.value = planes.frequency;
    this.#resize();
  }

  #colour(kinds: readonly Kind[]): void {
    const { data, rows } = palette(kinds);
    this.#cells.uPalette.value.dispose();
    const texture = new DataTexture(data, PALETTE_WIDTH, rows, RGBAFormat, FloatType);
    texture.needsUpdate = true;
    this.#cells.uPalette.value = texture;
    this.#cells.uKindCount.value = kinds.length;
  }

  #resize(): void {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (width === 0 || height === 0) return;
    const ratio = Math.min(window.devicePixelRatio, MAX_PIXEL_RATIO);
    this.#renderer.setPixelRatio(ratio);
    this.#renderer.setSize(width, height, false);
    this.#camera.aspect = width / height;
    this.#stars.uScale.value = 2.2 * ratio;
    const cells = cellCount(this.#planes?.frequency ?? 64);
    // A hexagon of area A is sqrt(2A / sqrt(3)) wide.
    this.orbit.fit(width / height, Math.sqrt((8 * Math.PI) / (cells * Math.sqrt(3))));
  }

  readonly #draw = (now: number): void => {
    this.#frame = requestAnimationFrame(this.#draw);
    const seconds = this.#last === undefined ? 0 : (now - this.#last) / 1_000;
    this.#last = now;
    this.orbit.advance(seconds, this.#pointer.held);
    this.#aim();
    this.#point();
    if (this.#planes) this.#textures?.update(this.#planes);
    this.#renderer.info.reset();
    this.#renderer.clear();
    this.#renderer.render(this.#scene, this.#camera);
    this.#session.frameDrawn(now);
  };

  #aim(): void {
    const { eye, right, up, ahead } = this.orbit.axes();
    const camera = this.#camera;
    camera.near = this.orbit.height * 0.3;
    camera.far = this.orbit.height + 1.2;
    camera.position.set(...eye);
    camera.up.set(...up);
    camera.lookAt(0, 0, 0);
    camera.updateProjectionMatrix();

    const half = Math.tan(FIELD_OF_VIEW / 2);
    this.#shared.uEye.value.set(...eye);
    this.#shared.uSun.value.set(0, 0, 0);
    [right, up, ahead].forEach((axis, n) =>
      this.#shared.uSun.value.addScaledVector(new Vector3(...axis), n === 2 ? -SUN[2] : SUN[n]!),
    );
    this.#sky.uRight.value.set(...right).multiplyScalar(half * camera.aspect);
    this.#sky.uUp.value.set(...up).multiplyScalar(half);
    this.#sky.uAhead.value.set(...ahead);
    // Close to the ground the limb's veil would cover everything.
    this.#cells.uHaze.value = Math.min(1, 0.25 + this.orbit.height);
  }

  #point(): void {
    const place = this.#pointer.place;
    const planes = this.#planes;
    const at = place && planes && this.orbit.pick(place[0], place[1], this.#camera.aspect);
    const cell = at ? hit(planes.frequency, at).cell : undefined;
    this.#cells.uPointed.value = cell ?? -1;
    this.#session.pointed.set(cell);
  }
}
