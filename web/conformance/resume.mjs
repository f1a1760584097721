/**
 * Official clients that play in a world whose edge dies, and go on where they were.
 *
 *   node conformance/resume.mjs URL 1.7|1.8
 *
 * One over WebSocket and one over long poll, each with a session of its own (POST /api/v1/connect). Their place goes
 * with the parameters of the socket and of the join, both functions, so that the library sends the present one whenever
 * it connects or joins again. Each claims and releases its home, with a number in the action_id, and sends what was not
 * answered again. A line `{"joined":N}` each time all of them have joined; for each line on standard input, a line with
 * what each has heard; ends with standard input.
 */
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

import { WebSocket } from "ws";

const [url, version] = process.argv.slice(2);
const name = { 1.7: "phoenix-1.7", 1.8: "phoenix" }[version];
if (!url || !name) {
  console.error("usage: node conformance/resume.mjs URL 1.7|1.8");
  process.exit(2);
}
if (version === "1.7") {
  const { XMLHttpRequest } = await import("./xhr.mjs");
  Object.assign(globalThis, { self: globalThis, XMLHttpRequest });
}
const entry = fileURLToPath(new URL(`../node_modules/${name}/priv/static/phoenix.mjs`, import.meta.url));
const { Socket, LongPoll } = await import(pathToFileURL(entry).href);

/** How soon an action is sent after the answer to the one before, and how soon it is sent again, in ms. */
const ACT = 100;
const AGAIN = 1_000;

async function session(guest) {
  const answer = await fetch(`${url}/api/v1/connect`, { method: "POST", body: JSON.stringify({ guest }) });
  if (answer.status !== 201) throw new Error(`connect: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

function play(client, { token, home, seq, player_id }, transport) {
  Object.assign(client, {
    last: seq,
    wrong: [],
    beats: [],
    accepted: [],
    outcomes: [],
    joins: 0,
    joined: false,
  });
  const place = () => ({ resume: client.last });
  const socket = new Socket(`${url.replace(/^http/, "ws")}/socket`, {
    params: () => ({ token, ...place() }),
    transport,
    reconnectAfterMs: () => 50,
    rejoinAfterMs: () => 50,
  });
  const channel = socket.channel("world:main", place);
  const hear = (event, keep) =>
    channel.on(event, (payload) => {
      if (!(payload.seq > client.last)) client.wrong.push(`${event} ${payload.seq} after ${client.last}`);
      client.last = payload.seq;
      keep(payload);
    });
  hear("beat", ({ n }) => client.beats.push(n));
  hear("outcome", ({ action_id }) => client.outcomes.push(action_id));
  hear("gap", (gap) => client.wrong.push(`gap ${JSON.stringify(gap)}`));

  let n = 0;
  let timer;
  const act = () => {
    clearTimeout(timer);
    timer = setTimeout(act, AGAIN);
    if (!client.joined || client.resting) return;
    const action_id = `${n}`;
    const next = () => {
      if (`${n}` !== action_id) return;
      n += 1;
      clearTimeout(timer);
      timer = setTimeout(act, ACT);
    };
    channel
      .push("action", { action_id, action: n % 2 ? "release" : "claim", cell: home })
      .receive("ok", () => {
        if (!client.accepted.includes(action_id)) client.accepted.push(action_id);
        next();
      })
      .receive("error", ({ code }) => {
        if (!["busy", "rate_limited"].includes(code) && !code?.startsWith("log_")) next();
      });
  };
  socket.onClose(() => (client.joined = false));
  channel.onError(() => (client.joined = false));
  channel.join().receive("ok", ({ player }) => {
    if (player !== player_id) client.wrong.push(`${player} joined with a token of ${player_id}`);
    client.joins += 1;
    client.joined = true;
    if (clients.every(({ joined }) => joined)) console.log(JSON.stringify({ joined: clients.length }));
    act();
  });
  socket.connect();
}

const transports = { websocket: WebSocket, longpoll: LongPoll };
const clients = Object.keys(transports).map((transport) => ({ transport, resting: false, joined: false }));
const sessions = await Promise.all(clients.map((_, n) => session(`conformance ${version} ${n}`)));
clients.forEach((client, n) => play(client, sessions[n], transports[client.transport]));

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  for (const client of clients) client.resting ||= line === "rest";
  console.log(JSON.stringify({ clients }));
});
lines.on("close", () => process.exit(0));
