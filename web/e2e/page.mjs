/**
 * Looks at the page in a browser, as a user would.
 *
 *   node e2e/page.mjs URL [--kill PID] [--shots FOLDER] [--timeout SECONDS]
 *
 * Waits for the first keyframe, sees the sphere change from one tick to the next, names the cell under the
 * pointer, turns and zooms the sphere. With --kill it ends that process with SIGKILL and waits until the world
 * goes on. One line of JSON on standard output; exit status 0 if everything held, 1 if not, 2 for wrong use.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

import { launch } from "./browser.mjs";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kill: { type: "string" },
    shots: { type: "string" },
    timeout: { type: "string", default: "30" },
  },
});
const url = positionals[0];
const limit = 1_000 * Number(options.timeout);
if (!url || !(limit > 0) || (options.kill !== undefined && !/^\d+$/.test(options.kill))) {
  console.error("usage: node e2e/page.mjs URL [--kill PID] [--shots FOLDER] [--timeout SECONDS]");
  process.exit(2);
}
if (options.shots) mkdirSync(options.shots, { recursive: true });

const SIZE = { width: 1280, height: 800 };
/** The middle of the sphere, clear of the panel and of the name of the cell. */
const MIDDLE = { x: 440, y: 200, width: 400, height: 400 };

const result = { ok: false, url, checks: {} };
const errors = [];
const started = performance.now();
const seconds = () => Number(((performance.now() - started) / 1_000).toFixed(2));

const browser = await launch();
try {
  const page = await browser.newPage({ viewport: SIZE });
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    // A connection that was cut on purpose is told of on the console.
    const cut = options.kill !== undefined && /WebSocket|ERR_CONNECTION/.test(message.text());
    if (message.type() === "error" && !cut) errors.push(message.text());
  });

  const state = () => page.$eval("#app", ({ dataset }) => ({ ...dataset }));
  const shot = (name) => options.shots && page.screenshot({ path: join(options.shots, `${name}.png`) });
  const until = async (what, holds) => {
    const end = performance.now() + limit;
    for (;;) {
      const value = await holds();
      if (value) return value;
      if (performance.now() > end) throw new Error(`${what}: not within ${options.timeout} s`);
      await sleep(50);
    }
  };
  const check = async (name, holds) => {
    const value = await until(name, holds);
    result.checks[name] = value === true ? seconds() : value;
  };
  const live = async () => {
    const { state: phase, tick } = await state();
    return phase === "live" && tick !== "";
  };

  /** Pixels of the middle of the sphere that differ, and how many colours there are. */
  const compare = async (before, after) =>
    page.evaluate(
      async (pictures) => {
        const pixels = await Promise.all(
          pictures.map(async (text) => {
            const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
            const bitmap = await globalThis.createImageBitmap(
              new globalThis.Blob([bytes], { type: "image/png" }),
            );
            const canvas = new globalThis.OffscreenCanvas(bitmap.width, bitmap.height);
            const context = canvas.getContext("2d");
            context.drawImage(bitmap, 0, 0);
            return new Uint32Array(context.getImageData(0, 0, bitmap.width, bitmap.height).data.buffer);
          }),
        );
        const [a, b] = pixels;
        return { changed: a.filter((x, n) => x !== b[n]).length, colours: new Set(b).size };
      },
      [before, after].map((picture) => picture.toString("base64")),
    );
  const picture = async () => {
    const { tick } = await state();
    return { tick, bytes: await page.screenshot({ clip: MIDDLE }) };
  };

  // A quality of its own choice would change in between, and every pixel with it.
  const address = new URL(url);
  if (!address.searchParams.has("quality")) address.searchParams.set("quality", "3");
  await page.goto(address.href, { timeout: limit });
  await check("live", live);

  await sleep(500);
  const first = await picture();
  await check("sphere_changes", async () => {
    await sleep(200);
    const next = await picture();
    if (next.tick === first.tick) return false;
    const seen = await compare(first.bytes, next.bytes);
    return seen.changed > 0 && seen.colours > 16 && { from: first.tick, to: next.tick, ...seen };
  });
  await shot("live");

  await page.mouse.move(SIZE.width / 2 + 20, SIZE.height / 2 - 10);
  await check("cell_named", async () => {
    const name = await page.$eval(".cell-kind", (element) => element.textContent).catch(() => "");
    const { pointed } = await state();
    const known = await page.$$eval(".legend span", (spans) => spans.map((span) => span.textContent));
    return known.includes(name) && /^\d+$/.test(pointed) && { cell: Number(pointed), kind: name };
  });
  await shot("cell");

  const { pointed } = await state();
  await page.mouse.down();
  await page.mouse.move(SIZE.width / 2 - 180, SIZE.height / 2 + 60, { steps: 6 });
  await page.mouse.up();
  await check("turns", async () => {
    await page.mouse.move(SIZE.width / 2 + 20, SIZE.height / 2 - 10);
    return (await state()).pointed !== pointed;
  });
  for (let n = 0; n < 8; n++) await page.mouse.wheel(0, -240);
  await sleep(1_500);
  await shot("near");

  await check("updates_per_second", async () => {
    const shown = await page.$$eval(".numbers div", (rows) => Object.fromEntries(rows.map((row) => [row.children[0].textContent, row.children[1].textContent]))); // prettier-ignore
    const value = Number.parseFloat(shown["updates/s"]);
    if (!(value > 0) || !/ms$/.test(shown["latency"])) return false;
    return { server: value, frames: Number.parseFloat(shown["frames/s"]), latency: shown["latency"] };
  });

  if (options.kill !== undefined) {
    const before = Number((await state()).tick);
    process.kill(Number(options.kill), "SIGKILL");
    const killed = performance.now();
    const phases = new Set();
    const ticks = new Set();
    await check("recovers", async () => {
      const { state: phase, tick } = await state();
      phases.add(phase);
      // A screenshot of the way there, where there is one.
      if (phase !== "live" && phases.size === 2) await shot("lost");
      if (phase !== "live") ticks.clear();
      else if (Number(tick) !== before) ticks.add(tick);
      if (ticks.size < 10) return false;
      return {
        ms: Math.round(performance.now() - killed),
        from: before,
        to: Number(tick),
        phases: [...phases],
      };
    });
    await shot("recovered");
  }

  result.tick = Number((await state()).tick);
  if (errors.length > 0) throw new Error("the page reported errors");
  result.ok = true;
} catch (error) {
  result.error = error.message.split("\n")[0];
} finally {
  await browser.close();
}
if (errors.length > 0) result.errors = errors;
result.seconds = seconds();
console.log(JSON.stringify(result));
process.exitCode = result.ok ? 0 : 1;
