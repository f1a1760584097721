defmodule GamePlatform.Game.World.Chart do
  @moduledoc false
  # Axial coordinates around a cell: (q, r) is reached with q steps in its direction 0 and r in its direction 5.
  #
  # Across a seam of the sphere the directions of a cell are not those of the cell before, so each cell comes with its
  # `turn`: direction d of the chart is direction `direction(d, turn)` of that cell. A chart ends where a pentagon is.

  alias GamePlatform.Compute

  @steps [{1, 0}, {1, -1}, {0, -1}, {-1, 0}, {-1, 1}, {0, 1}]

  @type place :: {q :: integer, r :: integer}
  @type spot :: {Compute.cell_id(), turn :: 0..5}

  # The spot at (q, r) of a chart around `cell`, or nil if a pentagon is in the way. `turn` turns the chart.
  @spec at(pos_integer, Compute.cell_id(), place, 0..5) :: spot | nil
  def at(frequency, cell, place, turn \\ 0), do: walk(frequency, {cell, turn}, place)

  defp walk(_, spot, {0, 0}), do: spot

  defp walk(frequency, spot, {q, r}) do
    {{dq, dr}, d} =
      @steps |> Enum.with_index() |> Enum.min_by(fn {{dq, dr}, _} -> steps({q - dq, r - dr}) end)

    with {_, _} = next <- step(frequency, spot, d), do: walk(frequency, next, {q - dq, r - dr})
  end

  # The spot one step in direction d of the chart.
  @spec step(pos_integer, spot, 0..5) :: spot | nil
  def step(frequency, {cell, turn}, d) do
    with [_, _, _, _, _, _] = ids <- Compute.neighbours(frequency, cell),
         next = Enum.at(ids, direction(d, turn)),
         [_, _, _, _, _, _] = back <- Compute.neighbours(frequency, next) do
      {next, rem(Enum.find_index(back, &(&1 == cell)) - d + 9, 6)}
    else
      _ -> nil
    end
  end

  # How many steps (q, r) is from (0, 0).
  @spec steps(place) :: non_neg_integer
  def steps({q, r}), do: div(abs(q) + abs(r) + abs(q + r), 2)

  # A direction of the chart as the cell itself numbers it.
  @spec direction(0..5, 0..5) :: 0..5
  def direction(d, turn), do: rem(d + turn, 6)

  # The cells at most `radius` steps from a cell, in rings: the first is the cell, each next one step further.
  @spec rings(pos_integer, Compute.cell_id(), non_neg_integer) :: [[Compute.cell_id()]]
  def rings(frequency, cell, radius), do: rings(frequency, radius, [[cell]], MapSet.new([cell]))

  defp rings(_, 0, rings, _), do: Enum.reverse(rings)

  defp rings(frequency, radius, [last | _] = rings, seen) do
    {next, seen} =
      for cell <- last, id <- Compute.neighbours(frequency, cell), reduce: {[], seen} do
        {next, seen} ->
          if MapSet.member?(seen, id), do: {next, seen}, else: {[id | next], MapSet.put(seen, id)}
      end

    # The world may be smaller.
    if next == [],
      do: Enum.reverse(rings),
      else: rings(frequency, radius - 1, [Enum.reverse(next) | rings], seen)
  end

  # The shortest way to the first cell that `goal?` likes, as the cells to step on; nil if it is further than `radius`.
  @spec way(pos_integer, Compute.cell_id(), non_neg_integer, (Compute.cell_id() -> boolean)) ::
          [Compute.cell_id()] | nil
  def way(frequency, cell, radius, goal?), do: way(frequency, [{cell, []}], MapSet.new([cell]), radius, goal?)

  defp way(_, [], _, _, _), do: nil

  defp way(frequency, edge, seen, radius, goal?) do
    case Enum.find(edge, fn {cell, _} -> goal?.(cell) end) do
      {_, way} ->
        Enum.reverse(way)

      nil when radius == 0 ->
        nil

      nil ->
        {next, seen} =
          for {cell, way} <- edge, id <- Compute.neighbours(frequency, cell), reduce: {[], seen} do
            {next, seen} ->
              if MapSet.member?(seen, id),
                do: {next, seen},
                else: {[{id, [id | way]} | next], MapSet.put(seen, id)}
          end

        way(frequency, Enum.reverse(next), seen, radius - 1, goal?)
    end
  end
end
