import Config

config :logger, :console, format: "$time [$level] $message\n"

# Where rulesets are written: a running instance says when the file of its ruleset has changed.
config :game_platform, watch_rulesets: config_env() == :dev
