import Config

config :logger, level: :warning
config :phoenix, :json_library, Jason

config :bench_phoenix, BenchPhoenix.Endpoint,
  adapter: Bandit.PhoenixAdapter,
  pubsub_server: BenchPhoenix.PubSub,
  secret_key_base: String.duplicate("not secret ", 8),
  server: true
