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
    {:ok, none} = Homes.new(world)

    {found, _} =
      for n <- 1..4, reduce: {[], none} do
        {found, homes} ->
          assert {:ok, home, :strict, homes} = Homes.take(homes, "player #{n}")
          assert "ferrite" in near(world, home, {-2, 0})
          assert "ferrite" in near(world, home, {-1, -1})
          assert "rock" in near(world, home, {2, -2})
          around = names(world, world.frequency |> Chart.rings(home, 15) |> Enum.concat())
          assert "peat" in around and "moss" in around
          for other <- found, do: assert(steps(world, home, other, 24) >= 24)
          {[home | found], homes}
      end

    # The same name has the same home, another name another, whoever has come before.
    {:ok, again} = Homes.new(world)
    assert {:ok, home, :strict, _} = Homes.take(again, "player 1")
    assert home == List.last(found)
    assert length(Enum.uniq(found)) == 4
    {:ok, later} = Homes.new(world, found)
    assert {:ok, home, _, _} = Homes.take(later, "player 1")
    assert Enum.all?(found, &(steps(world, home, &1, 24) >= 24))
  end

  test "in a full world homes come closer, and then anything will do" do
    {:ok, none} = Homes.new(world(frequency: 16))

    {found, ranks, _} =
      Enum.reduce(1..40, {[], [], none}, fn n, {found, ranks, homes} ->
        {:ok, home, rank, homes} = Homes.take(homes, "player #{n}")
        {[home | found], [rank | ranks], homes}
      end)

    assert length(Enum.uniq(found)) == 40
    assert hd(ranks) == :rock and List.last(ranks) in [:strict, :far, :bare]
  end

  test "the smallest world has a home, even without anything that is needed" do
    for {opts, most} <- [{[frequency: 1], 11}, {[frequency: 4, ruleset: {:text, other_kinds()}], 161}] do
      {:ok, homes} = Homes.new(world(opts))
      assert {:ok, home, :any, _} = Homes.take(homes, "ann")
      assert home in 0..most
    end
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
