/** The cases in a browser; run.mjs bundles this with the version under test. */
import * as phoenix from "phoenix-under-test";

import { run } from "./cases.mjs";

globalThis.conformance = (options) =>
  run(phoenix, { ...options, webSocket: globalThis.WebSocket }, globalThis.report);
