/** One world over the official Phoenix client: joins, rejoins, decodes, measures latency. */

import { LongPoll, Presence, Socket, type Channel } from "phoenix";

import { decodeField, type FieldMessage } from "./field";
import { isRecord, parseBytes, parseJoinReply, type WorldInfo } from "./payload";
import type { WireError } from "./result";

export type Phase =
  /** No connection yet. */
  | "connecting"
  /** Connected; the join is under way. */
  | "joining"
  /** Joined; the keyframe is under way. */
  | "syncing"
  /** Cells are known and diffs come in. */
  | "live"
  /** The connection or the channel was lost and is being taken up again. */
  | "reconnecting"
  /** The server refused the join; it is tried again. */
  | "refused";

export interface LinkOptions {
  /** Where the socket is mounted, such as "/socket". */
  readonly endpoint: string;
  readonly world: string;
  readonly token: string | undefined;
  /** Long poll carries bytes as base64; for networks that let no WebSocket through. */
  readonly transport: "websocket" | "longpoll";
}

export interface LinkListener {
  /** `detail` says why, where the server or the transport told. */
  phase(phase: Phase, detail?: string): void;
  joined(world: WorldInfo): void;
  /** Whether the message fitted; after "gap" a keyframe is asked for. */
  field(message: FieldMessage): "applied" | "gap";
  invalid(error: WireError): void;
  latency(ms: number): void;
  players(count: number): void;
}

export interface Link {
  /** Asks to be told of the cells within so many steps of a cell; a keyframe of them follows. */
  look(cell: number, radius: number): void;
  close(): void;
}

const PING_MS = 2_000;
const PING_TIMEOUT_MS = 8_000;
/** How often a server that does not let the page in is asked why. */
const PROBE_MS = 4_000;
/** How long an answer to `resync` may take before it is asked for again. */
const RESYNC_MS = 4_000;

const retry =
  (delays: readonly number[]) =>
  (tries: number): number =>
    delays[Math.min(tries, delays.length) - 1] ?? 100;

export function connect(options: LinkOptions, listener: LinkListener): Link {
  const longPoll = options.transport === "longpoll";
  const socket = new Socket(options.endpoint, {
    params: options.token === undefined ? {} : { token: options.token },
    reconnectAfterMs: retry([100, 250, 500, 1_000, 2_000]),
    rejoinAfterMs: retry([250, 1_000, 2_000, 5_000]),
    ...(longPoll ? { transport: LongPoll } : {}),
  });
  let channel: Channel | undefined;
  let phase: Phase = "connecting";
  let everLive = false;
  let closed = false;
  let askedAt = -Infinity;
  let probedAt = -Infinity;
  let reopening: ReturnType<typeof setTimeout> | undefined;

  const enter = (next: Phase, detail?: string) => {
    if (closed) return;
    phase = next;
    everLive ||= next === "live";
    listener.phase(next, detail);
  };
  const lost = (detail?: string) => enter(everLive ? "reconnecting" : "connecting", detail);

  // A browser does not tell why a WebSocket was refused, a long poll does.
  const probe = async () => {
    if (performance.now() - probedAt < PROBE_MS) return;
    probedAt = performance.now();
    const token = options.token === undefined ? "" : `&token=${encodeURIComponent(options.token)}`;
    try {
      const answer: unknown = await (await fetch(`${options.endpoint}/longpoll?vsn=2.0.0${token}`)).json();
      if (!isRecord(answer) || answer["status"] !== 403 || phase !== "connecting") return;
      enter("refused", token ? "this ?token= is not taken" : "open the page with ?token=…");
    } catch {
      // It is not there, which the page says already.
    }
  };

  const resync = () => {
    if (channel?.state !== "joined" || performance.now() - askedAt < RESYNC_MS) return;
    askedAt = performance.now();
    enter("syncing", "asked for a keyframe");
    channel.push("resync", {});
  };

  const receive = (payload: unknown) => {
    const bytes = parseBytes(payload);
    const message = bytes.ok ? decodeField(bytes.value) : bytes;
    if (!message.ok) {
      listener.invalid(message.error);
      resync();
      return;
    }
    // What is still on its way from before a resync tells nothing about the answer to it.
    if (phase === "syncing" && message.value.type === "diff") {
      resync();
      return;
    }
    if (listener.field(message.value) === "gap") {
      resync();
    } else if (message.value.type === "keyframe") {
      askedAt = -Infinity;
      enter("live");
    }
  };

  const open = () => {
    const joined = socket.channel(`world:${options.world}`, { binary: !longPoll, watch: true });
    channel = joined;
    joined.on("keyframe", receive);
    joined.on("diff", receive);
    const presence = new Presence(joined);
    presence.onSync(() => listener.players(presence.list((key) => key).length));
    joined.onError((reason: unknown) => lost(describe(reason)));
    joined.onClose(() => {
      if (closed || joined !== channel) return;
      // The server ended the channel for good, so phoenix.js will not join it again.
      lost("the world closed the channel");
      reopening = setTimeout(open, 1_000);
    });
    joined
      .join()
      .receive("ok", (reply: unknown) => {
        const world = parseJoinReply(reply);
        if (!world.ok) {
          listener.invalid(world.error);
          enter("refused", world.error.message);
          return;
        }
        askedAt = performance.now();
        enter("syncing");
        listener.joined(world.value);
        const keyframe = isRecord(reply) ? reply["keyframe"] : undefined;
        if (typeof keyframe === "string") receive({ data: keyframe });
      })
      .receive("error", (reply: unknown) => enter("refused", describe(reply)))
      .receive("timeout", () => lost("the join timed out"));
    if (socket.isConnected()) enter("joining");
  };

  const ping = () => {
    if (channel?.state !== "joined") return;
    const sent = performance.now();
    channel.push("ping", {}, PING_TIMEOUT_MS).receive("ok", () => listener.latency(performance.now() - sent));
  };

  socket.onOpen(() => {
    if (phase === "connecting" || phase === "refused") enter("joining");
  });
  socket.onClose(() => {
    if (phase !== "refused") lost();
  });
  socket.onError(() => {
    if (phase !== "refused") lost();
    if (!everLive) void probe();
  });
  const pinging = setInterval(ping, PING_MS);
  enter("connecting");
  open();
  socket.connect();

  return {
    look(cell, radius) {
      if (channel?.state === "joined") channel.push("look", { cell, radius });
    },
    close() {
      closed = true;
      clearInterval(pinging);
      clearTimeout(reopening);
      socket.disconnect();
    },
  };
}

/** What a server's reason says, in a few words. */
function describe(reason: unknown): string | undefined {
  if (typeof reason === "string") return reason;
  if (isRecord(reason) && typeof reason["reason"] === "string") return reason["reason"];
  return undefined;
}
