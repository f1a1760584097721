defmodule GamePlatform.Tiny do
  @moduledoc "The small economy of `priv/rulesets/tiny.toml`, and worlds of it."

  alias GamePlatform.Compute
  alias GamePlatform.Compute.{Economy, Ruleset, World}

  @path "priv/rulesets/tiny.toml"

  def path, do: @path

  def terms do
    {:ok, ruleset} = Ruleset.load(@path)
    ruleset.terms["economy"]
  end

  def economy, do: Economy.index(terms())

  @doc "What is known of a world without there being one."
  def handle(opts \\ []) do
    struct!(
      %World{
        pid: self(),
        backend: :beam,
        module: Compute.Beam,
        frequency: 4,
        seed: 1,
        cells: 162,
        kinds: ~w(rock moss ore ember),
        economy: terms(),
        index: economy()
      },
      opts
    )
  end

  @doc "A world all of rock; it ends with the test. `Process.put(:backend, …)` chooses the backend."
  def world!(opts \\ []) do
    opts = Keyword.merge([backend: Process.get(:backend, :beam), frequency: 8, ruleset: @path], opts)
    {:ok, world} = Compute.new_world(opts)
    world
  end

  @doc "A cell in the middle of a diamond of a world of frequency 8, and those around it by direction."
  def middle, do: 300
  def around, do: Compute.neighbours(8, middle())

  def join(name, cell \\ 300), do: %{action: "join", by: name, cell: cell}

  def act(name, id, action, fields \\ []),
    do: Map.merge(%{by: name, action_id: id, action: action}, Map.new(fields))

  @doc "Submits, advances a tick, and tells the code of each outcome by its id."
  def play!(world, actions, ticks \\ 1) do
    {:ok, replies} = Compute.submit(world, actions)
    %{status: :accepted} = Enum.find(replies, %{status: :accepted}, &(&1.status == :refused))
    {:ok, since} = Compute.tick(world)
    {:ok, _} = Compute.advance(world, ticks)
    {:ok, outcomes} = Compute.outcomes(world, since)
    Map.new(outcomes, &{&1.action_id, &1.code || :applied})
  end
end
