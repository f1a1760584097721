import { useEffect, useRef, useState } from "react";

import { Viewer } from "../scene/viewer";
import type { Session } from "../state/session";

const RECOVERY_MS = 500;

interface Props {
  readonly session: Session;
  readonly quality: number | undefined;
}

export function Globe({ session, quality }: Props) {
  const holder = useRef<HTMLDivElement>(null);
  const [failure, setFailure] = useState<string>();
  const [losses, setLosses] = useState(0);

  useEffect(() => {
    // A canvas of its own for each viewer: a context that was let go cannot be had again.
    const canvas = document.createElement("canvas");
    canvas.className = "globe";
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    canvas.setAttribute(
      "aria-label",
      "The world. Drag or use the arrow keys to turn it, scroll or + and − to zoom.",
    );
    holder.current?.append(canvas);
    // Drivers take contexts away, on phones above all; then all is begun anew.
    let again: ReturnType<typeof setTimeout> | undefined;
    const lost = () => (again = setTimeout(() => setLosses((count) => count + 1), RECOVERY_MS));
    canvas.addEventListener("webglcontextlost", lost);
    let viewer: Viewer | undefined;
    try {
      viewer = new Viewer(canvas, session, quality);
    } catch (error) {
      console.error(error);
      setFailure("This browser offers no WebGL 2, which the world is drawn with.");
    }
    return () => {
      clearTimeout(again);
      canvas.removeEventListener("webglcontextlost", lost);
      viewer?.dispose();
      canvas.remove();
    };
  }, [session, quality, losses]);

  return (
    <div className="globe-holder" ref={holder}>
      {failure && <p className="failure">{failure}</p>}
    </div>
  );
}
