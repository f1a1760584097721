defmodule GamePlatform.MixProject do
  use Mix.Project

  @version "0.1.0"

  def project do
    [
      app: :game_platform,
      version: @version,
      description: "Real-time multiplayer worlds on the BEAM, with native speed",
      elixir: "~> 1.14",
      elixirc_paths: elixirc_paths(Mix.env()),
      config_path: "elixir_app/config/config.exs",
      compilers: Mix.compilers() ++ [:native],
      start_permanent: Mix.env() == :prod,
      aliases: ["phx.server": "game.server"],
      # OTP and Elixir only: see CONTRIBUTING.md.
      deps: [],
      package: [licenses: ["MIT", "Apache-2.0"]]
    ]
  end

  # An empty supervisor: a host application gets nothing started that it did not ask for.
  def application do
    [mod: {GamePlatform.Application, []}, extra_applications: [:logger, :crypto]]
  end

  defp elixirc_paths(:test), do: ["elixir_app/lib", "test/support"]
  defp elixirc_paths(_), do: ["elixir_app/lib"]
end
