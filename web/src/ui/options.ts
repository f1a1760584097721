import type { LinkOptions } from "../state/session";

export interface Options extends LinkOptions {
  /** 0 (best) to 4; by default it follows from how fast frames come. */
  readonly quality: number | undefined;
}

/** What the page's address asks for: `?world=`, `?token=`, `?transport=longpoll`, `?quality=`. */
export function optionsFrom(search: string): Options {
  const asked = new URLSearchParams(search);
  const quality = Number.parseInt(asked.get("quality") ?? "", 10);
  return {
    endpoint: "/socket",
    world: asked.get("world") ?? "main",
    token: asked.get("token") ?? undefined,
    transport: asked.get("transport") === "longpoll" ? "longpoll" : "websocket",
    quality: Number.isNaN(quality) ? undefined : quality,
  };
}
