defmodule GamePlatform.Compute.Beam.Factory do
  @moduledoc false
  # What players and machines do with the field: owners, players and machines of a world, and one tick of
  # them. Plain maps; where an order matters it is that of numbers.

  alias GamePlatform.Compute.Beam.Factory.{
    Actions,
    Batch,
    Bodies,
    Codec,
    Machines,
    Moves,
    Players,
    Results,
    Rules
  }

  alias GamePlatform.Compute.Beam.Topology

  # nil if the ruleset has no economy.
  def new(%{"economy" => economy} = ruleset, f) when economy != nil do
    %{
      f: f,
      rules: Rules.new(ruleset),
      # By cell.
      machines: %{},
      # {owner, whom the cell is granted to or 0} by cell.
      owners: %{},
      players: %{},
      numbers: %{},
      # How many results there have been.
      seq: 0,
      # Actions by the tick they are for.
      batches: %{}
    }
  end

  def new(_, _), do: nil

  # What was given for the same tick before is forgotten.
  def act(factory, tick, batch) do
    limits = %{
      cells: Topology.cells(factory.f),
      items: tuple_size(factory.rules.burns),
      prototypes: tuple_size(factory.rules.prototypes),
      recipes: tuple_size(factory.rules.recipes)
    }

    with {:ok, actions} <- Batch.decode(batch, limits),
         do: {:ok, %{factory | batches: Map.put(factory.batches, tick, actions)}}
  end

  # Tick `tick` on the cells that the field rule has left: the factory and the cells after it, and the ids
  # of the cells that it has changed.
  def step(factory, tick, cells) do
    {actions, batches} = Map.pop(factory.batches, tick, [])
    w = Map.merge(%{factory | batches: batches}, %{tick: tick, cells: cells, touched: []})
    w = Enum.reduce(actions, Bodies.finish(w), &Actions.run(&2, &1))
    halted = Machines.halted(w)
    w = w |> Machines.run(halted) |> Moves.run(halted)
    {Map.drop(w, [:tick, :cells, :touched]), w.cells, Enum.uniq(w.touched)}
  end

  # {machine's bytes or nil, owner, grant}
  def site(factory, cell) do
    {owner, grant} = Map.get(factory.owners, cell, {0, 0})
    machine = factory.machines[cell]
    {machine && Codec.machine(machine), owner, grant}
  end

  def players(factory), do: factory |> Players.in_order() |> Enum.map(&Codec.player/1)

  # Of the results that are kept those seen after tick `since`, as they came.
  def outcomes(factory, since) do
    told =
      for player <- Players.in_order(factory),
          {tick, seq, code, id} <- Results.kept(player),
          tick > since,
          do: {player.number, tick, seq, code, id}

    Enum.sort_by(told, &elem(&1, 2))
  end
end
