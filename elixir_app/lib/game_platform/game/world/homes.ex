defmodule GamePlatform.Game.World.Homes do
  @moduledoc false
  # Where a player begins: a cell around which the first factory of the guide can stand, away from others.
  #
  # Cells are looked at in an order that the world's seed and the player's name decide, a bounded number of them, and in
  # batches. A crowded or a small world may have none that is as it should be: then the one is taken that is least wrong.

  alias GamePlatform.Compute
  alias GamePlatform.Game.World.Chart

  # Cells looked at, in batches; after so many of them what has been found will do.
  @samples 4_000
  @enough 1_000
  @batch 200
  # Around so many of them all that is near is looked at.
  @surveys 40
  # Steps to others: as it should be, at least, and so that the claims of both have room.
  @apart 24
  @apart_less 12
  @apart_least 8
  # Steps to peat and moss.
  @walk 15

  # Where the first machines of a player stand, axial.
  @site [{0, 0}, {-1, 0}, {-2, 0}, {-1, -1}, {1, -1}, {2, -2}, {1, 0}, {0, 1}, {2, 0}]
  # What must be at most a step from where.
  @needs [{{-2, 0}, "ferrite"}, {{-1, -1}, "ferrite"}, {{2, -2}, "rock"}]

  # From good to bad: peat and moss are `:far`, or there is nothing but the site, others are `:near` or `:close`, there
  # is no site, only `:rock` at most a step away, and `:any` cell.
  @type rank :: :strict | :far | :bare | :near | :close | :rock | :any
  @ranks [:strict, :far, :bare, :near, :close]

  # `others` are the homes of other players. Nothing is changed.
  @spec find(Compute.world(), String.t(), Enumerable.t()) ::
          {:ok, Compute.cell_id(), rank} | {:error, Compute.reason()}
  def find(world, player, others \\ []) do
    others = MapSet.new(others)
    order = order(world, player)

    with {:ok, best} <- sites(world, order, others) do
      case best do
        {cell, rank} -> {:ok, cell, rank}
        nil -> anywhere(world, order, others)
      end
    end
  end

  # Each cell at most once: steps of a length that shares no divisor with the number of cells.
  defp order(%{seed: seed, cells: cells}, player) do
    <<first::64, length::64, _::binary>> = :crypto.hash(:sha256, <<seed::64, player::binary>>)
    length = coprime(rem(length, cells) + 1, cells)
    first = rem(first, cells)
    Stream.map(0..(min(@samples, cells) - 1), &rem(first + &1 * length, cells))
  end

  defp coprime(n, cells), do: if(Integer.gcd(n, cells) == 1, do: n, else: coprime(n + 1, cells))

  # The best of the first cells around which a factory fits.
  defp sites(world, order, others) do
    order
    |> Stream.chunk_every(@batch)
    |> Stream.with_index(1)
    |> Enum.reduce_while({:ok, nil, @surveys}, fn {batch, n}, {:ok, best, left} ->
      with {:ok, fitting} <- fitting(world, batch, @needs) do
        open = Enum.filter(fitting, &(site?(world.frequency, &1) and apart?(world, &1, others)))
        best = best_of(world, Enum.take(open, left), others, best)
        left = left - length(open)
        enough? = left <= 0 or match?({_, :strict}, best) or (best != nil and n * @batch >= @enough)
        {if(enough?, do: :halt, else: :cont), {:ok, best, left}}
      else
        error -> {:halt, error}
      end
    end)
    |> case do
      {:ok, best, _} -> {:ok, best}
      error -> error
    end
  end

  # Those cells of a batch where everything is that must be near.
  defp fitting(_, cells, []), do: {:ok, cells}
  defp fitting(_, [], _), do: {:ok, []}

  defp fitting(%{frequency: frequency} = world, cells, [{place, name} | needs]) do
    places =
      for cell <- cells, {at, _} <- [Chart.at(frequency, cell, place)] do
        {cell, [at | Compute.neighbours(frequency, at)]}
      end

    with {:ok, names} <- names(world, Enum.flat_map(places, &elem(&1, 1))) do
      fitting(world, for({cell, near} <- places, Enum.any?(near, &(names[&1] == name)), do: cell), needs)
    end
  end

  defp names(world, ids) do
    with {:ok, cells} <- Compute.cells(world, ids), do: {:ok, Map.new(cells, &{&1.id, &1.name})}
  end

  defp best_of(_, [], _, best), do: best

  defp best_of(world, [cell | rest], others, best) do
    rank = survey(world, cell, others)

    cond do
      rank == :strict -> {cell, :strict}
      better?(rank, best) -> best_of(world, rest, others, {cell, rank})
      true -> best_of(world, rest, others, best)
    end
  end

  defp better?(nil, _), do: false
  defp better?(_, nil), do: true
  defp better?(rank, {_, best}), do: order_of(rank) < order_of(best)
  defp order_of(rank), do: Enum.find_index(@ranks, &(&1 == rank))

  # No pentagon is in the site or beside it.
  defp site?(frequency, cell) do
    Enum.all?(@site, fn place ->
      case Chart.at(frequency, cell, place) do
        {at, _} -> free_of_pentagons?(frequency, at)
        nil -> false
      end
    end)
  end

  defp free_of_pentagons?(frequency, cell) do
    Enum.all?([cell | Compute.neighbours(frequency, cell)], &(length(Compute.neighbours(frequency, &1)) == 6))
  end

  # Most sites of a crowded world are somebody's, which a few cells tell.
  defp apart?(world, cell, others) do
    case Compute.cells(world, world.frequency |> Chart.rings(cell, @apart_least - 1) |> Enum.concat()) do
      {:ok, cells} -> not Enum.any?(cells, &foreign?(&1, others))
      _ -> false
    end
  end

  defp foreign?(cell, others), do: cell.owner != nil or MapSet.member?(others, cell.id)

  # What is near a site; nil if it cannot be told.
  defp survey(world, cell, others) do
    rings = Chart.rings(world.frequency, cell, @apart - 1)

    with {:ok, cells} <- Compute.cells(world, Enum.concat(rings)) do
      steps = for {ring, n} <- Enum.with_index(rings), id <- ring, into: %{}, do: {id, n}
      apart = cells |> Enum.filter(&foreign?(&1, others)) |> Enum.map(&steps[&1.id])
      rank(Enum.min(apart, fn -> @apart end), furthest(cells, steps))
    else
      _ -> nil
    end
  end

  defp furthest(cells, steps) do
    ["peat", "moss"]
    |> Enum.map(fn name ->
      cells |> Enum.filter(&(&1.name == name)) |> Enum.map(&steps[&1.id]) |> Enum.min(fn -> nil end)
    end)
    |> Enum.max()
  end

  # An atom, nil, is more than any number.
  defp rank(apart, walk) when apart >= @apart and walk <= @walk, do: :strict
  defp rank(apart, walk) when apart >= @apart and walk < @apart, do: :far
  defp rank(apart, _) when apart >= @apart, do: :bare
  defp rank(apart, _) when apart >= @apart_less, do: :near
  defp rank(_, _), do: :close

  defp anywhere(%{frequency: frequency} = world, order, others) do
    free = Enum.reject(order, &(MapSet.member?(others, &1) or not free_of_pentagons?(frequency, &1)))

    with {:ok, cells} <- Compute.cells(world, free),
         unowned = for(%{id: id, owner: nil} <- cells, do: id),
         {:ok, rocky} <- fitting(world, unowned, [{{0, 0}, "rock"}]) do
      case {rocky, unowned} do
        {[cell | _], _} -> {:ok, cell, :rock}
        {[], [cell | _]} -> {:ok, cell, :any}
        {[], []} -> {:ok, Enum.at(order, 0), :any}
      end
    end
  end
end
