import { describe, expect, it } from "vitest";

import { decodeField, type FieldMessage } from "../src/protocol/field";
import { Planes, UNKNOWN } from "../src/state/planes";
import { Rate } from "../src/state/rate";
import { Session } from "../src/state/session";
import { Store } from "../src/state/store";
import { header } from "./bytes";

const F = 3;

function message(
  type: "keyframe" | "diff",
  since: number,
  tick: number,
  cells: [row: number, kind: number][],
): FieldMessage {
  const bytes = header(type === "keyframe" ? "gpk1" : "gpd1", F, since, tick, cells.length);
  for (const [row, kind] of cells)
    bytes
      .u32(row)
      .u8(1)
      .u16(1)
      .u16(0)
      .u8(kind)
      .u16(kind * 10);
  const result = decodeField(bytes.done());
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

function dirty(planes: Planes): [number, number][] {
  const rows: [number, number][] = [];
  planes.takeDirty((row, count) => rows.push([row, count]));
  return rows;
}

describe("Planes", () => {
  it("are unknown where no keyframe has named a cell", () => {
    const planes = new Planes(F);
    expect(planes.apply(message("keyframe", 5, 5, [[2, 1]]))).toBe("applied");
    expect([planes.kinds[6], planes.amounts[6], planes.kinds[7]]).toEqual([1, 10, UNKNOWN]);
    expect(planes.census(2)).toEqual([0, 1]);
    planes.apply(message("keyframe", 2, 2, [[3, 1]]));
    expect([planes.tick, planes.kinds[6]]).toEqual([2, UNKNOWN]);
  });

  it("take a diff from any tick between its ends, and see gaps", () => {
    const planes = new Planes(F);
    expect(planes.apply(message("diff", 0, 1, []))).toBe("gap");
    planes.apply(message("keyframe", 5, 5, []));
    expect(planes.apply(message("diff", 4, 7, [[30, 2]]))).toBe("applied");
    expect([planes.tick, planes.kinds[90]]).toEqual([7, 2]);
    expect(planes.apply(message("diff", 5, 6, [[30, 3]]))).toBe("stale");
    expect(planes.apply(message("diff", 8, 9, [[30, 3]]))).toBe("gap");
    expect([planes.tick, planes.kinds[90]]).toEqual([7, 2]);
    expect(new Planes(F + 1).apply(message("keyframe", 5, 5, []))).toBe("gap");
  });

  it("name changed rows once, joined within a diamond", () => {
    const planes = new Planes(F);
    expect(dirty(planes)).toHaveLength(12);
    expect(dirty(planes)).toEqual([]);
    planes.apply(message("keyframe", 0, 0, []));
    dirty(planes);
    planes.apply(message("diff", 0, 1, [[1, 1], [2, 1], [3, 1], [31, 1]])); // prettier-ignore
    expect(dirty(planes)).toEqual([
      [1, 2],
      [3, 1],
      [31, 1],
    ]);
  });
});

describe("Rate", () => {
  it("is what came within the window, and falls when nothing comes", () => {
    const rate = new Rate(3_000);
    expect(rate.perSecond(0)).toBeUndefined();
    for (let n = 0; n <= 200; n++) rate.sample(n * 50, n);
    expect(rate.perSecond(10_000)).toBeCloseTo(20, 0);
    expect(rate.perSecond(13_000)).toBeLessThan(11);
    rate.sample(13_000, 3);
    expect(rate.perSecond(13_100)).toBeUndefined();
  });
});

describe("Store", () => {
  it("tells changes and nothing else", () => {
    const store = new Store({ a: 1, b: 2 });
    let told = 0;
    const stop = store.subscribe(() => told++);
    store.update({ a: 1 });
    store.update({ a: 3 });
    stop();
    store.update({ a: 4 });
    expect([told, store.get()]).toEqual([1, { a: 4, b: 2 }]);
  });
});

describe("Session", () => {
  const world = {
    frequency: F,
    cells: 92,
    tick: 0,
    player: undefined,
    partial: false,
    kinds: [{ name: "rock", color: "#777777" }],
  };

  it("knows cells by what came last", () => {
    const session = new Session();
    expect(session.cell(0)).toBeUndefined();
    session.joined(world);
    expect(session.cell(0)).toEqual({ id: 0, kind: undefined, amount: 0 });
    expect(session.field(message("keyframe", 5, 5, [[0, 0]]))).toBe("applied");
    expect(session.cell(0)).toEqual({ id: 0, kind: world.kinds[0], amount: 0 });
    expect(session.status.get().tick).toBe(5);
    expect(session.cell(92)).toBeUndefined();
  });

  it("asks for a keyframe where a diff does not follow, and not for one that is late", () => {
    const session = new Session();
    session.joined(world);
    expect(session.field(message("diff", 1, 2, []))).toBe("gap");
    session.field(message("keyframe", 5, 5, []));
    expect(session.field(message("diff", 6, 7, []))).toBe("gap");
    expect(session.field(message("diff", 3, 4, []))).toBe("applied");
  });

  it("takes a world of another size in place of the one before", () => {
    const session = new Session();
    session.joined({ ...world, frequency: 2 });
    expect(session.planes.get()?.frequency).toBe(2);
    expect(session.field(message("keyframe", 5, 5, []))).toBe("applied");
    expect(session.planes.get()?.frequency).toBe(F);
  });
});
