/** The sphere on a canvas: draws what the session holds, as often as the screen wants. */

import {
  AdditiveBlending,
  DataTexture,
  FloatType,
  Matrix3,
  Mesh,
  PerspectiveCamera,
  Points,
  RGBAFormat,
  Scene,
  Vector3,
  WebGLRenderer,
  type RawShaderMaterial,
} from "three";

import { FACES, hit, type Vec3 } from "../sphere/geometry";
import { cellCount } from "../sphere/topology";
import type { Planes } from "../state/planes";
import type { Kind, Session } from "../state/session";
import { CellTextures } from "./cell_textures";
import { Halo } from "./halo";
import { material } from "./material";
import { screenGeometry, sphereGeometry, starGeometry } from "./mesh";
import { FIELD_OF_VIEW, Orbit } from "./orbit";
import { Shader, SHADES } from "./palette";
import { Pointer } from "./pointer";
import { Governor } from "./quality";
import { screenVertex, skyFragment, sphereFragment, sphereVertex, starFragment, starVertex } from "./shaders";

/** The way to the sun: right, up, towards the viewer. */
const SUN: Vec3 = [-0.48, 0.52, 0.70654];
/** How far the air reaches, in radii of the world. */
const AIR = 0.03;
/** How long a change of a cell takes to be seen, in seconds. */
const FADE = 0.3;

