import type { Phase, Session, Status } from "../state/session";
import { useStore } from "./use_store";

const PHASES: Record<Phase, string> = {
  connecting: "connecting",
  joining: "joining",
  syncing: "fetching the world",
  live: "live",
  reconnecting: "connection lost, reconnecting",
  refused: "refused by the server",
};

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export function Panel({ session, worldName }: { readonly session: Session; readonly worldName: string }) {
  const status = useStore(session.status);
  return (
    <aside className="panel" aria-label="World">
      <header>
        <h1>GamePlatform</h1>
        <p className="world">
          world <b>{worldName}</b>
        </p>
        <p className={`phase ${status.phase}`} role="status">
          <i aria-hidden="true" />
          {PHASES[status.phase]}
          {status.phase === "refused" && status.detail ? `: ${status.detail}` : ""}
        </p>
      </header>
      <Numbers status={status} />
      <Legend status={status} />
    </aside>
  );
}

function Numbers({
  status: { tick, ups, fps, latencyMs, world, players, invalid },
}: {
  readonly status: Status;
}) {
  const rows: [label: string, value: string, wide?: "wide"][] = [
    ["tick", show(tick, whole)],
    ["updates/s", show(ups, tenths)],
    ["frames/s", show(fps, whole)],
    ["latency", latencyMs === undefined ? "–" : `${(latencyMs < 10 ? tenths : whole).format(latencyMs)} ms`],
    ["cells", show(world?.cells, whole), "wide"],
    ...(players === undefined
      ? []
      : ([["players", show(players, whole), "wide"]] as [string, string, "wide"][])),
    ...(invalid === 0
      ? []
      : ([["bad messages", show(invalid, whole), "wide"]] as [string, string, "wide"][])),
  ];
  return (
    <dl className="numbers">
      {rows.map(([label, value, wide]) => (
        <div key={label} className={wide}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

const show = (value: number | undefined, format: Intl.NumberFormat) =>
  value === undefined ? "–" : format.format(value);

function Legend({ status: { world, census } }: { readonly status: Status }) {
  if (!world) return null;
  // Shares of the cells that are known.
  const known = census.reduce((sum, count) => sum + count, 0);
  return (
    <ul className="legend" aria-label="Kinds of cells">
      {world.kinds.map(({ name, color }, n) => (
        <li key={name}>
          <i style={{ background: color }} aria-hidden="true" />
          <span>{name}</span>
          <em>{known > 0 ? `${tenths.format((100 * (census[n] ?? 0)) / known)} %` : ""}</em>
        </li>
      ))}
    </ul>
  );
}
