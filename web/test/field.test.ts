import { describe, expect, it } from "vitest";

import { decodeField, type FieldMessage } from "../src/protocol/field";
import { header } from "./bytes";

function decoded(bytes: Uint8Array): FieldMessage {
  const result = decodeField(bytes);
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

function refused(bytes: Uint8Array): string {
  const result = decodeField(bytes);
  if (result.ok) throw new Error("was not refused");
  return result.error.code;
}

/** A diff of frequency 4 with a row of each form and a pole. */
const everyForm = () =>
  header("gpd1", 4, 41, 42, 4)
    .u32(7)
    .u8(0)
    .u8(1, 2, 3, 4)
    .u16(10, 20, 30, 65535)
    .u32(39)
    .u8(1)
    .u16(2)
    .u16(3)
    .u8(6)
    .u16(60)
    .u16(0)
    .u8(255)
    .u16(0)
    .u32(0)
    .u8(2)
    .u16(1, 2)
    .u8(5, 6)
    .u16(300, 400)
    .u32(41)
    .u8(0)
    .u8(7)
    .u16(9)
    .done();

describe("decodeField", () => {
  it("reads rows of every form", () => {
    const message = decoded(everyForm());
    expect(message).toMatchObject({ type: "diff", frequency: 4, since: 41, tick: 42 });
    expect(message.patches).toEqual([
      { row: 7, column: 0, kinds: Uint8Array.of(1, 2, 3, 4), amounts: Uint16Array.of(10, 20, 30, 65535) },
      {
        row: 39,
        columns: Uint16Array.of(3, 0),
        kinds: Uint8Array.of(6, 255),
        amounts: Uint16Array.of(60, 0),
      },
      { row: 0, column: 1, kinds: Uint8Array.of(5, 6), amounts: Uint16Array.of(300, 400) },
      { row: 41, column: 0, kinds: Uint8Array.of(7), amounts: Uint16Array.of(9) },
    ]);
  });

  it("reads a message that does not begin where its buffer does", () => {
    const bytes = everyForm();
    const inside = new Uint8Array(bytes.length + 9);
    inside.set(bytes, 3);
    expect(decoded(inside.subarray(3, 3 + bytes.length))).toEqual(decoded(bytes));
  });

  it("reads an empty diff, an empty keyframe and the greatest tick", () => {
    expect(decoded(header("gpd1", 1, 0, 2 ** 53 - 1, 0).done()).tick).toBe(Number.MAX_SAFE_INTEGER);
    expect(decoded(header("gpk1", 4096, 5, 5, 0).done()).type).toBe("keyframe");
  });

  it("refuses every message that ends early, and one that goes on", () => {
    const bytes = everyForm();
    for (let length = 0; length < bytes.length; length++) {
      expect(refused(bytes.subarray(0, length)), `${length} bytes`).toBe("truncated");
    }
    expect(refused(Uint8Array.of(...bytes, 0))).toBe("trailing");
  });

  it("refuses unknown magics, forms, frequencies and ticks", () => {
    expect(refused(header("gpk2", 4, 1, 1, 0).done())).toBe("invalid");
    expect(refused(header("gpk1", 0, 1, 1, 0).done())).toBe("invalid");
    expect(refused(header("gpk1", 4097, 1, 1, 0).done())).toBe("invalid");
    expect(refused(header("gpk1", 4, 1, 2, 0).done())).toBe("invalid");
    expect(refused(header("gpd1", 4, 3, 2, 0).done())).toBe("invalid");
    expect(refused(header("gpd1", 4, 1, 2 ** 53, 0).done())).toBe("invalid");
    expect(refused(header("gpd1", 4, 1, 2, 1).u32(0).u8(3).done())).toBe("invalid");
    expect(refused(header("gpd1", 4, 1, 2, 1).u32(0).u8(2).u16(0, 0).done())).toBe("invalid");
  });

  it("refuses rows and columns beside the sphere", () => {
    const row = (n: number) => header("gpd1", 4, 1, 2, 1).u32(n);
    expect(refused(row(42).u8(0).u8(1).u16(1).done())).toBe("out_of_range");
    expect(refused(row(0xffffffff).u8(0).u8(1).u16(1).done())).toBe("out_of_range");
    expect(refused(row(3).u8(1).u16(1).u16(4).u8(1).u16(1).done())).toBe("out_of_range");
    expect(refused(row(40).u8(1).u16(1).u16(1).u8(1).u16(1).done())).toBe("out_of_range");
    expect(refused(row(3).u8(2).u16(3, 2).u8(1, 1).u16(1, 1).done())).toBe("out_of_range");
    expect(refused(row(3).u8(2).u16(65535, 65535).done())).toBe("out_of_range");
  });

  it("never throws, whatever the bytes", () => {
    let seed = 1;
    const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
    const good = everyForm();
    for (let n = 0; n < 20_000; n++) {
      const bytes = Uint8Array.from(good);
      for (let k = 0; k <= n % 4; k++)
        bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      const result = decodeField(bytes.subarray(0, Math.ceil(random() * bytes.length)));
      if (!result.ok) expect(result.error.message).not.toBe("");
    }
  });
});
