defmodule GamePlatform.Compute.Beam.Factory.Bag do
  @moduledoc false
  # Items and how many of each: %{item => count}, never with a count of 0.

  def total(bag), do: bag |> Map.values() |> Enum.sum()

  def add(bag, _, 0), do: bag
  def add(bag, item, count), do: Map.update(bag, item, count, &(&1 + count))

  def merge(a, b), do: Map.merge(a, b, fn _, n, m -> n + m end)

  def times(_, 0), do: %{}
  def times(bag, factor), do: Map.new(bag, fn {item, count} -> {item, count * factor} end)

  def holds?(bag, wanted), do: Enum.all?(wanted, fn {item, count} -> Map.get(bag, item, 0) >= count end)

  # `bag` without `taken`, which it holds.
  def minus(bag, taken) do
    Enum.reduce(taken, bag, fn {item, count}, bag ->
      case Map.fetch!(bag, item) - count do
        0 -> Map.delete(bag, item)
        left when left > 0 -> Map.put(bag, item, left)
      end
    end)
  end
end
