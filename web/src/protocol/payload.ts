/** Checks what comes as JSON: the join reply, and bytes on transports that cannot carry them bare. */

import { isFrequency } from "../sphere/topology";
import { failure, success, type Result } from "./result";

export interface Kind {
  readonly name: string;
  /** "#rrggbb" */
  readonly color: string;
}

/** What the server tells on joining a world. */
export interface WorldInfo {
  readonly frequency: number;
  readonly cells: number;
  readonly tick: number;
  readonly player: string | undefined;
  /** Whether the server tells of an area only, because the world is large. */
  readonly partial: boolean;
  /** Index = kind code. */
  readonly kinds: readonly Kind[];
}

const UNNAMED_COLORS = [
  "#8a8f98",
  "#4f7fa8",
  "#7fa05a",
  "#a8794f",
  "#8f6bb0",
  "#b0606b",
  "#5aa09a",
  "#b0a04f",
];

export function parseJoinReply(reply: unknown): Result<WorldInfo> {
  if (!isRecord(reply)) return failure("invalid", "the join reply is no object");
  const { frequency, tick, kinds, colors, player, area } = reply;
  if (typeof frequency !== "number" || !isFrequency(frequency)) {
    return failure("invalid", `frequency ${String(frequency)} in the join reply`);
  }
  if (typeof tick !== "number" || !Number.isSafeInteger(tick) || tick < 0) {
    return failure("invalid", `tick ${String(tick)} in the join reply`);
  }
  if (!Array.isArray(kinds) || kinds.length > 256 || !kinds.every((kind) => typeof kind === "string")) {
    return failure("invalid", "kinds in the join reply are no list of names");
  }
  const shades: unknown[] = Array.isArray(colors) ? colors : [];
  return success({
    frequency,
    tick,
    cells: 10 * frequency * frequency + 2,
    player: typeof player === "string" || typeof player === "number" ? String(player) : undefined,
    partial: area !== undefined && area !== null && area !== "all",
    kinds: kinds.map((name: string, n) => {
      const shade = shades[n];
      const fallback = UNNAMED_COLORS[n % UNNAMED_COLORS.length]!;
      return { name, color: typeof shade === "string" && /^#[0-9a-f]{6}$/i.test(shade) ? shade : fallback };
    }),
  });
}

/** The bytes of a push: bare, or as `{"data": base64}`. */
export function parseBytes(payload: unknown): Result<Uint8Array> {
  if (payload instanceof ArrayBuffer) return success(new Uint8Array(payload));
  if (payload instanceof Uint8Array) return success(payload);
  if (!isRecord(payload) || typeof payload["data"] !== "string") {
    return failure("invalid", "a payload without bytes");
  }
  return fromBase64(payload["data"]);
}

export function fromBase64(text: string): Result<Uint8Array> {
  try {
    return success(Uint8Array.from(atob(text), (char) => char.charCodeAt(0)));
  } catch {
    return failure("invalid", "a payload that is no base64");
  }
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
