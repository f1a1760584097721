defmodule GamePlatform.Compute.Beam.Factory.Ground do
  @moduledoc false
  # Cells: what grows there, whose they are and what lies around. `w` is the factory within a tick.

  alias GamePlatform.Compute.Beam.Topology

  def neighbours(w, cell), do: Topology.neighbours(w.f, cell)
  def kind(w, cell), do: elem(w.cells[cell], 0)
  def amount(w, cell), do: elem(w.cells[cell], 1)

  # A cell of which nothing is left becomes what its kind is spent to.
  def set_cell(w, cell, kind, amount) do
    kind = if amount == 0, do: elem(w.rules.spent, kind), else: kind
    %{w | cells: Map.put(w.cells, cell, {kind, amount}), touched: [cell | w.touched]}
  end

  # `count` units leave the cell. What is free leaves it as it is.
  def harvest(w, cell, count) do
    {kind, amount} = w.cells[cell]
    if w.rules.harvests[kind].free, do: w, else: set_cell(w, cell, kind, amount - count)
  end

  # Numbers of players; 0 is nobody.
  def owner(w, cell), do: elem(Map.get(w.owners, cell, {0, 0}), 0)
  def grant(w, cell), do: elem(Map.get(w.owners, cell, {0, 0}), 1)

  def rights?(w, cell, number), do: owner(w, cell) == number or grant(w, cell) == number

  # Whether machines on one cell may push to, or drive, those on the other.
  def reach?(w, from, to), do: owner(w, from) == owner(w, to) or grant(w, to) == owner(w, from)

  def pentagon?(w, cell), do: length(neighbours(w, cell)) == 5

  # The cells around the pentagons are nobody's.
  def reserved?(w, cell), do: Enum.any?(neighbours(w, cell), &pentagon?(w, &1))

  def beside_mine?(w, cell, number), do: Enum.any?(neighbours(w, cell), &(owner(w, &1) == number))

  # Whether a neighbour is another's. `granted`: not counting what that one has granted to `number`.
  def beside_foreign?(w, cell, number, granted \\ false) do
    Enum.any?(neighbours(w, cell), fn neighbour ->
      owner(w, neighbour) not in [0, number] and not (granted and grant(w, neighbour) == number)
    end)
  end

  def near?(w, player, cell), do: player.position == cell or cell in neighbours(w, player.position)

  # All cells within so many steps.
  def within(w, cell, steps), do: spread(w, [cell], MapSet.new([cell]), steps)

  defp spread(_, [], seen, _), do: seen
  defp spread(_, _, seen, 0), do: seen

  defp spread(w, edge, seen, steps) do
    next =
      for cell <- edge, neighbour <- neighbours(w, cell), neighbour not in seen, uniq: true, do: neighbour

    spread(w, next, MapSet.union(seen, MapSet.new(next)), steps - 1)
  end

  # The number of connected groups of a player's cells.
  def estates(w, number) do
    mine = for {cell, {^number, _}} <- w.owners, into: MapSet.new(), do: cell
    count_groups(w, mine, 0)
  end

  defp count_groups(w, cells, groups) do
    case Enum.take(cells, 1) do
      [] -> groups
      [cell] -> count_groups(w, remove_group(w, [cell], MapSet.delete(cells, cell)), groups + 1)
    end
  end

  defp remove_group(_, [], cells), do: cells

  defp remove_group(w, [cell | edge], cells) do
    joined = for neighbour <- neighbours(w, cell), neighbour in cells, do: neighbour
    remove_group(w, joined ++ edge, MapSet.difference(cells, MapSet.new(joined)))
  end
end
