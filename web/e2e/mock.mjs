/**
 * A stand-in for the server, for work on the page: one world that moves, over Phoenix Channels V2.
 *
 *   node e2e/mock.mjs [--port 4000] [--frequency 16] [--ups 20]
 *
 * It serves the built page from ../priv/static too. Its rule is a toy: fires run through thickets, waves
 * through crystals, moss grows over ash.
 */
import { readFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { createServer } from "vite";
import { WebSocketServer } from "ws";

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "4000" },
    frequency: { type: "string", default: "16" },
    ups: { type: "string", default: "20" },
  },
});
const [port, f, ups] = [Number(options.port), Number(options.frequency), Number(options.ups)];

const root = fileURLToPath(new URL("..", import.meta.url));
const vite = await createServer({ root, server: { middlewareMode: true, hmr: false, ws: false }, optimizeDeps: { noDiscovery: true }, appType: "custom", logLevel: "error" }); // prettier-ignore
const { neighbours, cellCount, rowCount, rowLength, rowStart } = await vite.ssrLoadModule("/src/sphere/topology.ts"); // prettier-ignore
const { position } = await vite.ssrLoadModule("/src/sphere/geometry.ts");
await vite.close();

const KINDS = ["rock", "water", "moss", "thicket", "ferrite", "crystal", "ember", "peat"];
const COLORS = ["#77726e", "#2985bd", "#78c656", "#2a6754", "#96653a", "#a45fd0", "#ff8a10", "#4f2c10"];
const [ROCK, WATER, MOSS, THICKET, FERRITE, CRYSTAL, EMBER, PEAT] = KINDS.keys();

// --- the world -------------------------------------------------------------------------------------------

const cells = cellCount(f);
const kinds = new Uint8Array(cells);
const amounts = new Uint16Array(cells);
const around = Array.from({ length: cells }, (_, cell) => neighbours(f, cell));
let tick = 0;
let seed = 12345;
const dice = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;

/** A smooth landscape: a few waves across the sphere. */
const wave = (p, n) =>
  [1, 2, 3, 4, 5].reduce(
    (sum, k) =>
      sum +
      Math.sin(k * 2.1 * (p[0] * Math.sin(n + k) + p[1] * Math.cos(n * 2 + k) + p[2] * Math.sin(k * 3 + n * 5)) + n * k) / k, // prettier-ignore
    0,
  );

for (let cell = 0; cell < cells; cell++) {
  const p = position(f, cell);
  const [height, wood, ore, charge] = [0, 7, 13, 29].map((n) => wave(p, n));
  if (height < -0.15) [kinds[cell], amounts[cell]] = [WATER, Math.min(600, Math.round(-height * 400))];
  else if (height < 0.05) [kinds[cell], amounts[cell]] = [MOSS, Math.floor(dice() * 24)];
  else if (Math.abs(ore) < 0.06) [kinds[cell], amounts[cell]] = [FERRITE, 800 + Math.floor(dice() * 3000)];
  else if (charge > 0.9) [kinds[cell], amounts[cell]] = [CRYSTAL, Math.floor(dice() * 40)];
  else if (wood > 0.2) [kinds[cell], amounts[cell]] = [THICKET, Math.floor(dice() * 160)];
  else if (wood < -0.8) [kinds[cell], amounts[cell]] = [PEAT, Math.floor(dice() * 240)];
  else [kinds[cell], amounts[cell]] = [ROCK, Math.floor(dice() * 60)];
  if (dice() < 0.001) [kinds[cell], amounts[cell]] = [EMBER, 50];
}

/** A sixteenth of the rows acts; returns the changed cells by row. */
function step() {
  const changes = [];
  for (let row = tick % 16; row < rowCount(f); row += 16) {
    for (let col = 0; col < rowLength(f, row); col++) {
      const cell = rowStart(f, row) + col;
      const near = (kind) => around[cell].filter((other) => kinds[other] === kind).length;
      let [kind, amount] = [kinds[cell], amounts[cell]];
      if (kind === EMBER) amount > 9 ? (amount -= 9) : ([kind, amount] = [ROCK, 60]);
      else if (kind === ROCK) {
        amount = Math.max(0, amount - 1);
        if (near(MOSS) + near(THICKET) > 0 && dice() < 0.12) [kind, amount] = [MOSS, 1];
        else if (near(FERRITE) > 1 && dice() < 0.01) [kind, amount] = [EMBER, 60];
      } else if (kind === MOSS)
        amount < 24 ? (amount += 1) : dice() < 0.1 && ([kind, amount] = [THICKET, 20]);
      else if (kind === THICKET) {
        amount = Math.min(160, amount + 1);
        if (near(EMBER) > 0 && dice() < 0.35) [kind, amount] = [EMBER, 30];
        else if (dice() < 0.00002) [kind, amount] = [EMBER, 40];
      } else if (kind === CRYSTAL) amount = amount < 38 ? amount + 2 : 2;
      if (kind !== kinds[cell] || amount !== amounts[cell]) changes.push([row, col, kind, amount]);
    }
  }
  for (const [row, col, kind, amount] of changes) {
    kinds[rowStart(f, row) + col] = kind;
    amounts[rowStart(f, row) + col] = amount;
  }
  tick++;
  return Map.groupBy ? Map.groupBy(changes, ([row]) => row) : group(changes);
}

