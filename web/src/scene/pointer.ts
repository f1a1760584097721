/** Mouse, pen, fingers and keys on the canvas, turned into turns of the orbit and a place pointed at. */

import type { Orbit } from "./orbit";

/** A press that moves less than this many CSS pixels is a tap. */
const TAP_PIXELS = 8;

type Place = readonly [x: number, y: number];

export class Pointer {
  /** In -1..1 from left to right and bottom to top; undefined while nothing is pointed at. */
  place: Place | undefined;
  readonly #canvas: HTMLCanvasElement;
  readonly #orbit: Orbit;
  readonly #pressed = new Map<number, { x: number; y: number }>();
  readonly #events = new AbortController();
  #moved = 0;
  #lastMove = 0;

  constructor(canvas: HTMLCanvasElement, orbit: Orbit) {
    this.#canvas = canvas;
    this.#orbit = orbit;
    const { signal } = this.#events;
    canvas.addEventListener("pointerdown", (event) => this.#down(event), { signal });
    canvas.addEventListener("pointermove", (event) => this.#move(event), { signal });
    canvas.addEventListener("pointerup", (event) => this.#up(event), { signal });
    canvas.addEventListener("pointercancel", (event) => this.#up(event), { signal });
    canvas.addEventListener("pointerleave", (event) => this.#leave(event), { signal });
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { signal, passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event), { signal });
  }

  /** Whether a finger or button is down. */
  get held(): boolean {
    return this.#pressed.size > 0;
  }

  dispose(): void {
    this.#events.abort();
  }

  #down(event: PointerEvent): void {
    if (event.button !== 0) return;
    try {
      this.#canvas.setPointerCapture(event.pointerId);
    } catch {
      // A pointer that has already gone cannot be captured.
    }
    this.#pressed.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.#orbit.hold();
    if (this.#pressed.size === 1) this.#moved = 0;
    this.#lastMove = event.timeStamp;
  }

  #move(event: PointerEvent): void {
    const pressed = this.#pressed.get(event.pointerId);
    if (!pressed) {
      if (event.pointerType !== "touch") this.place = this.#placeOf(event);
      return;
    }
    const [dx, dy] = [event.clientX - pressed.x, event.clientY - pressed.y];
    const others = [...this.#pressed].filter(([id]) => id !== event.pointerId).map(([, other]) => other);
    const other = others[0];
    if (other) {
      const before = Math.hypot(pressed.x - other.x, pressed.y - other.y);
      const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
      if (before > 0 && after > 0) this.#orbit.zoom(before / after);
    }
    // Of two fingers each moves the middle by half.
    const share = 1 / this.#pressed.size;
    const seconds = (event.timeStamp - this.#lastMove) / 1_000;
    this.#orbit.drag(dx * share, dy * share, this.#canvas.clientHeight, seconds);
    this.#lastMove = event.timeStamp;
    this.#moved += Math.hypot(dx, dy);
    this.#pressed.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (event.pointerType !== "touch") this.place = this.#placeOf(event);
  }

  #up(event: PointerEvent): void {
    if (!this.#pressed.delete(event.pointerId)) return;
    // A world that rested before it was let go stays where it is.
    if (event.timeStamp - this.#lastMove > 80 || this.#pressed.size > 0) this.#orbit.hold();
    if (event.pointerType === "touch" && event.type === "pointerup" && this.#moved < TAP_PIXELS) {
      this.place = this.#placeOf(event);
    }
  }

  #leave(event: PointerEvent): void {
    if (event.pointerType !== "touch") this.place = undefined;
  }

  #wheel(event: WheelEvent): void {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    const delta = Math.max(-240, Math.min(240, event.deltaY * lines));
    // A pinch on a touchpad comes as a wheel with ctrl, in small steps.
    this.#orbit.zoom(Math.exp(delta * (event.ctrlKey ? 0.01 : 0.0016)));
  }

  #key(event: KeyboardEvent): void {
    const step = 40;
    const height = this.#canvas.clientHeight;
    const moves: Partial<Record<string, () => void>> = {
      ArrowLeft: () => this.#orbit.drag(step, 0, height, 0),
      ArrowRight: () => this.#orbit.drag(-step, 0, height, 0),
      ArrowUp: () => this.#orbit.drag(0, step, height, 0),
      ArrowDown: () => this.#orbit.drag(0, -step, height, 0),
      "+": () => this.#orbit.zoom(0.8),
      "=": () => this.#orbit.zoom(0.8),
      "-": () => this.#orbit.zoom(1.25),
    };
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move();
  }

  #placeOf(event: PointerEvent): Place {
    const box = this.#canvas.getBoundingClientRect();
    return [
      (2 * (event.clientX - box.left)) / box.width - 1,
      1 - (2 * (event.clientY - box.top)) / box.height,
    ];
  }
}
