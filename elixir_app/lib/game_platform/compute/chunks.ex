defmodule GamePlatform.Compute.Chunks do
  @moduledoc false
  # Windows of a world: which there are, what is in them, and what is around a cell.

  alias GamePlatform.{Config, Native}
  alias GamePlatform.Compute.Beam.Topology

  @max_radius 1024

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

  def neighbours(frequency, id) do
    with {:ok, frequency} <- Config.check(:frequency, frequency) do
      last = Topology.cells(frequency) - 1

      if is_integer(id) and id >= 0 and id <= last,
        do: Topology.neighbours(frequency, id),
        else: Config.invalid(:id, id, "a cell id in 0..#{last}")
    end
  end
end
