/**
 * Holds a server against the official Phoenix client.
 *
 *   node conformance/run.mjs --url http://127.0.0.1:4000 [--phoenix 1.7|1.8] [--in node|browser]
 *                            [--transport websocket|longpoll] [--only TEXT]
 *
 * The server has the channel that cases.mjs describes. TAP on standard output; exit status 0 if every case
 * passed, 1 if not, 2 for wrong use.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { run } from "./cases.mjs";

const PACKAGES = { 1.7: "phoenix-1.7", 1.8: "phoenix" };
const USAGE =
  "usage: node conformance/run.mjs --url URL [--phoenix 1.7|1.8] [--in node|browser] " +
  "[--transport websocket|longpoll] [--only TEXT]";

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    phoenix: { type: "string", default: "1.8" },
    in: { type: "string", default: "node" },
    transport: { type: "string" },
    only: { type: "string" },
  },
});
const name = PACKAGES[options.phoenix];
const transports = options.transport ? [options.transport] : ["websocket", "longpoll"];
const known = transports.every((transport) => ["websocket", "longpoll"].includes(transport));
if (!options.url || !name || !known || !["node", "browser"].includes(options.in)) {
  console.error(USAGE);
  process.exit(2);
}

const folder = fileURLToPath(new URL(`../node_modules/${name}/`, import.meta.url));
const { version } = JSON.parse(readFileSync(`${folder}package.json`, "utf8"));
const entry = `${folder}priv/static/phoenix.mjs`;
const url = options.url.replace(/\/$/, "");

let count = 0;
function report({ transport, name, ms, error, skipped }) {
  const end = skipped ? ` # SKIP ${skipped}` : ` (${ms} ms)`;
  console.log(
    `${error ? "not ok" : "ok"} ${++count} - phoenix ${version} ${options.in} ${transport}: ${name}${end}`,
  );
  if (error) console.log(`  ---\n  message: ${JSON.stringify(error)}\n  ...`);
}

const asked = { url, transports, only: options.only };

async function inNode() {
  const { WebSocket } = await import("ws");
  if (options.phoenix === "1.7") {
    // It looks for these when it is loaded, and for nothing that Node has.
    const { XMLHttpRequest } = await import("./xhr.mjs");
    Object.assign(globalThis, { self: globalThis, XMLHttpRequest });
  }
  return run(await import(pathToFileURL(entry).href), { ...asked, webSocket: WebSocket }, report);
}

async function inBrowser() {
  const { build } = await import("vite");
  const { launch } = await import("../e2e/browser.mjs");
  const [{ output }] = await build({
    configFile: false,
    logLevel: "error",
    resolve: { alias: { "phoenix-under-test": entry } },
    build: {
      write: false,
      minify: false,
      lib: { entry: fileURLToPath(new URL("page.mjs", import.meta.url)), formats: ["iife"], name: "page" },
    },
  });
  const browser = await launch();
  try {
    // Whatever page of the server it is, even "not found", its origin is the server's.
    const page = await (await browser.newContext({ bypassCSP: true })).newPage();
    page.on("pageerror", (error) => console.log(`# error in the page: ${error.message}`));
    await page.exposeFunction("report", report);
    await page.goto(`${url}/`);
    await page.addScriptTag({ content: output[0].code });
    return await page.evaluate((asked) => globalThis.conformance(asked), asked);
  } finally {
    await browser.close();
  }
}

try {
  const failures = await (options.in === "node" ? inNode() : inBrowser());
  console.log(`1..${count}`);
  if (failures > 0) console.log(`# ${failures} of ${count} failed`);
  process.exit(failures > 0 || count === 0 ? 1 : 0);
} catch (error) {
  console.log(`Bail out! ${error.message.split("\n")[0]}`);
  process.exit(1);
}
