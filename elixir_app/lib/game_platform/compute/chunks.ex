defmodule GamePlatform.Compute.Chunks do
  @moduledoc false
  # Windows of a world: which there are, what is in them, and what is around a cell.

  alias GamePlatform.{Config, Native}
  alias GamePlatform.Compute.Beam.Topology

  @max_radius 1024
  # Cells along the side of a chunk, and the form of a row that is a run.
  @side 64
  @run 2

  def split(diff, chunks) when is_binary(diff) do
    with :ok <- check(4096, chunks),
         {:error, sentence} <- Native.field_split(diff, chunks),
         do: {:error, {:invalid_diff, sentence}}
  end

  def split(diff, _), do: Config.invalid(:diff, diff, "a binary, as diff/3 returns it")

  def around(frequency, cell, radius) do
    with {:ok, frequency} <- Config.check(:frequency, frequency) do
      last = Topology.cells(frequency) - 1

      cond do
        not (is_integer(cell) and cell in 0..last) ->
          Config.invalid(:cell, cell, "a cell id in 0..#{last}")

        not (is_integer(radius) and radius in 0..@max_radius) ->
          Config.invalid(:radius, radius, "an integer in 0..#{@max_radius}")

        true ->
          {:ok, Native.field_area(frequency, cell, radius)}
      end
    end
  end

  def count(frequency) do
    with {:ok, frequency} <- Config.check(:frequency, frequency) do
      side = div(frequency + 63, 64)
      10 * side * side + 2
    end
  end

  def check(frequency, chunks) do
    last = count(frequency) - 1

    if is_list(chunks) and not List.improper?(chunks) and length(chunks) <= last + 1 do
      case Enum.reject(chunks, &(is_integer(&1) and &1 in 0..last)) do
        [] -> :ok
        [chunk | _] -> Config.invalid(:chunk, chunk, "a chunk in 0..#{last}")
      end
    else
      Config.invalid(:chunks, chunks, "a list of chunks, each once")
    end
  end

  # The rows of a chunk as ids, in order; a pole is a row of its own.
  def rows(frequency, chunk) do
    with :ok <- check(frequency, [chunk]) do
      side = div(frequency + @side - 1, @side)

      if chunk >= 10 * side * side do
        pole = chunk - 10 * side * side
        id = 10 * frequency * frequency + pole
        {:ok, [id..id]}
      else
        down = span(rem(div(chunk, side), side), frequency)
        across = span(rem(chunk, side), frequency)
        diamond = div(chunk, side * side)

        {:ok,
         for(
           i <- down,
           do: first(frequency, diamond, i, across.first)..first(frequency, diamond, i, across.last)
         )}
      end
    end
  end

  defp span(n, frequency), do: (n * @side)..(min((n + 1) * @side, frequency) - 1)
  defp first(frequency, diamond, i, j), do: (diamond * frequency + i) * frequency + j

  # The keyframe of one chunk from its cells alone: a run for each row, as `native/wire/src/field/write.rs` has it.
  def keyframe(frequency, tick, rows, cells) do
    <<"gpk1", frequency::32-little, tick::64-little, tick::64-little, length(rows)::32-little>> <>
      (rows |> runs(frequency, cells) |> IO.iodata_to_binary())
  end

  defp runs([], _, []), do: []

  defp runs([ids | rows], frequency, cells) do
    {of_row, cells} = Enum.split(cells, Range.size(ids))
    row = Topology.row(frequency, ids.first)
    col = ids.first - Topology.row_cells(frequency, row).first
    kinds = for {_, kind, _} <- of_row, into: <<>>, do: <<kind>>
    amounts = for {_, _, amount} <- of_row, into: <<>>, do: <<amount::16-little>>
    head = <<row::32-little, @run, col::16-little, Range.size(ids)::16-little>>
    [head, kinds, amounts | runs(rows, frequency, cells)]
  end

  def neighbours(frequency, id) do
    with {:ok, frequency} <- Config.check(:frequency, frequency) do
      last = Topology.cells(frequency) - 1

      if is_integer(id) and id >= 0 and id <= last,
        do: Topology.neighbours(frequency, id),
        else: Config.invalid(:id, id, "a cell id in 0..#{last}")
    end
  end
end
