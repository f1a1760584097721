defmodule GamePlatform.Compute.PlantsTest do
  # Factories whose output was computed by hand and with a model, to the unit and the tick: built by actions, on every
  # backend, with digests that must never change.
  use ExUnit.Case, async: true

  import GamePlatform.Plant

  # What is true of a plant on every backend, and its digest in the end.
  defp assert_all(name, expected, opts, fun) do
    for {backend, {found, tick, digest}} <- on_all(opts, &seen(&1, fun)) do
      assert found == expected, "#{name} on #{backend}: #{inspect(found)}"
      assert golden({name, tick}) == digest, "#{name}\t#{tick}\t#{digest}\t on #{backend}"
    end
  end

  defp seen(world, fun) do
    found = fun.(world)
    {:ok, tick} = GamePlatform.Compute.tick(world)
    {found, tick, digest(world)}
  end

  defp source(at, direction, item), do: {at, "depot", direction, item}

  test "the gear works: 163 gears and 164 bricks of 21 machines" do
    ore = [{{-3, -1}, 5}, {{-4, 1}, 1}, {{-2, -1}, 5}, {{-3, 1}, 1}]
    peat = [{{3, -3}, 4}, {{-1, 2}, 1}, {{0, 3}, 1}]

    machines =
      for({at, d} <- ore, do: {at, "extractor", d}) ++
        for({at, d} <- peat, do: {at, "extractor", d}) ++
        [
          {{1, 3}, "extractor", 2, "dig_stone"},
          {{-3, 0}, "conveyor", 0},
          {{-2, 0}, "conveyor", 0},
          {{-1, 0}, "conveyor", 0},
          {{0, 0}, "splitter", 0},
          {{1, -1}, "furnace", 5},
          {{0, 1}, "furnace", 1},
          {{1, 0}, "mill", 0},
          {{2, 0}, "depot", 0},
          {{2, -1}, "dynamo", 0},
          {{2, -2}, "splitter", 4},
          {{0, 2}, "conveyor", 0},
          {{1, 2}, "furnace", 0, "slag_brick"},
          {{2, 2}, "depot", 0}
        ]

    assert length(machines) == 21
    field = for({at, _} <- ore, do: {at, "ferrite", 400}) ++ for({at, _} <- peat, do: {at, "peat", 400})

    expected = %{
      first_brick: [0, 1],
      first_gear: [0, 1],
      gears: [2, 3],
      gear: 163,
      brick: 164,
      ore: [166, 166, 166, 166],
      stone: 166,
      iron: [165, 164],
      slag: [154, 10],
      peat: [101, 56, 55],
      lit: [42, 42, 42, 41],
      recipes: ~w(mine_ore mine_ore mine_ore mine_ore cut_peat cut_peat cut_peat)
    }

    assert_all("gear works", expected, [field: field, machines: machines], fn world ->
      # An effect of tick 213 is seen in the state of 214.
      first_brick = for tick <- [213, 214], do: world |> to(tick) |> held({2, 2}, "brick")
      first_gear = for tick <- [245, 246], do: world |> to(tick) |> held({2, 0}, "gear")
      gears = for tick <- [365, 366], do: world |> to(tick) |> held({2, 0}, "gear")
      to(world, 10_000)
      made = fn sites -> for at <- sites, do: machine(world, at).made end
      sites = &Enum.map(&1, fn {at, _} -> at end)

      %{
        first_brick: first_brick,
        first_gear: first_gear,
        gears: gears,
        gear: held(world, {2, 0}, "gear"),
        brick: held(world, {2, 2}, "brick"),
        ore: made.(sites.(ore)),
        stone: machine(world, {1, 3}).made,
        iron: made.([{0, 1}, {1, -1}]),
        slag: [machine(world, {1, -1}).spilt, held(world, {1, -1}, "slag")],
        peat: made.(sites.(peat)),
        lit: for(at <- [{0, 1}, {1, -1}, {1, 2}, {2, -1}], do: machine(world, at).lit),
        recipes: for({at, _} <- ore ++ peat, do: machine(world, at).recipe)
      }
    end)
  end

  test "twenty conveyors deliver item k in tick 80 + 5k, and fill a depot in tick 3,075" do
    machines =
      [source({0, 0}, 0, "gear")] ++
        for(q <- 1..9, do: {{q, 0}, "conveyor", 0}) ++
        [{{10, 0}, "conveyor", 2}] ++
        for(q <- 10..2//-1, do: {{q, -1}, "conveyor", 3}) ++
        [{{1, -1}, "conveyor", 2}, {{1, -2}, "depot", 0}]

    expected = Enum.take_every(80..3_075, 5)

    assert_all("twenty conveyors", expected, [machines: machines, put: [{{0, 0}, "gear", 600}]], fn world ->
      arrivals = arrivals(world, 3_100, {1, -2}, "gear")
      600 = held(world, {1, -2}, "gear")
      arrivals
    end)
  end

  test "a splitter parts what comes evenly in two, and in three" do
    sides = [{1, -1}, {1, 0}, {0, 1}]

    for {name, sides, ticks, each} <- [
          {"splitter in two", [{1, -1}, {0, 1}], 2_004, [200, 200]},
          {"splitter in three", sides, 1_504, [100, 100, 100]},
          {"splitter, left first", sides, 14, [1, 1, 0]}
        ] do
      machines =
        [source({-1, 0}, 0, "gear"), {{0, 0}, "splitter", 0}] ++ for(at <- sides, do: {at, "depot", 0})

      assert_all(name, each, [machines: machines, put: [{{-1, 0}, "gear", 600}]], fn world ->
        to(world, ticks)
        for at <- sides, do: held(world, at, "gear")
      end)
    end
  end

  test "k saturated inputs get one k-th each" do
    sides = [{{-1, 0}, 0}, {{-1, 1}, 1}, {{0, -1}, 5}, {{0, 1}, 2}, {{1, -1}, 4}]
    items = ~w(gear wire cord iron brick)

    for k <- 1..5, {which, set} <- [left: Enum.take(sides, k), right: Enum.take(sides, -k)] do
      given = Enum.zip(set, items)

      machines =
        [{{0, 0}, "conveyor", 0}, {{1, 0}, "depot", 0}] ++
          for({{at, d}, item} <- given, do: source(at, d, item))

      put = for {{at, _}, item} <- given, do: {at, item, 600}

      # What the first conveyor holds has not arrived.
      assert_all(
        "merge of #{k}, #{which}",
        List.duplicate(580, k),
        [machines: machines, put: put],
        fn world ->
          to(world, 100 * k)
          for {{at, _}, item} <- given, do: held(world, at, item)
        end
      )
    end
  end

  test "two belts merge 100 to 100" do
    machines =
      [source({0, -1}, 0, "gear"), source({0, 1}, 1, "wire")] ++
        for(at <- [{1, -1}, {2, -1}, {3, -1}], do: {at, "conveyor", 0}) ++
        [
          {{4, -1}, "conveyor", 0},
          {{1, 0}, "conveyor", 0},
          {{2, 0}, "conveyor", 0},
          {{3, 0}, "conveyor", 1},
          {{5, -1}, "depot", 0}
        ]

    put = [{{0, -1}, "gear", 600}, {{0, 1}, "wire", 600}]

    assert_all("two belts", [100, 100], [machines: machines, put: put], fn world ->
      held = fn -> for item <- ~w(gear wire), do: held(world, {5, -1}, item) end
      to(world, 100)
      before = held.()
      to(world, 1_100)
      Enum.zip_with(held.(), before, &(&1 - &2))
    end)
  end

  test "a cell that takes one item every 60 ticks starves no side" do
    sides = [{{-1, 0}, 0}, {{0, -1}, 5}, {{-1, 1}, 1}, {{0, 1}, 2}]

    for {{first, d1}, n} <- Enum.with_index(sides), {{second, d2}, m} when m > n <- Enum.with_index(sides) do
      machines = [
        {{0, 0}, "mill", 0, "draw_wire"},
        {{1, 0}, "depot", 0},
        {{1, -1}, "dynamo", 0},
        source(first, d1, "iron"),
        source(second, d2, "iron")
      ]

      put = [{first, "iron", 600}, {second, "iron", 600}, {{1, -1}, "cinder", 20}]

      # 200 begun and two more waiting.
      assert_all("starvation #{n}#{m}", {true, 202}, [machines: machines, put: put], fn world ->
        to(world, 12_000)
        given = for at <- [first, second], do: 600 - held(world, at, "iron")
        {abs(hd(given) - List.last(given)) <= 1, Enum.sum(given)}
      end)
    end
  end

  test "a crossing carries twelve items a second" do
    lanes = [{{-1, 0}, 0, {1, 0}}, {{-1, 1}, 1, {1, -1}}, {{0, 1}, 2, {0, -1}}]

    machines =
      [{{0, 0}, "crossing", 0}] ++
        Enum.flat_map(lanes, fn {from, d, to} -> [source(from, d, "gear"), {to, "depot", 0}] end)

    put = for {from, _, _} <- lanes, do: {from, "gear", 600}

    assert_all("crossing", [200, 200, 200], [machines: machines, put: put], fn world ->
      to(world, 1_004)
      for {_, _, to} <- lanes, do: held(world, to, "gear")
    end)
  end

  test "spores breed for ever, one back for one that goes on" do
    machines = [
      {{0, 0}, "still", 0, "breed_spore"},
      {{1, 0}, "splitter", 0},
      {{2, 0}, "depot", 0},
      {{2, -1}, "conveyor", 2},
      {{2, -2}, "conveyor", 3},
      {{1, -2}, "conveyor", 4},
      {{0, -1}, "conveyor", 5},
      {{1, -1}, "dynamo", 0},
      {{-1, 0}, "extractor", 0},
      {{-1, 1}, "extractor", 1},
      {{0, 1}, "pump", 2}
    ]

    field = [{{-1, 0}, "moss", 400}, {{-1, 1}, "moss", 400}, {{0, 1}, "water", 400}]

    for {spores, in_the_end} <- [{1, 122}, {2, 165}] do
      put = [{{0, 0}, "spore", spores}, {{1, -1}, "cinder", 20}]

      assert_all(
        "breeding from #{spores}",
        {[0, 1], in_the_end},
        [field: field, machines: machines, put: put],
        fn world ->
          first = for tick <- [132, 133], do: world |> to(tick) |> held({2, 0}, "spore")
          {first, world |> to(10_000) |> held({2, 0}, "spore")}
        end
      )
    end
  end

  test "a furnace beside fire needs no fuel, one without waits for some, and one in it halts" do
    field = [{{0, 1}, "ember", 60}]
    about = &Map.take(&1, [:state, :made, :lit, :progress])

    for {name, at, put, expected} <- [
          {"warm furnace", {0, 0}, [], %{state: :waiting, made: 2, lit: 0, progress: nil}},
          # What is in it does not burn.
          {"warm furnace with peat", {0, 0}, [{{0, 0}, "peat", 3}],
           %{state: :waiting, made: 2, lit: 0, progress: nil}},
          {"cold furnace", {-1, 0}, [], %{state: :no_fuel, made: 0, lit: 0, progress: 0}},
          {"cold furnace with peat", {-1, 0}, [{{-1, 0}, "peat", 3}],
           %{state: :waiting, made: 2, lit: 1, progress: nil}},
          {"furnace in fire", {0, 1}, [{{0, 1}, "peat", 3}],
           %{state: :halted, made: 0, lit: 0, progress: nil}}
        ] do
      machines = [{at, "furnace", 0}]

      assert_all(name, expected, [field: field, machines: machines, put: [{at, "ore", 4} | put]], fn world ->
        world |> to(300) |> machine(at) |> about.()
      end)
    end
  end
end
