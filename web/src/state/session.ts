/** What the page knows of its world: the one place where messages become state. */

import type { FieldMessage } from "../protocol/field";
import { connect, type Link, type LinkListener, type LinkOptions, type Phase } from "../protocol/link";
import type { Kind, WorldInfo } from "../protocol/payload";
import type { WireError } from "../protocol/result";
import { angle, position } from "../sphere/geometry";
import { Planes, UNKNOWN } from "./planes";
import { Rate } from "./rate";
import { Store } from "./store";

export type { Kind, LinkOptions, Phase };

export interface Status {
  readonly phase: Phase;
  readonly detail: string | undefined;
  readonly world: WorldInfo | undefined;
  readonly tick: number | undefined;
  /** Ticks of the server per second, as seen here. */
  readonly ups: number | undefined;
  readonly latencyMs: number | undefined;
  readonly players: number | undefined;
  /** Frames drawn per second. */
  readonly fps: number | undefined;
  /** Cells of each kind. */
  readonly census: readonly number[];
  /** Messages that were refused since the page was loaded. */
  readonly invalid: number;
}

export interface CellInfo {
  readonly id: number;
  readonly kind: Kind | undefined;
  readonly amount: number;
}

const UNSEEN: Status = {
  phase: "connecting",
  detail: undefined,
  world: undefined,
  tick: undefined,
  ups: undefined,
  latencyMs: undefined,
  players: undefined,
  fps: undefined,
  census: [],
  invalid: 0,
};

/** Numbers on the panel are refreshed this often; the tick at once. */
const REFRESH_MS = 250;
/** The server is asked for another area this often at most. */
const LOOK_MS = 400;
/** In cells from the middle; the server tells of some hundred thousand cells at most. */
const LOOK_RADIUS = { least: 32, most: 256 };
/** Counting cells takes a while in large worlds. */
const CENSUS_EVERY = 4;

export class Session implements LinkListener {
  readonly status = new Store<Status>(UNSEEN);
  /** Replaced when a world of another frequency is joined. */
  readonly planes = new Store<Planes | undefined>(undefined);
  /** The cell that the pointer names. */
  readonly pointed = new Store<number | undefined>(undefined);
  readonly #ticks = new Rate();
  readonly #frames = new Rate(2_000);
  #drawn = 0;
  #link: Link | undefined;
  #looked: { readonly cell: number; readonly radius: number } | undefined;
  #lookedAt = -Infinity;

  /** Connects; returns what ends it. */
  start(options: LinkOptions): () => void {
    const link = connect(options, this);
    this.#link = link;
    let round = 0;
    const timer = setInterval(
      () => this.refresh(performance.now(), round++ % CENSUS_EVERY === 0),
      REFRESH_MS,
    );
    return () => {
      clearInterval(timer);
      link.close();
    };
  }

  phase(phase: Phase, detail?: string): void {
    if (phase !== "live") this.#ticks.reset();
    this.status.update({
      phase,
      detail,
      ...(phase === "live" ? {} : { ups: undefined, latencyMs: undefined }),
    });
  }

  joined(world: WorldInfo): void {
    this.#looked = undefined;
    this.status.update({ world });
    if (this.planes.get()?.frequency !== world.frequency) this.planes.set(new Planes(world.frequency));
  }

  field(message: FieldMessage): "applied" | "gap" {
    let planes = this.planes.get();
    if (message.type === "keyframe" && planes?.frequency !== message.frequency) {
      planes = new Planes(message.frequency);
      this.planes.set(planes);
    }
    if (planes?.apply(message) === "applied") {
      this.#ticks.sample(performance.now(), planes.tick);
      this.status.update({ tick: planes.tick });
      return "applied";
    }
    return planes && planes.tick > message.tick ? "applied" : "gap";
  }

  invalid(error: WireError): void {
    console.warn("refused a message of the server:", error.code, error.message, error.offset ?? "");
    this.status.update({ invalid: this.status.get().invalid + 1 });
  }

  latency(latencyMs: number): void {
    this.status.update({ latencyMs });
  }

  players(players: number): void {
    this.status.update({ players });
  }

  /** Tells what the viewer looks at: the cell in the middle, and how far around it is seen, in radians. */
  lookAt(cell: number, reach: number): void {
    const { world, phase } = this.status.get();
    if (!world?.partial || phase !== "live") return;
    const now = performance.now();
    if (now - this.#lookedAt < LOOK_MS) return;
    // From a cell to the next it is 1.11 / f radians on average.
    const step = 1.11 / world.frequency;
    const radius = Math.round(Math.min(LOOK_RADIUS.most, Math.max(LOOK_RADIUS.least, reach / step)));
    const before = this.#looked;
    if (before) {
      const moved = angle(position(world.frequency, before.cell), position(world.frequency, cell));
      // A much smaller one is asked for too, which is less to be told of.
      const alike = radius < 1.4 * before.radius && radius > before.radius / 3;
      if (moved < 0.3 * before.radius * step && alike) return;
    }
    this.#looked = { cell, radius };
    this.#lookedAt = now;
    this.#link?.look(cell, radius);
  }

  frameDrawn(at: number): void {
    this.#frames.sample(at, ++this.#drawn);
  }

  refresh(now: number, count: boolean): void {
    const { phase, world } = this.status.get();
    const planes = this.planes.get();
    this.status.update({
      ups: phase === "live" ? this.#ticks.perSecond(now) : undefined,
      fps: this.#frames.perSecond(now),
      ...(count && world && planes ? { census: planes.census(world.kinds.length) } : {}),
    });
  }

  /** What is known of a cell now. */
  cell(id: number): CellInfo | undefined {
    const planes = this.planes.get();
    const kind = planes?.kinds[id];
    if (planes === undefined || kind === undefined) return undefined;
    return {
      id,
      kind: kind === UNKNOWN ? undefined : this.status.get().world?.kinds[kind],
      amount: planes.amounts[id] ?? 0,
    };
  }
}
