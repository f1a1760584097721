defmodule GamePlatform.Game.World.HomesTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Compute
  alias GamePlatform.Game.World.{Chart, Homes}

  defp world(opts) do
    {:ok, world} = Compute.new_world(Keyword.merge([backend: :nif, seed: 3, frequency: 64], opts))
    world
  end

  defp names(world, ids) do
    {:ok, cells} = Compute.cells(world, ids)
    Enum.map(cells, & &1.name)
  end

  defp near(world, home, place) do
    {at, _} = Chart.at(world.frequency, home, place)
    names(world, [at | Compute.neighbours(world.frequency, at)])
  end

  defp steps(world, a, b, most) do
    case Chart.way(world.frequency, a, most, &(&1 == b)) do
      nil -> most + 1
      way -> length(way)
    end
  end

  test "in a new world the first players' homes have all that the first factory needs, away from each other" do
    world = world([])

    homes =
      for n <- 1..4, reduce: [] do
        homes ->
          assert {:ok, home, :strict} = Homes.find(world, "player #{n}", homes)
          assert "ferrite" in near(world, home, {-2, 0})
          assert "ferrite" in near(world, home, {-1, -1})
          assert "rock" in near(world, home, {2, -2})
          around = names(world, world.frequency |> Chart.rings(home, 15) |> Enum.concat())
          assert "peat" in around and "moss" in around
          for other <- homes, do: assert(steps(world, home, other, 24) >= 24)
          [home | homes]
      end

    # The same name has the same home, another name another.
    assert {:ok, home, :strict} = Homes.find(world, "player 1")
    assert home == List.last(homes)
    assert length(Enum.uniq(homes)) == 4
  end

  test "in a full world homes come closer, and then anything will do" do
    world = world(frequency: 16)

    {homes, ranks} =
      Enum.reduce(1..30, {[], []}, fn n, {homes, ranks} ->
        {:ok, home, rank} = Homes.find(world, "player #{n}", homes)
        {[home | homes], [rank | ranks]}
      end)

    assert length(Enum.uniq(homes)) == 30
    assert hd(ranks) == :rock and List.last(ranks) in [:strict, :far, :bare]
  end

  test "the smallest world has a home, even without anything that is needed" do
    assert {:ok, home, :any} = Homes.find(world(frequency: 1), "ann")
    assert home in 0..11
    assert {:ok, _, :any} = Homes.find(world(frequency: 4, ruleset: {:text, other_kinds()}), "ann")
  end

  defp other_kinds do
    """
    beat = 1
    kind = [{ name = "dead", ripe = 1, cap = 1 }, { name = "alive", ripe = 1, cap = 1 }]
    counter = []
    grow = []
    turn = []
    """
  end
end
