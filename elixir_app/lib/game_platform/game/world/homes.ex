defmodule GamePlatform.Game.World.Homes do
  @moduledoc false
  # Where players begin: cells around which the first factory of the guide can stand, away from others.
  #
  # The sites of a world are looked for once, among a bounded number of cells in an order that the seed decides. Each
  # player has an order of them that the name decides, and takes the first that is still as it should be. In a crowded or
  # a small world none may be: then the one is taken that is least wrong.

  alias GamePlatform.Compute
  alias GamePlatform.Game.World.Chart

  # `sites`: cell => steps to the next home that is known of, 24 if there is none so near; `homes`: those that are taken.
  defstruct [:world, :sites, homes: MapSet.new()]

  @type t :: %__MODULE__{}

  # Cells looked at for sites, and for any place at all, in batches; and how many sites for one player.
  @samples 12_000
  @anywhere 4_000
  @batch 200
  @surveys 6
  # Steps to others: as it should be, less, and so that the claims of both have room.
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

  # The sites of a world; the second is whose homes there are already.
  @spec new(Compute.world(), Enumerable.t()) :: {:ok, t} | {:error, Compute.reason()}
  def new(world, homes \\ []) do
    sites =
      order(world, "", @samples)
      |> Stream.chunk_every(@batch)
      |> Enum.reduce_while({:ok, %{}}, fn batch, {:ok, sites} ->
        case fitting(world, batch, @needs) do
          {:ok, cells} ->
            sites = for cell <- cells, site?(world.frequency, cell), into: sites, do: {cell, @apart}
            {:cont, {:ok, sites}}

          error ->
            {:halt, error}
        end
      end)

    with {:ok, sites} <- sites do
      none = %__MODULE__{world: world, sites: sites}
      {:ok, Enum.reduce(homes, none, &take_place(&2, &1, Chart.rings(world.frequency, &1, @apart - 1)))}
    end
  end

  # Finds a player's home, which is taken from then on.
  @spec take(t, String.t()) :: {:ok, Compute.cell_id(), rank, t} | {:error, Compute.reason()}
  def take(%__MODULE__{world: world} = homes, player) do
    case at_site(homes, player) do
      {{cell, rank, rings}, homes} ->
        {:ok, cell, rank, take_place(homes, cell, rings)}

      {nil, homes} ->
        with {:ok, cell, rank} <- anywhere(homes, player),
             do: {:ok, cell, rank, take_place(homes, cell, Chart.rings(world.frequency, cell, @apart - 1))}
    end
  end

  defp take_place(homes, cell, rings) do
    sites =
      for {ring, steps} <- Enum.with_index(rings), id <- ring, reduce: homes.sites do
        %{^id => apart} = sites when apart > steps -> %{sites | id => steps}
        sites -> sites
      end

    %{homes | sites: sites, homes: MapSet.put(homes.homes, cell)}
  end

  # Each cell at most once: steps of a length that shares no divisor with the number of cells.
  defp order(%{seed: seed, cells: cells}, player, most) do
    <<first::64, length::64, _::binary>> = :crypto.hash(:sha256, <<seed::64, player::binary>>)
    length = coprime(rem(length, cells) + 1, cells)
    first = rem(first, cells)
    Stream.map(0..(min(most, cells) - 1), &rem(first + &1 * length, cells))
  end

  defp coprime(n, cells), do: if(Integer.gcd(n, cells) == 1, do: n, else: coprime(n + 1, cells))

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

  # The first strict one, or the best of those that were looked at.
  defp at_site(%{world: world, sites: sites} = homes, player) do
    sites
    |> Enum.filter(fn {_, apart} -> apart >= @apart_least end)
    |> Enum.sort_by(fn {cell, apart} -> {class(apart), :erlang.phash2({world.seed, player, cell})} end)
    |> Enum.take(@surveys)
    |> Enum.reduce_while({nil, homes}, fn {cell, _}, {best, homes} ->
      case survey(homes, cell) do
        {:strict, _, rings} ->
          {:halt, {{cell, :strict, rings}, homes}}

        {rank, apart, rings} ->
          # What others own is learned here; and that of this site nothing is left.
          homes = if rank == nil, do: put_in(homes.sites[cell], min(apart, @apart_least - 1)), else: homes
          {:cont, {if(better?(rank, best), do: {cell, rank, rings}, else: best), homes}}
      end
    end)
  end

  defp class(apart) when apart >= @apart, do: 0
  defp class(apart) when apart >= @apart_less, do: 1
  defp class(_), do: 2

  defp better?(nil, _), do: false
  defp better?(_, nil), do: true
  defp better?(rank, {_, best, _}), do: order_of(rank) < order_of(best)
  defp order_of(rank), do: Enum.find_index([:strict, :far, :bare, :near, :close], &(&1 == rank))

  # What a site is worth as it is now, and how far away others are; nil if it is none any more.
  defp survey(%{world: %{frequency: frequency} = world} = homes, cell) do
    rings = Chart.rings(frequency, cell, @apart - 1)

    with {:ok, [^cell]} <- fitting(world, [cell], @needs),
         {:ok, cells} <- Compute.cells(world, Enum.concat(rings)) do
      steps = for {ring, n} <- Enum.with_index(rings), id <- ring, into: %{}, do: {id, n}
      apart = for cell <- cells, foreign?(homes, cell), do: steps[cell.id]
      apart = Enum.min(apart, fn -> @apart end)
      {rank(apart, furthest(cells, steps)), apart, rings}
    else
      _ -> {nil, 0, rings}
    end
  end

  defp foreign?(homes, cell), do: cell.owner != nil or MapSet.member?(homes.homes, cell.id)

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
  defp rank(apart, _) when apart >= @apart_least, do: :close
  defp rank(_, _), do: nil

  # A cell of one's own with rock, or else without; away from others if there is such a one.
  defp anywhere(%{world: world} = homes, player) do
    order(world, player, @anywhere)
    |> Stream.chunk_every(@batch)
    |> Enum.reduce_while(nil, fn batch, best ->
      case rocky(homes, batch) do
        {:ok, {_, :rock} = found} -> {:halt, {:ok, found}}
        {:ok, found} -> {:cont, best || found}
        error -> {:halt, error}
      end
    end)
    |> case do
      {:ok, {cell, rank}} -> {:ok, cell, rank}
      {:error, _} = error -> error
      {cell, :any} -> {:ok, cell, :any}
      nil -> {:ok, order(world, player, 1) |> Enum.at(0), :any}
    end
  end

  defp rocky(%{world: %{frequency: frequency} = world} = homes, batch) do
    with {:ok, cells} <- Compute.cells(world, batch),
         open =
           for(cell <- cells, not foreign?(homes, cell), free_of_pentagons?(frequency, cell.id), do: cell.id),
         {:ok, rocky} <- fitting(world, open, [{{0, 0}, "rock"}]) do
      case {rocky, open} do
        {[cell | _], _} -> {:ok, {Enum.find(rocky, cell, &apart?(homes, &1)), :rock}}
        {[], [cell | _]} -> {:ok, {cell, :any}}
        {[], []} -> {:ok, nil}
      end
    end
  end

  defp apart?(%{world: world} = homes, cell) do
    near = world.frequency |> Chart.rings(cell, @apart_least - 1) |> Enum.concat()

    case Compute.cells(world, near) do
      {:ok, cells} -> not Enum.any?(cells, &foreign?(homes, &1))
      _ -> false
    end
  end
end
