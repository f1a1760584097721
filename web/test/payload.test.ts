import { describe, expect, it } from "vitest";

import { parseBytes, parseJoinReply } from "../src/protocol/payload";

const reply = {
  tick: 12,
  frequency: 4,
  seed: 7,
  player: "p",
  ups: 20,
  kinds: ["rock", "water"],
  colors: ["#112233", "#AABBCC"],
  cells: 162,
  keyframe: null,
};

describe("parseJoinReply", () => {
  it("takes what the server tells", () => {
    expect(parseJoinReply(reply)).toEqual({
      ok: true,
      value: {
        tick: 12,
        frequency: 4,
        cells: 162,
        player: "p",
        partial: false,
        kinds: [
          { name: "rock", color: "#112233" },
          { name: "water", color: "#AABBCC" },
        ],
      },
    });
  });

  it("sees whether it is told of everything", () => {
    for (const [area, partial] of [
      ["all", false],
      [undefined, false],
      [[1, 2], true],
    ]) {
      // prettier-ignore
      expect(parseJoinReply({ ...reply, area })).toMatchObject({ ok: true, value: { partial } });
    }
  });

  it("finds colours where there are none, or none that it knows", () => {
    for (const colors of [undefined, [], ["red", 7]]) {
      const result = parseJoinReply({ ...reply, colors });
      expect(result.ok && result.value.kinds.map(({ color }) => color)).toEqual([
        expect.stringMatching(/^#/),
        expect.stringMatching(/^#/),
      ]);
    }
  });

  it("refuses what it cannot draw", () => {
    for (const wrong of [
      null,
      [],
      "x",
      { ...reply, frequency: 0 },
      { ...reply, frequency: 4097 },
      { ...reply, frequency: "4" },
      { ...reply, tick: -1 },
      { ...reply, tick: 2 ** 53 },
      { ...reply, kinds: [1] },
      { ...reply, kinds: undefined },
    ]) {
      expect(parseJoinReply(wrong).ok).toBe(false);
    }
  });
});

describe("parseBytes", () => {
  it("takes bytes bare and as base64", () => {
    const bytes = Uint8Array.of(0, 128, 255);
    for (const payload of [bytes, bytes.buffer, { data: "AID/" }]) {
      expect(parseBytes(payload)).toEqual({ ok: true, value: bytes });
    }
  });

  it("refuses anything else", () => {
    for (const payload of [null, {}, { data: 7 }, { data: "*" }, "AID/", []]) {
      expect(parseBytes(payload).ok).toBe(false);
    }
  });
});