function group(changes) {
  const rows = new Map();
  for (const change of changes) rows.set(change[0], [...(rows.get(change[0]) ?? []), change]);
  return rows;
}

// --- bytes -----------------------------------------------------------------------------------------------

function message(magic, since, rows) {
  const head = Buffer.alloc(28);
  head.write(magic, 0, "latin1");
  head.writeUInt32LE(f, 4);
  head.writeBigUInt64LE(BigInt(since), 8);
  head.writeBigUInt64LE(BigInt(tick), 16);
  head.writeUInt32LE(rows.length, 24);
  return Buffer.concat([head, ...rows]);
}

function rowHead(row, form, ...u16) {
  const head = Buffer.alloc(5 + 2 * u16.length);
  head.writeUInt32LE(row, 0);
  head.writeUInt8(form, 4);
  u16.forEach((value, n) => head.writeUInt16LE(value, 5 + 2 * n));
  return head;
}

function run(row, column, count, head) {
  const from = rowStart(f, row) + column;
  const values = Buffer.alloc(2 * count);
  for (let n = 0; n < count; n++) values.writeUInt16LE(amounts[from + n], 2 * n);
  return Buffer.concat([head, kinds.subarray(from, from + count), values]);
}

const keyframe = () =>
  message("gpk1", tick, Array.from({ length: rowCount(f) }, (_, row) => run(row, 0, rowLength(f, row), rowHead(row, 0)))); // prettier-ignore

/** The form of a row that takes the fewest bytes. */
function rowDiff(row, changes) {
  const length = rowLength(f, row);
  const first = changes[0][1];
  const count = changes.at(-1)[1] - first + 1;
  const single = 2 + 5 * changes.length;
  if (single <= 4 + 3 * count) {
    const body = Buffer.alloc(5 * changes.length);
    changes.forEach(([, column, kind, amount], n) => {
      body.writeUInt16LE(column, 5 * n);
      body.writeUInt8(kind, 5 * n + 2);
      body.writeUInt16LE(amount, 5 * n + 3);
    });
    return Buffer.concat([rowHead(row, 1, changes.length), body]);
  }
  if (count < length) return run(row, first, count, rowHead(row, 2, first, count));
  return run(row, 0, length, rowHead(row, 0));
}

// --- Phoenix Channels V2 ---------------------------------------------------------------------------------

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
const built = join(root, "../priv/static");
const http = createHttpServer(async (request, response) => {
  const path = normalize(new URL(request.url, "http://mock").pathname);
  try {
    const file = await readFile(join(built, path.endsWith("/") ? "index.html" : path));
    response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "text/html" }).end(file);
  } catch {
    response.writeHead(404).end("not found");
  }
});
const sockets = new WebSocketServer({ server: http });
const watchers = new Set();

const binaryPush = (joinRef, topic, event, payload) => {
  const names = [joinRef, topic, event].map((text) => Buffer.from(text));
  return Buffer.concat([Buffer.from([0, ...names.map((name) => name.length)]), ...names, payload]);
};

sockets.on("connection", (socket) => {
  let watcher;
  const send = (...fields) => socket.send(JSON.stringify(fields));
  const push = (event, bytes) => {
    const { joinRef, topic, binary } = watcher;
    if (binary) socket.send(binaryPush(joinRef, topic, event, bytes));
    else send(joinRef, null, topic, event, { data: bytes.toString("base64") });
  };
  socket.on("close", () => watchers.delete(watcher));
  socket.on("message", (data) => {
    const [joinRef, ref, topic, event, payload] = JSON.parse(data.toString());
    const reply = (response, status = "ok") => send(joinRef, ref, topic, "phx_reply", { status, response });
    if (event === "heartbeat") return reply({});
    if (event === "phx_join") {
      if (topic !== "world:main") return reply({ reason: "no such world" }, "error");
      watcher = { joinRef, topic, binary: payload.binary === true, push };
      watchers.add(watcher);
      reply({ tick, frequency: f, seed: 7, player: "p1", ups, hz: ups, kinds: KINDS, colors: COLORS, cells, keyframe: null }); // prettier-ignore
      send(joinRef, null, topic, "presence_state", { p1: { metas: [{ phx_ref: "1" }] } });
      return push("keyframe", keyframe());
    }
    if (event === "phx_leave") return reply({});
    if (event === "ping") return reply({ tick });
    if (event === "resync" || event === "look") {
      reply({});
      return push("keyframe", keyframe());
    }
    reply({ reason: "unknown event" }, "error");
  });
});

setInterval(() => {
  const since = tick;
  const rows = [...step()].map(([row, changes]) => rowDiff(row, changes));
  const bytes = message("gpd1", since, rows);
  for (const { push } of watchers) push("diff", bytes);
}, 1_000 / ups);

http.listen(port, "127.0.0.1", () => console.log(`a world of ${cells} cells on http://127.0.0.1:${port}`));
