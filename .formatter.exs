[
  inputs: [
    "*.exs",
    "elixir_app/**/*.{ex,exs}",
    "test/**/*.{ex,exs}",
    "bench/*.exs",
    "bench/{edge,sessions}/*.exs",
    "bench/phoenix_app/*.exs",
    "bench/phoenix_app/{config,lib}/*.{ex,exs}"
  ],
  line_length: 110
]
