defmodule GamePlatform.Compute.Beam.FactoryTest do
  # Machines: cases computed by hand and with a model, to the unit and the tick.
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

    test "twenty conveyors deliver item k in tick 80 + 5k" do
      site = for q <- 1..20, reduce: new(f: 48), do: (site -> machine(site, {q - 12, 0}, "conveyor", 0))
      site = site |> source({-12, 0}, 0, "gear") |> machine({9, 0}, "depot", 0)
      {site, gears} = arrivals(site, 3_200, {9, 0}, "gear")
      assert gears == Enum.take_every(80..3_075, 5)
      assert held(site, {9, 0}, "gear") == 600
    end

    test "a splitter parts what comes evenly in two, and in three" do
      site = new() |> source({-1, 0}, 0, "gear") |> machine({0, 0}, "splitter", 0)
      sides = [{1, -1}, {1, 0}, {0, 1}]
      depots = fn sides -> for at <- sides, reduce: site, do: (site -> machine(site, at, "depot", 0)) end

      two = depots.([{1, -1}, {0, 1}]) |> run(2_004)
      # 4 a second come, 2 a second go to each side.
      assert for(at <- [{1, -1}, {0, 1}], do: held(two, at, "gear")) == [200, 200]

      three = depots.(sides) |> run(1_504)
      assert for(at <- sides, do: held(three, at, "gear")) == [100, 100, 100]
      # Left first, then front, then right.
      first = depots.(sides) |> run(14)
      assert for(at <- sides, do: held(first, at, "gear")) == [1, 1, 0]
    end

    test "saturated inputs each get exactly their part, however many" do
      sides = [{-1, 0}, {-1, 1}, {0, -1}, {0, 1}, {1, -1}]
      items = ~w(gear wire cord iron brick)
      towards = %{{-1, 0} => 0, {-1, 1} => 1, {0, -1} => 5, {0, 1} => 2, {1, -1} => 4}

      for k <- 1..5, set <- [Enum.take(sides, k), Enum.take(sides, -k)] do
        site =
          for {at, item} <- Enum.zip(set, items),
              reduce: new() |> machine({0, 0}, "conveyor", 0) |> machine({1, 0}, "depot", 0) do
            site -> source(site, at, towards[at], item)
          end

        site = run(site, 5 * 20 * k)

        assert for(item <- Enum.take(items, k), do: held(site, {1, 0}, item) in [20, 19]) ==
                 List.duplicate(true, k)

        left = for at <- set, do: 1_000_000 - Enum.sum(Map.values(machine_at(site, at).items))
        assert left == List.duplicate(20, k)
      end
    end

    test "two belts merge 100 to 100" do
      belts = fn site, r, from ->
        for q <- from..-1//1, reduce: site, do: (site -> machine(site, {q, r}, "conveyor", 0))
      end

      site =
        new()
        |> belts.(0, -4)
        |> source({-5, 0}, 0, "gear")
        |> source({-4, 3}, 1, "wire")
        |> machine({-3, 2}, "conveyor", 1)
        |> machine({-2, 1}, "conveyor", 0)
        |> machine({-1, 1}, "conveyor", 1)
        |> machine({0, 0}, "conveyor", 0)
        |> machine({1, 0}, "depot", 0)
        |> run(100)

      before = {held(site, {1, 0}, "gear"), held(site, {1, 0}, "wire")}
      site = run(site, 1_000)

      assert {held(site, {1, 0}, "gear") - elem(before, 0), held(site, {1, 0}, "wire") - elem(before, 1)} ==
               {100, 100}
    end

    test "a cell that takes one item every 60 ticks starves neither side" do
      sides = [{{-1, 0}, 0}, {{0, -1}, 5}, {{-1, 1}, 1}, {{0, 1}, 2}]

      for {first, d1} <- sides, {second, d2} <- sides, first < second do
        site =
          new()
          |> machine({0, 0}, "mill", 0, recipe: "draw_wire")
          |> machine({1, 0}, "depot", 0)
          |> machine({1, -1}, "dynamo", 0, burn: 1_000_000)
          |> source(first, d1, "iron")
          |> source(second, d2, "iron")
          |> run(12_000)

        given = for at <- [first, second], do: 1_000_000 - Enum.sum(Map.values(machine_at(site, at).items))
        assert abs(Enum.at(given, 0) - Enum.at(given, 1)) <= 1
        assert Enum.sum(given) in 200..204
      end
    end

    test "a crossing carries twelve items a second" do
      lanes = [{{-1, 0}, 0, {1, 0}}, {{-1, 1}, 1, {1, -1}}, {{0, 1}, 2, {0, -1}}]

      site =
        for {from, d, to} <- lanes, reduce: machine(new(), {0, 0}, "crossing", 0) do
          site -> site |> source(from, d, "gear") |> machine(to, "depot", 0)
        end

      site = run(site, 1_004)
      assert for({_, _, to} <- lanes, do: held(site, to, "gear")) == [200, 200, 200]
    end

    test "spores breed for ever, one back for one that goes on" do
      for {spores, expected} <- [{1, 122}, {2, 165}] do
        site =
          new()
          |> machine({0, 0}, "still", 0, recipe: "breed_spore")
          |> fill({0, 0}, "spore", spores)
          |> machine({1, 0}, "splitter", 0)
          |> machine({2, 0}, "depot", 0)
          |> machine({2, -1}, "conveyor", 2)
          |> machine({2, -2}, "conveyor", 3)
          |> machine({1, -2}, "conveyor", 4)
          |> machine({0, -1}, "conveyor", 5)
          |> machine({1, -1}, "dynamo", 0, burn: 1_000_000)
          |> field({-1, 0}, "moss")
          |> machine({-1, 0}, "extractor", 0, recipe: "mow_fibre")
          |> field({-1, 1}, "moss")
          |> machine({-1, 1}, "extractor", 1, recipe: "mow_fibre")
          |> field({0, 1}, "water")
          |> machine({0, 1}, "pump", 2)

        {site, [first | _]} = arrivals(site, 10_000, {2, 0}, "spore")
        assert {spores, first, held(site, {2, 0}, "spore")} == {spores, 132, expected}
      end
    end

    test "a furnace beside fire needs no fuel, and one in it halts" do
      site = new() |> machine({0, 0}, "furnace", 0) |> fill({0, 0}, "ore", 4) |> field({0, 1}, "ember")
      warm = run(site, 61)
      assert {machine_at(warm, {0, 0}).made, machine_at(warm, {0, 0}).out} == {1, 1}
      # What burns in it is not touched.
      fuelled = site |> fill({0, 0}, "peat", 3) |> run(61)
      assert %{made: 1, fuel_count: 3, burn: 0, lit: 0} = machine_at(fuelled, {0, 0})

      cold = site |> field({0, 1}, "rock") |> run(61)
      assert %{made: 0, progress: 0} = machine_at(cold, {0, 0})

      inside = site |> field({0, 0}, "ember") |> run(61)
      assert machine_at(inside, {0, 0}) == machine_at(site, {0, 0})
      # It goes on when the fire has passed.
      assert %{made: 1} = inside |> field({0, 0}, "rock") |> run(61) |> machine_at({0, 0})
    end

    test "machines that ask for the same cell take turns, and leave the last unit" do
      site =
        new()
        |> field({0, 0}, "peat", 8)
        |> machine({0, 0}, "extractor", 0, recipe: "cut_peat")
        |> machine({-1, 0}, "extractor", 3, recipe: "cut_peat")
        |> machine({0, 1}, "extractor", 5, recipe: "cut_peat")

      # Slots move on with the tick: in tick 0 the slot of direction 0 is first, then 1 … 5 and the cell itself.
      # {-1, 0} lies in direction 3, {0, 1} in direction 5, {0, 0} itself is slot 6.
      begun = fn site -> for at <- [{-1, 0}, {0, 1}, {0, 0}], do: machine_at(site, at).progress != nil end
      assert begun.(run(site, 1)) == [true, false, false]
      assert begun.(run(site, 2)) == [true, true, false]
      assert begun.(run(site, 3)) == [true, true, true]
      assert begun.(run(%{site | tick: 5}, 1)) == [false, true, false]
      assert begun.(run(%{site | tick: 6}, 1)) == [false, false, true]

      site = run(site, 1_000)
      assert field_at(site, {0, 0}) == {"peat", 1}
      assert Enum.sum(for at <- [{-1, 0}, {0, 1}, {0, 0}], do: machine_at(site, at).made) == 7
    end

    test "pumps and rakes take the last unit, quarries take none" do
      pump = new() |> field({0, 1}, "water", 2) |> machine({0, 0}, "pump", 0) |> run(300)
      assert {field_at(pump, {0, 1}), machine_at(pump, {0, 0}).made} == {{"rock", 0}, 2}

      rake =
        new()
        |> field({0, 1}, "ember", 1)
        |> machine({0, 0}, "extractor", 0, recipe: "rake_cinder")
        |> run(100)

      assert {field_at(rake, {0, 1}), held(rake, {0, 0}, "cinder")} == {{"rock", 0}, 1}

      quarry = new() |> machine({0, 0}, "extractor", 0, recipe: "dig_stone") |> run(2_000)
      assert {field_at(quarry, {0, 0}), held(quarry, {0, 0}, "stone")} == {{"rock", 0}, 10}
    end

    test "dynamos add up to two, and light only for work that is there" do
      extractor = fn site -> machine(site, {0, 0}, "extractor", 0, recipe: "dig_stone") end
      site = new() |> extractor.()
      dynamos = [{1, 0}, {0, 1}, {-1, 0}]

      for n <- 0..3 do
        driven =
          for at <- Enum.take(dynamos, n), reduce: site do
            site -> machine(site, at, "dynamo", 0, burn: 60_000)
          end

        # A tick to begin, then 60 work for each of up to ten pieces.
        assert {n, machine_at(run(driven, 121), {0, 0}).made} == {n, min(n, 2) * 2 + 2}
      end

      # A piece burns to its end, even when the work is done.
      site = new() |> machine({0, 0}, "mill", 0) |> machine({1, -1}, "dynamo", 0) |> fill({1, -1}, "peat", 3)
      assert %{burn: 0, fuel_count: 3, lit: 0} = machine_at(run(site, 10), {1, -1})
      site = site |> fill({0, 0}, "iron", 2) |> run(62)
      assert %{made: 1, progress: nil} = machine_at(site, {0, 0})
      assert %{fuel_count: 2, lit: 1, burn: 179} = machine_at(site, {1, -1})
      assert %{fuel_count: 2, lit: 1, burn: 0} = machine_at(run(site, 400), {1, -1})
    end

    test "what is fuel and ingredient goes where it is missed" do
      site = new() |> machine({0, 0}, "furnace", 0, recipe: "char_wood") |> source({-1, 0}, 0, "wood")
      states = for n <- [1, 6, 11, 16, 21, 26, 31, 36, 41], do: machine_at(run(site, n), {0, 0})
      # Fuel first, then two that begin a craft. That lights the fuel, so the next is fuel again; then four
      # wait for two crafts, and the rest is fuel.
      assert for(m <- states, do: {m.fuel_count, m.progress != nil, hd(m.inputs)}) ==
               [
                 {1, false, 0},
                 {1, false, 1},
                 {1, false, 2},
                 {1, true, 0},
                 {1, true, 1},
                 {1, true, 2},
                 {1, true, 3},
                 {1, true, 4},
                 {2, true, 4}
               ]
    end

    test "a sorter lets its item go ahead and parts the rest" do
      items = fn site, at -> for(i <- ~w(gear wire), do: held(site, at, i)) end

      site =
        new()
        |> machine({0, 0}, "sorter", 0, filter: "gear")
        |> source({-1, 0}, 0, "gear")
        |> source({0, 1}, 2, "wire")
        |> machine({1, 0}, "depot", 0)
        |> machine({1, -1}, "depot", 0)
        |> machine({0, -1}, "conveyor", 0)

      # {0, 1} is a way out to the right, so a sorter takes nothing from there.
      assert items.(run(site, 104), {1, 0}) == [20, 0]

      site = site |> source({-1, 1}, 1, "wire") |> machine({0, 1}, "depot", 0) |> run(204)
      assert for(at <- [{1, 0}, {1, -1}, {0, 1}], do: items.(site, at)) == [[20, 0], [0, 10], [0, 10]]
      # Never the wrong way: with no room ahead it waits.
      site = site |> change({1, 0}, items: %{0 => 600}) |> run(200)
      assert machine_at(site, {0, 0}).item == item(site, "gear")
      assert items.(site, {1, -1}) in [[0, 10], [0, 11]]
    end

    test "items cross borders and fire only where they may" do
      line = new() |> source({0, 0}, 0, "gear") |> machine({1, 0}, "depot", 0, owner: 2)
      assert held(run(line, 20), {1, 0}, "gear") == 0
      assert held(run(own(line, {1, 0}, 2, 1), 20), {1, 0}, "gear") == 4
      # The grant of the giver's cell is not enough.
      assert held(run(own(line, {0, 0}, 1, 2), 20), {1, 0}, "gear") == 0

      for burning <- [{0, 0}, {1, 0}] do
        line = new() |> source({0, 0}, 0, "gear") |> machine({1, 0}, "depot", 0) |> field(burning, "ember")
        assert held(run(line, 20), {1, 0}, "gear") == 0
      end

      # Drive needs a grant too.
      driven =
        new()
        |> machine({0, 0}, "mill", 0, owner: 2)
        |> fill({0, 0}, "iron", 2)
        |> machine({1, 0}, "dynamo", 0)
        |> fill({1, 0}, "peat", 1)

      assert %{made: 0} = machine_at(run(driven, 100), {0, 0})
      assert %{made: 1} = machine_at(run(own(driven, {0, 0}, 2, 1), 100), {0, 0})
    end

    test "a planter changes the cell before it, if it and all around are its owner's or nobody's" do
      site =
        new()
        |> field({1, 0}, "rock", 7)
        |> own({1, 0}, 1)
        |> machine({0, 0}, "planter", 0, recipe: "plant_moss")
        |> machine({0, 1}, "dynamo", 0, burn: 60_000)
        |> fill({0, 0}, "spore", 2)
        |> fill({0, 0}, "water", 2)

      # Begins in tick 0, is complete in tick 120 and is granted in the same, and begins again.
      assert field_at(run(site, 120), {1, 0}) == {"rock", 7}
      done = run(site, 121)
      assert field_at(done, {1, 0}) == {"moss", 24}
      assert %{made: 1, progress: 0} = machine_at(done, {0, 0})
      # Complete, it waits for rock.
      assert %{made: 1, progress: 120} = machine_at(run(done, 500), {0, 0})

      assert %{made: 2, progress: nil} =
               done |> run(500) |> field({1, 0}, "rock") |> run(1) |> machine_at({0, 0})

      for {at, owner} <- [{{1, 0}, 0}, {{1, 0}, 2}, {{2, 0}, 2}] do
        assert field_at(run(own(site, at, owner), 200), {1, 0}) == {"rock", 7}
      end
    end

    test "a sprinkler quenches own and neighbouring fire, one a second, and keeps the amount" do
      around = [{0, 0}, {1, 0}, {1, -1}, {0, -1}, {-1, 0}, {-1, 1}, {0, 1}]
      site = for at <- around, reduce: new(), do: (site -> site |> own(at, 1) |> field(at, "ember", 33))
      site = site |> field({0, 0}, "rock") |> machine({0, 0}, "sprinkler", 0) |> fill({0, 0}, "water", 64)
      assert held(site, {0, 0}, "water") == 64

      burning = fn site -> Enum.count(around, &(field_at(site, &1) == {"ember", 33})) end
      assert for(ticks <- [20, 21, 41, 61, 121], do: burning.(run(site, ticks))) == [6, 5, 4, 3, 0]
      assert field_at(run(site, 21), {1, 0}) == {"rock", 33}
      assert %{made: 6, progress: 20} = machine_at(run(site, 300), {0, 0})
      # In fire itself it halts.
      halted = site |> field({0, 0}, "ember") |> run(200)
      assert burning.(halted) == 6
    end

    test "by-products never stop a machine, products do" do
      site =
        new()
        |> machine({0, 0}, "furnace", 0)
        |> change({0, 0}, out: 9, by: 10, burn: 60_000)
        |> fill({0, 0}, "ore", 8)

      assert %{out: 10, by: 10, spilt: 1, made: 1, progress: nil} = machine_at(run(site, 300), {0, 0})
    end
  end
end
