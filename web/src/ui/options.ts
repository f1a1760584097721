import type { LinkOptions } from "../state/session";

/** What the page's address asks for: `?world=`, `?token=`, `?transport=longpoll`. */
export function optionsFrom(search: string): LinkOptions {
  const asked = new URLSearchParams(search);
  return {
    endpoint: "/socket",
    world: asked.get("world") ?? "main",
    token: asked.get("token") ?? undefined,
    transport: asked.get("transport") === "longpoll" ? "longpoll" : "websocket",
  };
}
