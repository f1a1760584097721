/**
 * Official clients that watch a world, and tell when all of them do.
 *
 *   node conformance/survive.mjs URL CLIENTS
 *
 * Nobody helps them: what comes back, comes back by the library. A line `{"live":N,"round":R}` each time that all
 * have joined and been told a keyframe and a diff since the last of them lost its socket. Ends with standard input.
 */
import { Socket } from "phoenix";
import { WebSocket } from "ws";

const [url, count] = [process.argv[2], Number(process.argv[3])];
if (!url || !(count > 0)) {
  console.error("usage: node conformance/survive.mjs URL CLIENTS");
  process.exit(2);
}

let round = 0;
let told = false;
const clients = Array.from({ length: count }, () => ({ keyframe: false, diff: false, tick: -1n, gaps: 0 }));

function look() {
  const live = clients.every(({ keyframe, diff }) => keyframe && diff);
  if (live && !told) {
    round += 1;
    const gaps = clients.reduce((sum, client) => sum + client.gaps, 0);
    console.log(JSON.stringify({ live: count, round, gaps }));
  }
  told = live;
}

/** Where a message begins and ends. */
function span(bytes) {
  const view = new DataView(bytes);
  return [view.getBigUint64(8, true), view.getBigUint64(16, true)];
}

for (const client of clients) {
  const socket = new Socket(`${url}/socket`, { transport: WebSocket });
  socket.onClose(() => {
    client.keyframe = client.diff = false;
    look();
  });
  socket.connect();
  const channel = socket.channel("world:main", { binary: true });
  channel.on("keyframe", (bytes) => {
    client.keyframe = true;
    client.tick = span(bytes)[1];
  });
  channel.on("diff", (bytes) => {
    const [since, tick] = span(bytes);
    if (!client.keyframe || since > client.tick) client.gaps += 1;
    client.diff = client.keyframe;
    client.tick = tick;
    look();
  });
  channel.join();
}

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
