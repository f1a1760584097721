import { useEffect, useRef, useState } from "react";

import { Session } from "../state/session";
import { CellCard } from "./cell_card";
import { Globe } from "./globe";
import { optionsFrom } from "./options";
import { Panel } from "./panel";

export function App() {
  const [session] = useState(() => new Session());
  const [options] = useState(() => optionsFrom(window.location.search));
  const root = useRef<HTMLDivElement>(null);

  useEffect(() => session.start(options), [session, options]);

  // What the page knows, for tests and other tools; every tick, so not through React.
  useEffect(() => {
    const show = () => {
      const { phase, tick, world } = session.status.get();
      const data = root.current?.dataset;
      if (!data) return;
      data["state"] = phase;
      data["tick"] = String(tick ?? "");
      data["cells"] = String(world?.cells ?? "");
      data["pointed"] = String(session.pointed.get() ?? "");
    };
    show();
    const stops = [session.status.subscribe(show), session.pointed.subscribe(show)];
    return () => stops.forEach((stop) => stop());
  }, [session]);

  return (
    <div id="app" ref={root}>
      <Globe session={session} quality={options.quality} />
      <Panel session={session} worldName={options.world} />
      <CellCard session={session} />
    </div>
  );
}
