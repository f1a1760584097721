/** What a frame may cost: less is drawn where frames come too slowly. */

export interface Quality {
  /** Device pixels for each CSS pixel at most. */
  readonly pixelRatio: number;
  /** Whether several cells in a pixel are mixed. */
  readonly fine: boolean;
  /** Whether cells that give light have a halo. */
  readonly halo: boolean;
}

const LEVELS: readonly Quality[] = [
  { pixelRatio: 2, fine: true, halo: true },
  { pixelRatio: 1, fine: true, halo: true },
  { pixelRatio: 1, fine: false, halo: false },
  { pixelRatio: 0.75, fine: false, halo: false },
  { pixelRatio: 0.5, fine: false, halo: false },
];

/** Fewer frames per second than this are too few. */
const LEAST = 24;
/** Judged over this many frames and this long. */
const FRAMES = 12;
const SECONDS = 1.5;
/** A longer pause is a hidden page or a sleeping machine and says nothing. */
const PAUSE = 1;

export class Governor {
  readonly #pinned: boolean;
  #level: number;
  #frames = 0;
  #seconds = 0;

  /** Stays at a level, 0 being the best, if one is given. */
  constructor(level?: number) {
    this.#pinned = level !== undefined;
    this.#level = Math.max(0, Math.min(LEVELS.length - 1, Math.round(level ?? 0)));
  }

  get quality(): Quality {
    return LEVELS[this.#level]!;
  }

  /** Takes the time between two frames; true if the quality has just been lowered. */
  frame(seconds: number): boolean {
    if (this.#pinned || seconds > PAUSE) {
      this.#frames = this.#seconds = 0;
      return false;
    }
    this.#frames++;
    this.#seconds += seconds;
    if (this.#frames < FRAMES || this.#seconds < SECONDS) return false;
    const slow = this.#frames / this.#seconds < LEAST;
    this.#frames = this.#seconds = 0;
    if (!slow || this.#level === LEVELS.length - 1) return false;
    this.#level++;
    return true;
  }
}
