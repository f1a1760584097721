import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// `npm run dev` talks to the server (or to e2e/mock.mjs) on this port.
const backend = process.env["BACKEND"] ?? "http://127.0.0.1:4000";

export default defineConfig({
  base: "./",
  plugins: [react()],
  build: {
    outDir: "../priv/static",
    emptyOutDir: true,
    target: "es2022",
    chunkSizeWarningLimit: 700,
    rollupOptions: { output: { manualChunks: { three: ["three"] } } },
  },
  server: { proxy: { "/socket": { target: backend, ws: true } } },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
});
