[
  inputs: ["*.exs", "elixir_app/**/*.{ex,exs}", "test/**/*.{ex,exs}", "bench/*.exs"],
  line_length: 110
]
