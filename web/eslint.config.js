import js from "@eslint/js";
import reactHooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

/** Arrows point down only: sphere ← protocol ← state ← scene ← ui. */
const layer = (name, { packages = [], layers = [], why }) => ({
  files: [`src/${name}/**/*.{ts,tsx}`],
  rules: {
    "no-restricted-imports": [
      "error",
      {
        patterns: [
          { group: packages.flatMap((p) => [p, `${p}/*`]), message: why },
          { group: layers.map((l) => `**/${l}/**`), message: why },
        ].filter(({ group }) => group.length > 0),
      },
    ],
  },
});

export default tseslint.config(
  { ignores: ["node_modules/", "shots/"] },
  js.configs.recommended,
  {
    files: ["**/*.{ts,tsx}"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/no-non-null-assertion": "off",
    },
  },
  {
    files: ["src/**/*.{ts,tsx}"],
    plugins: { "react-hooks": reactHooks },
    rules: {
      "react-hooks/rules-of-hooks": "error",
      "react-hooks/exhaustive-deps": "error",
    },
  },
  {
    files: ["**/*.{js,mjs}"],
    languageOptions: {
      globals: Object.fromEntries(
        (
          "process console setTimeout clearTimeout setInterval clearInterval URL Buffer performance fetch " +
          "globalThis window document btoa atob TextEncoder TextDecoder AbortController"
        )
          .split(" ")
          .map((name) => [name, "readonly"]),
      ),
    },
  },
  layer("sphere", {
    packages: ["react", "react-dom", "three", "phoenix"],
    layers: ["protocol", "state", "scene", "ui"],
    why: "sphere is geometry and topology alone",
  }),
  layer("protocol", {
    packages: ["react", "react-dom", "three"],
    layers: ["state", "scene", "ui"],
    why: "protocol knows sockets and bytes, neither React nor what is done with them",
  }),
  layer("state", {
    packages: ["react", "react-dom", "three", "phoenix"],
    layers: ["scene", "ui"],
    why: "state is plain data: no three.js, no React",
  }),
  layer("scene", {
    packages: ["react", "react-dom", "phoenix"],
    layers: ["protocol", "ui"],
    why: "scene draws what state holds: no sockets, no React",
  }),
  layer("ui", {
    packages: ["three", "phoenix"],
    layers: ["protocol"],
    why: "ui is React over state and scene",
  }),
);
