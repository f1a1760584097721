import { useEffect, useRef, useState } from "react";

import { Viewer } from "../scene/viewer";
import type { Session } from "../state/session";

interface Props {
  readonly session: Session;
  readonly quality: number | undefined;
}

export function Globe({ session, quality }: Props) {
  const holder = useRef<HTMLDivElement>(null);
  const [failure, setFailure] = useState<string>();

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
    let viewer: Viewer | undefined;
    try {
      viewer = new Viewer(canvas, session, quality);
    } catch (error) {
      console.error(error);
      setFailure("This browser offers no WebGL 2, which the world is drawn with.");
    }
    return () => {
      viewer?.dispose();
      canvas.remove();
    };
  }, [session, quality]);

  return (
    <div className="globe-holder" ref={holder}>
      {failure && <p className="failure">{failure}</p>}
    </div>
  );
}