export class Viewer {
  readonly orbit = new Orbit();
  readonly #session: Session;
  readonly #canvas: HTMLCanvasElement;
  readonly #renderer: WebGLRenderer;
  readonly #scene = new Scene();
  readonly #camera = new PerspectiveCamera((FIELD_OF_VIEW * 180) / Math.PI, 1, 0.01, 100);
  readonly #pointer: Pointer;
  readonly #globe: Mesh;
  readonly #halo: Halo;
  readonly #governor: Governor;
  readonly #stop: (() => void)[] = [];
  readonly #view = {
    uEye: { value: new Vector3() },
    uSun: { value: new Vector3() },
    /** Pixels that a radius of the world takes at its limb. */
    uLimb: { value: 1 },
  };
  readonly #sky = {
    uRight: { value: new Vector3() },
    uUp: { value: new Vector3() },
    uAhead: { value: new Vector3() },
    uAir: { value: AIR },
    uHidden: { value: 0 },
  };
  readonly #cells = {
    uCells: { value: null as CellTextures["cells"] | null },
    uChanges: { value: null as CellTextures["changes"] | null },
    uPoles: { value: new Uint32Array(4) },
    uPalette: { value: new DataTexture() },
    uFrequency: { value: 1 },
    uKindCount: { value: 0 },
    uPointed: { value: -1 },
    uTaps: { value: 1 },
    uNow: { value: 0 },
    uFade: { value: 0 },
    uHaze: { value: 1 },
    uSwell: { value: 1 },
    uFaces: { value: FACES.map(({ inverse: [a, p, q] }) => new Matrix3(a[0], p[0], q[0], a[1], p[1], q[1], a[2], p[2], q[2])) }, // prettier-ignore
  };
  readonly #stars = { uScale: { value: 1 } };
  #planes: Planes | undefined;
  #textures: CellTextures | undefined;
  #shader = new Shader([]);
  #frame = 0;
  #last: number | undefined;
  /** Until when cells change before the viewer's eyes, on the clock of frames. */
  #fadingUntil = 0;
  /** Whether something else than time, camera or cells has changed. */
  #stale = true;

  constructor(canvas: HTMLCanvasElement, session: Session, quality?: number) {
    this.#governor = new Governor(quality);
    this.#canvas = canvas;
    this.#session = session;
    // The limb is drawn smooth by its shader, and nothing else has an edge.
    this.#renderer = new WebGLRenderer({ canvas, antialias: false, depth: false, powerPreference: "high-performance" }); // prettier-ignore
    this.#renderer.autoClear = false;

    const behind = { depthTest: false, depthWrite: false, transparent: true };
    const uniforms = { ...this.#view, ...this.#cells };
    const sky = material(screenVertex, skyFragment, { ...this.#view, ...this.#sky }, { depthTest: false, depthWrite: false }); // prettier-ignore
    const stars = material(starVertex, starFragment, this.#stars, { ...behind, blending: AdditiveBlending });
    const globe = material(sphereVertex, sphereFragment, uniforms, behind);
    const glow = material(sphereVertex, sphereFragment, uniforms, { ...behind, transparent: false, defines: { GLOW: 1 } }); // prettier-ignore
    const sphere = sphereGeometry();
    this.#globe = new Mesh(sphere, globe);
    this.#globe.visible = false;
    [new Mesh(screenGeometry(), sky), new Points(starGeometry(), stars), this.#globe].forEach((object, n) => {
      object.frustumCulled = false;
      object.renderOrder = n;
      this.#scene.add(object);
    });
    const light = new Mesh(sphere, glow);
    light.frustumCulled = false;
    this.#halo = new Halo(light);

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
    this.#halo.dispose();
    this.#scene.traverse((object) => {
      if (object instanceof Mesh || object instanceof Points) {
        (object as Mesh).geometry.dispose();
        ((object as Mesh).material as RawShaderMaterial).dispose();
      }
    });
    this.#cells.uPalette.value.dispose();
    this.#renderer.dispose();
    // A page may only have a few contexts, and the canvas is not used again.
    this.#renderer.forceContextLoss();
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
    planes.touch();
    this.#textures = new CellTextures(this.#renderer, planes.frequency);
    this.#cells.uCells.value = this.#textures.cells;
    this.#cells.uChanges.value = this.#textures.changes;
    this.#cells.uPoles.value = this.#textures.poles;
    this.#cells.uFade.value = this.#textures.fades ? FADE : 0;
    this.#cells.uFrequency.value = planes.frequency;
    this.#resize();
  }

  #colour(kinds: readonly Kind[]): void {
    this.#shader = new Shader(kinds);
    const { data, rows } = this.#shader;
    this.#cells.uPalette.value.dispose();
    const texture = new DataTexture(data, SHADES, rows, RGBAFormat, FloatType);
    texture.needsUpdate = true;
    this.#cells.uPalette.value = texture;
    this.#cells.uKindCount.value = kinds.length;
    this.#stale = true;
    // Shades of the cells were found by the kinds from before.
    this.#planes?.touch();
  }

  #resize(): void {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (width === 0 || height === 0) return;
    const { pixelRatio, fine } = this.#governor.quality;
    const ratio = pixelRatio < 1 ? pixelRatio : Math.min(window.devicePixelRatio, pixelRatio);
    this.#renderer.setPixelRatio(ratio);
    this.#renderer.setSize(width, height, false);
    this.#halo.resize(width / height);
    this.#camera.aspect = width / height;
    this.#stars.uScale.value = 2.6 * ratio;
    this.#cells.uTaps.value = fine ? 4 : 1;
    this.#stale = true;
    const cells = cellCount(this.#planes?.frequency ?? 64);
    // A hexagon of area A is sqrt(2A / sqrt(3)) wide.
    this.orbit.fit(width / height, Math.sqrt((8 * Math.PI) / (cells * Math.sqrt(3))));
  }

  readonly #draw = (now: number): void => {
    this.#frame = requestAnimationFrame(this.#draw);
    const seconds = this.#last === undefined ? 0 : (now - this.#last) / 1_000;
    this.#last = now;
    if (this.#governor.frame(seconds)) this.#resize();
    this.#session.frameDrawn(now);
    const moved = this.orbit.advance(seconds, this.#pointer.held);
    this.#aim();
    const pointed = this.#point();
    const changed =
      this.#textures && this.#planes && this.#textures.update(this.#planes, this.#shader, now / 1_000);
    if (!moved && !this.#pointer.held) this.#look();
    if (changed) this.#fadingUntil = now + 1_000 * FADE + 50;
    // A world at rest is not drawn again.
    if (!(moved || pointed || this.#stale || now < this.#fadingUntil)) return;
    this.#stale = false;

    this.#cells.uNow.value = now / 1_000;
    const halo = this.#globe.visible && this.#shader.glows && this.#governor.quality.halo;
    if (halo) this.#halo.prepare(this.#renderer, this.#camera);
    this.#renderer.clear();
    this.#renderer.render(this.#scene, this.#camera);
    if (halo) this.#halo.draw(this.#renderer, this.#camera);
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
    this.#view.uEye.value.set(...eye);
    this.#view.uSun.value.set(0, 0, 0);
    [right, up, ahead].forEach((axis, n) =>
      this.#view.uSun.value.addScaledVector(new Vector3(...axis), n === 2 ? -SUN[2] : SUN[n]!),
    );
    this.#sky.uRight.value.set(...right).multiplyScalar(half * camera.aspect);
    this.#sky.uUp.value.set(...up).multiplyScalar(half);
    this.#sky.uAhead.value.set(...ahead);
    const toLimb = Math.sqrt((1 + this.orbit.height) ** 2 - 1);
    const limb = this.#renderer.domElement.height / (2 * half * toLimb);
    this.#view.uLimb.value = limb;
    this.#cells.uSwell.value = 1 + 0.75 / limb;
    this.#sky.uHidden.value = this.#globe.visible ? 1 - 1.5 / limb : 0;
    // Close to the ground the limb's veil would cover everything.
    this.#cells.uHaze.value = Math.min(1, 0.25 + this.orbit.height);
  }

  /** Tells where the view has come to rest. */
  #look(): void {
    const planes = this.#planes;
    if (!planes || !this.#session.status.get().world?.partial) return;
    const middle = this.orbit.pick(0, 0, this.#camera.aspect)!;
    this.#session.lookAt(hit(planes.frequency, middle).cell, this.orbit.reach(this.#camera.aspect));
  }

  /** Finds the cell under the pointer; true if it is another one than before. */
  #point(): boolean {
    const place = this.#pointer.place;
    const planes = this.#planes;
    const at = place && planes && this.orbit.pick(place[0], place[1], this.#camera.aspect);
    const cell = at ? hit(planes.frequency, at).cell : undefined;
    const before = this.#cells.uPointed.value;
    this.#cells.uPointed.value = cell ?? -1;
    this.#session.pointed.set(cell);
    return before !== this.#cells.uPointed.value;
  }
}
