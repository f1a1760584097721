defmodule GamePlatform.Plant do
  @moduledoc """
  Factories in worlds of any backend, built by actions on a field that stands still. Cells are axial, `{q, r}` from
  home: direction 0 is q + 1, direction 5 is r + 1. There is one player, ann, who stands at home.
  """

  alias GamePlatform.{Compute, Golden}
  alias GamePlatform.Compute.{Beam.Topology, Ruleset}

  @default "priv/rulesets/default.toml"
  @backends [:beam, :nif, :node]
  @frequency 24
  @kit "stone = 9000, wood = 3000, iron = 6000, gear = 6000, cord = 3000, brick = 3000, glass = 3000, wire = 3000, " <>
         "steel = 1000, motor = 100, spore = 100, peat = 1000, cinder = 100, ore = 1000, water = 1000"
  @rich """
  start = { kit = { #{@kit} }, inventory = 60000, step = 4, gather = 8, craft = 20, queue = 16 }
  claim = { item = "stone", base = 0, every = 10000, gap = 1, estates = 100 }
  """

  @doc """
  A ruleset's text with the default economy. `:field` is `:still`, where nothing grows and nothing turns, or
  `:default`; `:start` is `:rich`, with a kit for every machine and claims for nothing, or `:default`. `gen: true` makes
  the land of the default ruleset, else all is rock without ash.
  """
  def ruleset(opts \\ []) do
    text = File.read!(@default)
    [field, economy] = String.split(text, ~r/^(?=fire = )/m)
    [making, start] = String.split(economy, ~r/^(?=start = )/m)
    field = if opts[:field] == :default, do: field, else: still(field, opts[:gen])
    {:text, field <> making <> if(opts[:start] == :default, do: start, else: @rich)}
  end

  defp still(field, gen) do
    kinds =
      for [_, name] <- Regex.scan(~r/^  \{ name = "(\w+)", +ripe/m, field) do
        ~s({ name = "#{name}", ripe = 1, cap = 65535, spent = "rock" })
      end

    [gen] = if gen, do: Regex.run(~r/^gen = .*\n/m, field), else: [""]
    "beat = 256\nkind = [#{Enum.join(kinds, ", ")}]\n#{gen}"
  end

  @doc "The id of an axial cell in a world of that frequency, where home is in the middle of a diamond."
  def cell(at, frequency \\ @frequency)

  def cell({q, r}, frequency) do
    {i, j} = {div(frequency, 2) + r, div(frequency, 2) + q}
    true = i in 1..frequency and j in 0..(frequency - 1)
    Topology.id(frequency, {0, i, j})
  end

  @doc "Makes a plant on each backend, in a process of its own, and gives what `fun` returns for it; all at once."
  def on_all(opts, fun) do
    @backends
    |> Enum.map(&{&1, Task.async(fn -> on(&1, opts, fun) end)})
    |> Enum.map(fn {backend, task} -> {backend, Task.await(task, :infinity)} end)
  end

  @doc """
  A plant on a backend. `field` gives kind and amount of cells. `machines`, `{at, prototype, direction}` or `{at,
  prototype, direction, recipe}`, and what hands `put` in, `{at, item, count}`, are there as if they had been before
  tick 0.
  """
  def on(backend, opts, fun) do
    source = ruleset()
    {:ok, ruleset} = Ruleset.load(source)
    cells = cells(opts[:field] || [], ruleset.terms)
    made = [backend: backend, frequency: @frequency, seed: 1, ruleset: source, cells: cells]
    {:ok, world} = Compute.new_world(made)
    act(world, [join({0, 0}) | build(opts[:machines] || [], opts[:put] || [])])
    result = fun.(world)
    Compute.close(world)
    result
  end

  defp cells(field, terms) do
    kinds = Enum.map(terms["kinds"], & &1["name"])
    given = Map.new(field, fn {at, kind, amount} -> {cell(at), {index(kinds, kind), amount}} end)
    all = for id <- 0..(Topology.cells(@frequency) - 1), do: Map.get(given, id, {0, 0})

    {for({kind, _} <- all, into: <<>>, do: <<kind>>),
     for({_, amount} <- all, into: <<>>, do: <<amount::16-little>>)}
  end

  defp index(kinds, kind), do: Enum.find_index(kinds, &(&1 == kind))

  defp join(at), do: %{"action" => "join", "by" => "ann", "cell" => cell(at)}

  # Land first, each cell beside one before.
  defp build(machines, put) do
    land = machines |> Enum.flat_map(&path(elem(&1, 0))) |> Enum.uniq()

    Enum.map([{0, 0} | land], &{:claim, &1}) ++
      Enum.flat_map(machines, fn
        {at, prototype, direction} -> [{:place, at, prototype, direction}]
        {at, prototype, direction, recipe} -> [{:place, at, prototype, direction}, {:set_recipe, at, recipe}]
      end) ++ for {at, item, count} <- put, do: {:put, at, item, count}
  end

  # From beside home along q, then along r.
  defp path({q, r}) do
    along = for x <- towards(q), do: {x, 0}
    along ++ for y <- towards(r), do: {q, y}
  end

  defp towards(0), do: []
  defp towards(n) when n > 0, do: Enum.to_list(1..n)
  defp towards(n), do: Enum.to_list(-1..n//-1)

  @doc "Submits actions for the next tick, each as a tuple or a map, and advances it; all must be applied at once."
  def act(world, actions) do
    {:ok, tick} = Compute.tick(world)

    actions =
      for {action, n} <- Enum.with_index(actions) do
        if is_map(action),
          do: action,
          else: Map.merge(map(action), %{"by" => "ann", "action_id" => "#{tick}.#{n}"})
      end

    {:ok, replies} = Compute.submit(world, actions)
    [] = Enum.reject(replies, &(&1.status == :accepted))
    {:ok, _} = Compute.advance(world, 1)
    {:ok, outcomes} = Compute.outcomes(world, tick)
    [] = Enum.reject(outcomes, &(&1.outcome == :applied))
    world
  end

  @doc "An action as a map, without the player and the id."
  def map({name, at, a, b}), do: Map.merge(map({name, at}), fields(name, a, b))
  def map({:set_recipe, at, recipe}), do: Map.put(map({:set_recipe, at}), "recipe", recipe)
  def map({name, at}), do: %{"action" => Atom.to_string(name), "cell" => cell(at)}

  defp fields(:place, prototype, direction), do: %{"prototype" => prototype, "direction" => direction}
  defp fields(name, item, count) when name in [:put, :take], do: %{"item" => item, "count" => count}

  @doc "What stands on a cell."
  def machine(world, at) do
    {:ok, %{machine: machine}} = Compute.cell(world, cell(at))
    machine
  end

  @doc "How many of an item a machine holds."
  def held(world, at, item), do: Map.get(machine(world, at).contents, item, 0)

  @doc "Advances to a tick; the effect of tick t is seen at t + 1."
  def to(world, tick) do
    {:ok, ^tick} = Compute.advance_to(world, tick)
    world
  end

  @doc "Advances to a tick one by one, and tells in which ticks a machine came to hold more of an item."
  def arrivals(world, tick, at, item) do
    {:ok, now} = Compute.tick(world)

    {_, arrivals} =
      for t <- now..(tick - 1)//1, reduce: {held(world, at, item), []} do
        {before, arrivals} ->
          held = world |> to(t + 1) |> held(at, item)
          {held, if(held > before, do: [t | arrivals], else: arrivals)}
      end

    Enum.reverse(arrivals)
  end

  @doc "The world's digest in the form of the golden ones."
  def digest(world) do
    {:ok, digest} = Compute.digest(world)
    Base.encode16(digest, case: :lower)
  end

  @doc "The golden digest of a factory by its name and tick."
  def golden(factory), do: Golden.factories()[factory]
end
