defmodule GamePlatform.Game.World.ChartTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Compute
  alias GamePlatform.Game.World.Chart

  # Of a diamond's middle, a chart is the table of the rules.
  test "within a diamond q is the column and r the row" do
    f = 24
    home = 2 * f * f + 11 * f + 12
    assert Chart.at(f, home, {0, 0}) == {home, 0}

    for q <- -3..3, r <- -3..3 do
      assert Chart.at(f, home, {q, r}) == {home + r * f + q, 0}
    end
  end

  test "wherever no pentagon is near, both ways around a hexagon end at the same spot" do
    f = 6
    turned = for home <- 0..(10 * f * f + 1), spot <- around(f, home), elem(spot, 1) != 0, do: spot
    # Seams were crossed.
    assert length(turned) > 50
  end

  defp around(f, home) do
    places = for q <- -2..2, r <- -2..2, abs(q + r) <= 2, do: {q, r}

    if Enum.any?(Enum.concat(Chart.rings(f, home, 2)), &(length(Compute.neighbours(f, &1)) == 5)) do
      []
    else
      for place <- places do
        {cell, turn} = spot = Chart.at(f, home, place)

        for d <- 0..5 do
          # A step of the chart is a direction of the cell, and the step back leads back.
          {next, _} = there = Chart.step(f, spot, d) || {nil, 0}

          if next do
            assert Enum.at(Compute.neighbours(f, cell), Chart.direction(d, turn)) == next
            assert Chart.step(f, there, rem(d + 3, 6)) == spot
          end
        end

        spot
      end
    end
  end

  test "a chart may be turned, and ends at a pentagon" do
    f = 24
    home = 2 * f * f + 11 * f + 12
    assert {cell, 2} = Chart.at(f, home, {1, 0}, 2)
    assert cell == Enum.at(Compute.neighbours(f, home), 2)
    assert Chart.at(f, 0, {-1, 0}) == nil or Chart.at(f, 0, {0, -1}) == nil
    assert Chart.at(f, 10 * f * f, {1, 0}) == nil
  end

  test "rings and ways" do
    f = 24
    home = 2 * f * f + 11 * f + 12
    assert f |> Chart.rings(home, 3) |> Enum.map(&length/1) == [1, 6, 12, 18]
    # All of a small world, and nothing twice.
    assert Chart.rings(2, 0, 99) |> Enum.concat() |> Enum.sort() == Enum.to_list(0..41)

    {goal, _} = Chart.at(f, home, {-3, 1})
    way = Chart.way(f, home, 5, &(&1 == goal))
    assert length(way) == 3 and List.last(way) == goal

    Enum.reduce(way, home, fn cell, at ->
      assert cell in Compute.neighbours(f, at)
      cell
    end)

    assert Chart.way(f, home, 5, &(&1 == home)) == []
    assert Chart.way(f, home, 2, &(&1 == goal)) == nil
  end
end
