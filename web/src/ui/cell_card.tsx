import type { Session } from "../state/session";
import { useStore } from "./use_store";

const whole = new Intl.NumberFormat("en");

/** What the pointer names; it follows the world's ticks. */
export function CellCard({ session }: { readonly session: Session }) {
  const pointed = useStore(session.pointed);
  useStore(session.status);
  const cell = pointed === undefined ? undefined : session.cell(pointed);
  if (!cell) return null;
  return (
    <div className="cell-card" role="status" aria-live="off">
      <i style={{ background: cell.kind?.color ?? "#1a2133" }} aria-hidden="true" />
      <b className="cell-kind">{cell.kind?.name ?? "unknown"}</b>
      <span className="cell-amount">{whole.format(cell.amount)}</span>
      <span className="cell-id">cell {cell.id}</span>
    </div>
  );
}
