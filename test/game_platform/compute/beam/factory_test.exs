defmodule GamePlatform.Compute.Beam.FactoryTest do
  # The numbers of the design's section 6, and every rule that they do not reach.
  use ExUnit.Case, async: true

  import GamePlatform.FactorySite

  describe "machines" do
    test "the gear works make exactly what was computed" do
      ferrite =
        for {at, d} <- [{{-3, -1}, 5}, {{-4, 1}, 1}, {{-2, -1}, 5}, {{-3, 1}, 1}],
            do: {at, d, "ferrite", "mine_ore"}

      peat = for {at, d} <- [{{3, -3}, 4}, {{-1, 2}, 1}, {{0, 3}, 1}], do: {at, d, "peat", "cut_peat"}
      stone = [{{1, 3}, 2, "rock", "dig_stone"}]

      others = [
        {{-3, 0}, "conveyor", 0, []},
        {{-2, 0}, "conveyor", 0, []},
        {{-1, 0}, "conveyor", 0, []},
        {{0, 0}, "splitter", 0, []},
        {{1, -1}, "furnace", 5, [recipe: "smelt_iron"]},
        {{0, 1}, "furnace", 1, [recipe: "smelt_iron"]},
        {{1, 0}, "mill", 0, [recipe: "cut_gear"]},
        {{2, 0}, "depot", 0, []},
        {{2, -1}, "dynamo", 0, []},
        {{2, -2}, "splitter", 4, []},
        {{0, 2}, "conveyor", 0, []},
        {{1, 2}, "furnace", 0, [recipe: "slag_brick"]},
        {{2, 2}, "depot", 0, []}
      ]

      site =
        for {at, d, kind, recipe} <- ferrite ++ peat ++ stone, reduce: new() do
          site -> site |> field(at, kind, 400) |> machine(at, "extractor", d, recipe: recipe)
        end

      site =
        for {at, prototype, d, changes} <- others,
            reduce: site,
            do: (site -> machine(site, at, prototype, d, changes))

      assert map_size(site.factory.machines) == 21

      {site, gears} = arrivals(site, 10_000, {2, 0}, "gear")
      assert {hd(gears), length(gears), held(site, {2, 0}, "gear")} == {245, 163, 163}
      assert gears == Enum.take_every(245..9_999, 60)
      assert held(site, {2, 2}, "brick") == 164

      made = fn at -> machine_at(site, at).made end
      assert Enum.map(ferrite, fn {at, _, _, _} -> made.(at) end) == [166, 166, 166, 166]
      assert made.({1, 3}) == 166
      assert {made.({0, 1}), made.({1, -1})} == {165, 164}
      assert {machine_at(site, {1, -1}).spilt, machine_at(site, {1, -1}).by} == {154, 10}
      assert Enum.map(peat, fn {at, _, _, _} -> made.(at) end) == [101, 56, 55]
      lit = for at <- [{0, 1}, {1, -1}, {1, 2}, {2, -1}], do: machine_at(site, at).lit
      assert lit == [42, 42, 42, 41]

      assert field_at(site, {-3, -1}) ==
               {"ferrite", 400 - 166 - if(machine_at(site, {-3, -1}).progress, do: 1, else: 0)}

      assert field_at(site, {1, 3}) == {"rock", 400}
    end
  end
end
