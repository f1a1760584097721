/** Messages written by the server's own encoder: both sides read the same files. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { describe, expect, it } from "vitest";

import { decodeField, type FieldMessage } from "../src/protocol/field";
import { cellCount } from "../src/sphere/topology";
import { Planes, UNKNOWN } from "../src/state/planes";

const folder = join(fileURLToPath(new URL(".", import.meta.url)), "../../test/fixtures/wire/field");

interface Expected {
  readonly tick: number;
  readonly since?: number;
  readonly kinds: readonly number[];
  readonly amounts: readonly number[];
}

function read(file: string): FieldMessage {
  const result = decodeField(new Uint8Array(readFileSync(join(folder, file))));
  if (!result.ok) throw new Error(`${file}: ${result.error.message}`);
  return result.value;
}

/** The planes after these files, one after the other. */
function after(...files: string[]): Planes {
  const planes = new Planes(read(files[0]!).frequency);
  for (const file of files) expect(planes.apply(read(file)), file).toBe("applied");
  return planes;
}

const seen = (planes: Planes) => ({ kinds: [...planes.kinds], amounts: [...planes.amounts] });

describe.runIf(existsSync(folder))("golden files", () => {
  const expected = (file: string) =>
    (JSON.parse(readFileSync(join(folder, "field.json"), "utf8")) as Record<string, Expected>)[file]!;

  it("a keyframe holds every cell", () => {
    const { tick, kinds, amounts } = expected("keyframe_f4.bin");
    expect(read("keyframe_f4.bin")).toMatchObject({ type: "keyframe", frequency: 4, since: tick, tick });
    expect(seen(after("keyframe_f4.bin"))).toEqual({ kinds, amounts });
  });

  it("a diff leads on from it", () => {
    const { since, tick, kinds, amounts } = expected("diff_f4.bin");
    expect(read("diff_f4.bin")).toMatchObject({ type: "diff", frequency: 4, since, tick });
    expect(seen(after("keyframe_f4.bin", "diff_f4.bin"))).toEqual({ kinds, amounts });
  });

  it("a keyframe of an area leaves the rest unknown", () => {
    const { kinds, amounts } = expected("keyframe_f4.bin");
    const part = after("keyframe_f4_chunk3.bin");
    const inside = (cell: number) => cell >= 3 * 16 && cell < 4 * 16;
    for (let cell = 0; cell < cellCount(4); cell++) {
      expect(part.kinds[cell]).toBe(inside(cell) ? kinds[cell] : UNKNOWN);
      expect(part.amounts[cell]).toBe(inside(cell) ? amounts[cell] : 0);
    }
  });

  it("a diff of an area leads on there", () => {
    const [before, later] = [expected("keyframe_f4.bin"), expected("diff_f4.bin")];
    const part = after("keyframe_f4.bin", "diff_f4_chunk0.bin");
    const inside = (cell: number) => cell < 16;
    for (let cell = 0; cell < cellCount(4); cell++) {
      expect(part.kinds[cell]).toBe((inside(cell) ? later : before).kinds[cell]);
      expect(part.amounts[cell]).toBe((inside(cell) ? later : before).amounts[cell]);
    }
  });
});
