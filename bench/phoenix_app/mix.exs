defmodule BenchPhoenix.MixProject do
  use Mix.Project

  def project do
    [
      app: :bench_phoenix,
      version: "0.1.0",
      elixir: "~> 1.14",
      start_permanent: Mix.env() == :prod,
      deps: [{:phoenix, "~> 1.7"}, {:bandit, "~> 1.5"}, {:jason, "~> 1.4"}]
    ]
  end

  def application, do: [mod: {BenchPhoenix.Application, []}, extra_applications: [:logger]]
end
