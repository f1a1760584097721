/**
 * What the official Phoenix client must find at a server, over any transport, in Node and in browsers.
 *
 * The server's channel for `room:*`:
 *   join with params    → {room, params}; `room:refused` → error {reason: "unauthorized"}
 *   echo p              → reply ok p, binary too        fail      → reply error {reason: "no"}
 *   push_me p           → the event `pushed` p          stop      → the channel stops
 *   shout p             → `shout` p to all, binary too  crash     → the channel raises
 *   whisper p           → `shout` p to all others, binary too
 * Who joins with {user, device} is tracked by Presence under the key user with the meta {device}. A socket with
 * the parameter refuse=1 is refused.
 */

/** How long anything may take, in ms. */
const PATIENCE = 8_000;
/** How long is waited for what must not come. */
const SILENCE = 250;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function within(what, promise, ms = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Equal as JSON, whatever the order of keys. */
function equal(found, wanted, what) {
  const sorted = (value) =>
    value && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])])) // prettier-ignore
      : Array.isArray(value)
        ? value.map(sorted)
        : value;
  const [a, b] = [found, wanted].map((value) => JSON.stringify(sorted(value)));
  if (a !== b) throw new Error(`${what}: ${a} instead of ${b}`);
}

const bytesOf = (value, what) => {
  if (!(value instanceof ArrayBuffer)) throw new Error(`${what}: no bytes but ${JSON.stringify(value)}`);
  return [...new Uint8Array(value)];
};

const NOISE = Uint8Array.from({ length: 300 }, (_, n) => (n * 7) % 256);

/** A client of one case; `close` ends all it has opened. */
class Client {
  constructor({ Socket, Presence, LongPoll }, { url, webSocket }, transport) {
    Object.assign(this, { Socket, Presence, LongPoll, url, webSocket, transport, sockets: [] });
  }

  socket(params = {}, { transport = this.transport, ...more } = {}) {
    const socket = new this.Socket(`${this.url.replace(/^http/, "ws")}/socket`, {
      params,
      transport: transport === "longpoll" ? this.LongPoll : this.webSocket,
      timeout: PATIENCE,
      reconnectAfterMs: () => 50,
      rejoinAfterMs: () => 50,
      ...more,
    });
    this.sockets.push(socket);
    return socket;
  }

  async open(params, options) {
    const socket = this.socket(params, options);
    const opened = new Promise((resolve) => socket.onOpen(resolve));
    socket.connect();
    await within("open", opened);
    return socket;
  }

  async channel(topic, params = {}, socket = undefined) {
    const channel = (socket ?? (await this.open())).channel(topic, params);
    const reply = await ask(channel.join(), "ok", "join");
    return Object.assign(channel, { reply });
  }

  close() {
    for (const socket of this.sockets) socket.disconnect();
  }
}

/** The response of a push, which must have this status. */
const ask = (push, status, what) =>
  within(
    what,
    new Promise((resolve, reject) => {
      for (const other of ["ok", "error", "timeout"]) {
        push.receive(other, (response) =>
          other === status
            ? resolve(response)
            : reject(new Error(`${what}: ${other} ${JSON.stringify(response)}`)),
        );
      }
    }),
  );

/** The payloads of an event from now on; `next` waits for one more. */
function listen(channel, event) {
  const heard = [];
  let wake = () => undefined;
  channel.on(event, (payload) => {
    heard.push(payload);
    wake();
  });
  let read = 0;
  return {
    heard,
    async next() {
      while (heard.length <= read) await within(event, new Promise((resolve) => (wake = resolve)));
      return heard[read++];
    },
  };
}

let rooms = 0;
/** A topic that no other case and no other run uses. */
const room = () => `room:${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}-${rooms++}`;

