defmodule GamePlatform.Compute.Beam.Topology do
  @moduledoc false
  # The sphere: ten diamonds of f x f cells and two poles. Diamonds 0-4 are the northern ones, 5-9 the
  # southern. A cell is {d, i, j} with i in 1..f and j in 0..f-1, or :north_pole or :south_pole.

  # Direction d+1 is a left turn.
  @directions [{0, 1}, {-1, 1}, {-1, 0}, {0, -1}, {1, -1}, {1, 0}]
  @chunk_side 64

  def cells(f), do: 10 * f * f + 2
  def rows(f), do: 10 * f + 2
  def row_len(f, row), do: if(row < 10 * f, do: f, else: 1)

  def row_cells(f, row) do
    first = if row < 10 * f, do: row * f, else: 10 * f * f + row - 10 * f
    first..(first + row_len(f, row) - 1)
  end

  def place(f, id) when id == 10 * f * f, do: :north_pole
  def place(f, id) when id == 10 * f * f + 1, do: :south_pole
  def place(f, id), do: {div(id, f * f), rem(div(id, f), f) + 1, rem(id, f)}

  def id(f, :north_pole), do: 10 * f * f
  def id(f, :south_pole), do: 10 * f * f + 1
  def id(f, {d, i, j}), do: d * f * f + (i - 1) * f + j

  def row(f, id) when id < 10 * f * f, do: div(id, f)
  def row(f, id), do: 10 * f + id - 10 * f * f

  # The ids around a cell in order of direction: six, or five at a pentagon.
  def neighbours(f, id) do
    case place(f, id) do
      :north_pole -> for k <- 0..4, do: id(f, {k, 1, 0})
      :south_pole -> for k <- [0, 4, 3, 2, 1], do: id(f, {5 + k, f, f - 1})
      {d, i, j} -> for {di, dj} <- @directions, at = at(f, d, i + di, j + dj), do: id(f, at)
    end
  end

  # What lies at (i, j) seen from diamond d; nil where a pentagon has no sixth neighbour.
  defp at(f, d, i, j) when i >= 1 and i <= f and j >= 0 and j < f, do: {d, i, j}
  defp at(f, _, i, -1) when i == f + 1, do: nil
  defp at(f, d, i, j) when d < 5, do: beyond_north(f, d, i, j)
  defp at(f, d, i, j), do: beyond_south(f, d - 5, i, j)

  defp beyond_north(_, _, 0, 0), do: :north_pole
  defp beyond_north(_, k, 0, j), do: north(k + 1, j, 0)
  defp beyond_north(_, k, i, -1), do: north(k - 1, 1, i - 1)
  defp beyond_north(f, k, i, j) when i == f + 1, do: south(k - 1, 1, j)
  defp beyond_north(f, k, i, j) when j == f, do: south(k, i, 0)

  defp beyond_south(f, k, 0, j) when j == f, do: south(k + 1, f, 0)
  defp beyond_south(f, k, 0, j), do: north(k + 1, f, j)
  defp beyond_south(f, k, i, -1), do: north(k, i, f - 1)
  defp beyond_south(f, k, i, j) when i == f + 1, do: south(k - 1, j + 1, f - 1)
  defp beyond_south(f, _, i, j) when i == f and j == f, do: :south_pole
  defp beyond_south(f, k, i, j) when j == f, do: south(k + 1, f, i)

  defp north(k, i, j), do: {Integer.mod(k, 5), i, j}
  defp south(k, i, j), do: {5 + Integer.mod(k, 5), i, j}

  # The chunks in order, each as its ids in order: windows of at most 64 x 64 cells of a diamond, by
  # diamond, rows and columns, and each pole.
  def chunks(f) do
    starts = Enum.take_every(0..(f - 1), @chunk_side)

    windows =
      for d <- 0..9, top <- starts, left <- starts do
        for i <- top..(min(top + @chunk_side, f) - 1),
            j <- left..(min(left + @chunk_side, f) - 1),
            do: id(f, {d, i + 1, j})
      end

    windows ++ [[id(f, :north_pole)], [id(f, :south_pole)]]
  end
end