const CASES = {
  async connect(client) {
    const socket = await client.open({ name: "x y&z" });
    if (!socket.isConnected()) throw new Error("not connected");
  },

  async "join answers with a payload"(client) {
    const topic = room();
    const params = { a: 1, deep: { list: [1, "two", null, 3.5], text: "ä → 🌍" } };
    const { reply } = await client.channel(topic, params);
    equal(reply, { room: topic.slice(5), params }, "reply");
  },

  async "join is refused"(client) {
    const channel = (await client.open()).channel("room:refused", {});
    equal(await ask(channel.join(), "error", "join"), { reason: "unauthorized" }, "reply");
    channel.leave();
  },

  async "join of an unknown topic is refused"(client) {
    const channel = (await client.open()).channel("nowhere:1", {});
    equal(await ask(channel.join(), "error", "join"), { reason: "unmatched topic" }, "reply");
    channel.leave();
  },

  async "push and reply"(client) {
    const channel = await client.channel(room());
    for (const payload of [{}, { n: 0, b: true, x: null }, { text: "ä → 🌍\n\"'\\", list: [[], {}] }]) {
      equal(await ask(channel.push("echo", payload), "ok", "echo"), payload, "reply");
    }
  },

  async "a hundred pushes at once are answered"(client) {
    const channel = await client.channel(room());
    const replies = await Promise.all(
      Array.from({ length: 100 }, (_, n) => ask(channel.push("echo", { n }), "ok", "echo")),
    );
    equal(replies, Array.from({ length: 100 }, (_, n) => ({ n })), "replies"); // prettier-ignore
  },

  async "a long payload"(client) {
    const channel = await client.channel(room());
    const payload = { text: "0123456789ä".repeat(5_000) };
    equal(await ask(channel.push("echo", payload), "ok", "echo"), payload, "reply");
  },

  async "error reply"(client) {
    const channel = await client.channel(room());
    equal(await ask(channel.push("fail", {}), "error", "fail"), { reason: "no" }, "reply");
    equal(await ask(channel.push("echo", { still: "here" }), "ok", "echo"), { still: "here" }, "reply");
  },

  async "push of the server"(client) {
    const channel = await client.channel(room());
    const pushed = listen(channel, "pushed");
    for (let n = 0; n < 20; n++) channel.push("push_me", { n });
    for (let n = 0; n < 20; n++) equal(await pushed.next(), { n }, "pushed in order");
  },

  async "broadcast to two clients"(client) {
    const topic = room();
    const [one, two, other] = [
      await client.channel(topic),
      await client.channel(topic),
      await client.channel(room()),
    ];
    const [heard, also, not] = [one, two, other].map((channel) => listen(channel, "shout"));
    one.push("shout", { m: "hi" });
    equal([await heard.next(), await also.next()], [{ m: "hi" }, { m: "hi" }], "shouts");
    await sleep(SILENCE);
    equal([heard.heard.length, also.heard.length, not.heard.length], [1, 1, 0], "number of shouts");
  },

  async "broadcast to all others"(client) {
    const topic = room();
    const [one, two] = [await client.channel(topic), await client.channel(topic)];
    const [own, heard] = [one, two].map((channel) => listen(channel, "shout"));
    one.push("whisper", { m: "psst" });
    equal(await heard.next(), { m: "psst" }, "whisper");
    await sleep(SILENCE);
    equal(own.heard, [], "heard by the one who whispered");
  },

  async "two channels on one socket"(client) {
    const socket = await client.open();
    const [one, two] = [await client.channel(room(), {}, socket), await client.channel(room(), {}, socket)];
    const [first, second] = [one, two].map((channel) => listen(channel, "shout"));
    two.push("shout", { to: "second" });
    one.push("shout", { to: "first" });
    equal([await first.next(), await second.next()], [{ to: "first" }, { to: "second" }], "shouts");
  },

  async presence(client) {
    const topic = room();
    const joined = [];
    const left = [];
    const join = async (user, device) => {
      const channel = (await client.open()).channel(topic, { user, device });
      const presence = new client.Presence(channel);
      await ask(channel.join(), "ok", "join");
      return { channel, presence };
    };
    const devices = (presence) =>
      Object.fromEntries(presence.list((key, { metas }) => [key, metas.map(({ device }) => device).sort()]));
    const until = async (presence, wanted) => {
      const end = Date.now() + PATIENCE;
      while (JSON.stringify(devices(presence)) !== JSON.stringify(wanted)) {
        if (Date.now() > end) equal(devices(presence), wanted, "presence");
        await sleep(10);
      }
    };

    const ann = await join("ann", "desk");
    ann.presence.onJoin((key) => joined.push(key));
    ann.presence.onLeave((key, current) => left.push([key, current.metas.length]));
    await until(ann.presence, { ann: ["desk"] });
    const bob = await join("bob", "phone");
    await until(bob.presence, { ann: ["desk"], bob: ["phone"] });
    await until(ann.presence, { ann: ["desk"], bob: ["phone"] });
    const again = await join("bob", "tablet");
    await until(ann.presence, { ann: ["desk"], bob: ["phone", "tablet"] });
    await ask(again.channel.leave(), "ok", "leave");
    await until(ann.presence, { ann: ["desk"], bob: ["phone"] });
    bob.channel.socket.disconnect();
    // Over long poll nobody says that a client has gone; the server finds out.
    if (client.transport === "websocket") await until(ann.presence, { ann: ["desk"] });
    if (!joined.includes("bob")) throw new Error("onJoin did not tell of bob");
    if (!left.some(([key, metas]) => key === "bob" && metas === 1))
      throw new Error("onLeave did not tell of bob");
  },

  async leave(client) {
    const topic = room();
    const [one, two] = [await client.channel(topic), await client.channel(topic)];
    const heard = listen(one, "shout");
    let closes = 0;
    one.onClose(() => closes++);
    await ask(one.leave(), "ok", "leave");
    await ask(two.push("shout", { m: 1 }) && two.push("echo", {}), "ok", "echo");
    await sleep(SILENCE);
    equal([closes, heard.heard.length, one.state], [1, 0, "closed"], "closes, shouts and state");
  },

  async "join again after leaving"(client) {
    const topic = room();
    const socket = await client.open();
    const first = await client.channel(topic, { n: 1 }, socket);
    await ask(first.leave(), "ok", "leave");
    const second = await client.channel(topic, { n: 2 }, socket);
    equal(second.reply.params, { n: 2 }, "params");
    equal(await ask(second.push("echo", { m: 1 }), "ok", "echo"), { m: 1 }, "reply");
  },

  async "join of a topic that is joined replaces the one before"(client) {
    const topic = room();
    const socket = await client.open();
    const first = await client.channel(topic, { n: 1 }, socket);
    const closed = new Promise((resolve) => first.onClose(resolve));
    const second = await client.channel(topic, { n: 2 }, socket);
    await within("close of the first", closed);
    const heard = listen(second, "shout");
    second.push("shout", { m: 1 });
    equal(await heard.next(), { m: 1 }, "shout");
    await sleep(SILENCE);
    equal(heard.heard.length, 1, "number of shouts");
  },

  async "a crashed channel is joined again"(client) {
    const channel = (await client.open()).channel(room(), { n: 7 });
    const joins = [];
    let told = () => undefined;
    let errors = 0;
    channel.onError(() => errors++);
    channel.join().receive("ok", (reply) => {
      joins.push(reply.params);
      told();
    });
    const until = async (count) => {
      while (joins.length < count) await within(`join ${count}`, new Promise((resolve) => (told = resolve)));
    };
    await until(1);
    channel.push("crash", {});
    await until(2);
    equal([joins, errors], [[{ n: 7 }, { n: 7 }], 1], "joins and errors");
    equal(await ask(channel.push("echo", { m: 1 }), "ok", "echo"), { m: 1 }, "reply");
  },

  async "a stopped channel closes"(client) {
    const channel = await client.channel(room());
    const closed = new Promise((resolve) => channel.onClose(resolve));
    channel.push("stop", {});
    await within("close", closed);
    equal(channel.state, "closed", "state");
  },

  async heartbeat(client) {
    const socket = await client.open({}, { heartbeatIntervalMs: 150 });
    let closes = 0;
    let beats = 0;
    socket.onClose(() => closes++);
    socket.onMessage(({ topic, payload }) => {
      if (topic === "phoenix" && payload.status === "ok") beats++;
    });
    if (client.transport === "longpoll") {
      // phoenix.js itself sends none over long poll.
      const ref = socket.makeRef();
      socket.push({ topic: "phoenix", event: "heartbeat", payload: {}, ref });
      for (let n = 0; n < 100 && beats === 0; n++) await sleep(20);
      equal(beats, 1, "heartbeats");
    } else {
      await sleep(800);
      if (beats < 3) throw new Error(`${beats} heartbeats in 800 ms`);
    }
    equal(closes, 0, "closes");
  },

  async "a lost connection is taken up again"(client) {
    const socket = await client.open();
    const channel = socket.channel(room(), { n: 1 });
    let joins = 0;
    let told = () => undefined;
    channel.join().receive("ok", () => {
      joins++;
      told();
    });
    while (joins < 1) await within("join", new Promise((resolve) => (told = resolve)));
    // A server ends a connection that sends what is no message; over long poll the client is made to go.
    if (client.transport === "websocket") socket.conn.send("no message");
    else socket.conn.close(4_000, "lost", false);
    while (joins < 2) await within("join again", new Promise((resolve) => (told = resolve)));
    equal(await ask(channel.push("echo", { m: 1 }), "ok", "echo"), { m: 1 }, "reply");
  },

  async "binary to all others"(client) {
    const topic = room();
    const sender = await client.channel(topic);
    // phoenix.js sends bytes over long poll and cannot receive any.
    const reader = await client.channel(topic, {}, await client.open({}, { transport: "websocket" }));
    const heard = listen(reader, "shout");
    sender.push("whisper", NOISE.buffer);
    equal(bytesOf(await heard.next(), "whisper"), [...NOISE], "bytes");
  },

  async "binary push and reply"(client) {
    if (client.transport === "longpoll") return "phoenix.js cannot receive bytes over long poll";
    const channel = await client.channel(room());
    for (const bytes of [NOISE, Uint8Array.of(), Uint8Array.of(0)]) {
      const reply = await ask(channel.push("echo", bytes.slice().buffer), "ok", "echo");
      equal(bytesOf(reply, "reply"), [...bytes], "bytes");
    }
  },

  async "binary broadcast"(client) {
    if (client.transport === "longpoll") return "phoenix.js cannot receive bytes over long poll";
    const topic = room();
    const [one, two] = [await client.channel(topic), await client.channel(topic)];
    const [heard, also] = [one, two].map((channel) => listen(channel, "shout"));
    one.push("shout", NOISE.buffer);
    for (const listener of [heard, also]) equal(bytesOf(await listener.next(), "shout"), [...NOISE], "bytes");
  },

  async "binary push of the server"(client) {
    if (client.transport === "longpoll") return "phoenix.js cannot receive bytes over long poll";
    const channel = await client.channel(room());
    const pushed = listen(channel, "pushed");
    channel.push("push_me", NOISE.buffer);
    equal(bytesOf(await pushed.next(), "pushed"), [...NOISE], "bytes");
  },

  async "connect is refused"(client) {
    const socket = client.socket({ refuse: "1" }, { reconnectAfterMs: () => 60_000 });
    let opens = 0;
    socket.onOpen(() => opens++);
    const failed = new Promise((resolve) => socket.onError(resolve));
    socket.connect();
    await within("error", failed);
    await sleep(SILENCE);
    equal([opens, socket.isConnected()], [0, false], "opens");
  },

  async disconnect(client) {
    const socket = await client.open();
    await client.channel(room(), {}, socket);
    let opens = 0;
    socket.onOpen(() => opens++);
    await within("disconnect", new Promise((resolve) => socket.disconnect(resolve)));
    await sleep(SILENCE);
    equal([socket.isConnected(), opens], [false, 0], "connected, opens");
  },
};

/**
 * Runs every case over every transport, one after the other. `report` gets {transport, name, ms} with `error` or
 * `skipped` where it applies; the number of failures is returned.
 */
export async function run(phoenix, options, report) {
  let failures = 0;
  for (const transport of options.transports) {
    for (const [name, body] of Object.entries(CASES)) {
      if (options.only && !name.includes(options.only)) continue;
      const client = new Client(phoenix, options, transport);
      const started = Date.now();
      const outcome = { transport, name };
      try {
        const skipped = await within(name, body(client), 4 * PATIENCE);
        if (skipped) outcome.skipped = skipped;
      } catch (error) {
        outcome.error = String(error?.message ?? error);
        failures++;
      } finally {
        client.close();
      }
      await report({ ...outcome, ms: Date.now() - started });
    }
  }
  return failures;
}
