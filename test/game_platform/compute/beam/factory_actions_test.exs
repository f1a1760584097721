defmodule GamePlatform.Compute.Beam.FactoryActionsTest do
  # What players do: each action, what it costs and changes, and each answer that refuses it.
  use ExUnit.Case, async: true

  import GamePlatform.FactorySite

  # Ann owns a cell, has much of all, and stands there.
  defp ann(site \\ new()) do
    plenty = for item <- ~w(stone wood fibre ore iron gear cord peat brick wire), into: %{}, do: {item, 100}
    site = site |> join(:ann, {0, 0}) |> stock(:ann, plenty)
    {site, [:applied]} = act(site, ann: {:claim, {0, 0}})
    site
  end

  defp with_bob(site, at),
    do: site |> join(:bob, at) |> stock(:bob, %{"stone" => 100, "gear" => 10, "cord" => 10})

  # A single action's answer.
  defp answer(site, by \\ :ann, action) do
    {_, [answer]} = act(site, [{by, action}])
    answer
  end

  defp done(site, by \\ :ann, action) do
    {site, [:applied]} = act(site, [{by, action}])
    site
  end

  test "the first five minutes, as they were computed" do
    site =
      for at <- [{-2, 0}, {-2, -1}, {-1, -1}],
          reduce: new(f: 24),
          do: (site -> field(site, at, "ferrite", 400))

    site = site |> field({0, 3}, "peat", 100) |> give([{:ann, "join", {:join, {0, 0}}}])

    at = fn site, tick, actions ->
      site = run(site, tick - site.tick)
      site |> give(for {action, n} <- Enum.with_index(actions), do: {:ann, "#{tick}.#{n}", action}) |> run(1)
    end

    site =
      at.(site, 40, [
        {:claim, {0, 0}},
        {:place, {0, 0}, "depot", 0},
        {:place, {-1, 0}, "furnace", 0},
        {:place, {-2, 0}, "extractor", 0},
        {:place, {-1, -1}, "extractor", 5},
        {:place, {1, -1}, "furnace", 4},
        {:set_recipe, {1, -1}, "fire_brick"},
        {:place, {2, -2}, "extractor", 4},
        {:set_recipe, {2, -2}, "dig_stone"},
        {:put, {-1, 0}, "peat", 4},
        {:put, {1, -1}, "peat", 4},
        {:gather, {1, 0}},
        {:gather, {1, 0}},
        {:gather, {1, 0}}
      ])

    assert %{"stone" => 6, "iron" => 6, "wood" => 14, "peat" => 4} = inventory(site, :ann)

    site =
      site
      |> at.(400, [
        {:put, {1, -1}, "stone", 24},
        {:craft, "twist_cord", 8},
        {:move, {0, 1}},
        {:move, {0, 2}},
        {:gather, {0, 3}},
        {:move, {0, 1}},
        {:move, {0, 0}}
      ])
      |> run(559)

    assert {site.tick, held(site, {0, 0}, "iron"), held(site, {0, 0}, "brick")} == {960, 14, 10}
    assert %{"fibre" => 4, "cord" => 20, "peat" => 12} = inventory(site, :ann)

    site =
      at.(site, 960, [
        {:take, {0, 0}, "brick", 8},
        {:place, {1, 0}, "mill", 0},
        {:place, {0, 1}, "dynamo", 0},
        {:place, {2, 0}, "depot", 0},
        {:put, {0, 1}, "peat", 4},
        {:put, {-1, 0}, "peat", 4},
        {:put, {1, -1}, "peat", 4},
        {:set_recipe, {0, 0}, "iron"}
      ])

    {site, gears} = arrivals(site, 1_039, {2, 0}, "gear")
    assert {site.tick, hd(gears), length(gears)} == {2_000, 1_026, 14}
    site = stock(site, :ann, %{"peat" => 40})

    site =
      at.(site, 2_000, [{:put, {-1, 0}, "peat", 16}, {:put, {0, 1}, "peat", 16}, {:put, {1, -1}, "peat", 8}])

    site = run(site, 6_000 - site.tick)
    assert {held(site, {2, 0}, "gear"), held(site, {0, 0}, "brick")} == {47, 32}
    assert Enum.all?(outcomes(site, 0), &(elem(&1, 2) == :applied))
  end

  describe "players" do
    test "join once, with the kit" do
      {site, []} = act(new(), ann: {:join, {2, 1}}, bob: {:join, {0, 0}}, ann: {:join, {5, 5}})

      kit = %{
        "stone" => 40,
        "wood" => 20,
        "fibre" => 20,
        "iron" => 12,
        "gear" => 4,
        "cord" => 12,
        "peat" => 12
      }

      assert inventory(site, :ann) == kit
      here = cell(site, {2, 1})
      assert %{number: 1, position: ^here, home: ^here, claims: 0, results: 0} = player(site, :ann)
      assert player(site, :bob).number == 2
      # Nobody is somebody who has not joined.
      assert act(site, eve: {:claim, {0, 0}}) |> elem(1) == []
    end

    test "an action given twice acts once, as far as 128 results reach" do
      site = ann()
      give_again = fn site -> site |> give([{:ann, "same", {:put, {5, 5}, "gear", 1}}]) |> run(1) end
      site = give_again.(site)
      assert [{1, _, :too_far, "same"}] = outcomes(site, site.tick - 1)
      assert outcomes(give_again.(site), site.tick) == []

      others = fn site, n ->
        Enum.reduce(1..n, site, fn _, site -> act(site, ann: {:claim, {0, 0}}) |> elem(0) end)
      end

      site = others.(site, 127)
      assert outcomes(give_again.(site), site.tick) == []
      site = others.(site, 1)
      assert [{1, _, :too_far, "same"}] = outcomes(give_again.(site), site.tick)
      assert length(outcomes(site, 0)) == 128
      assert player(site, :ann).results == 130
    end

    test "ids in the queue and under way count too" do
      site = ann() |> give(for id <- ~w(a b a b), do: {:ann, id, {:move, {1, 0}}}) |> run(1)
      assert [%{id: "b"}] = player(site, :ann).queue
      assert player(site, :ann).playing.body.id == "a"
      site = run(site, 4)
      # Where one stands there is no way to.
      assert [{1, 7, :applied, "a"}, {1, 7, :not_adjacent, "b"}] = outcomes(site, 2)
    end

    test "a body does one thing after another" do
      site = ann() |> field({1, 0}, "peat", 100)
      assert site.tick == 2

      site =
        site
        |> give([
          {:ann, "move", {:move, {0, 1}}},
          {:ann, "far", {:gather, {2, 0}}},
          {:ann, "gather", {:gather, {1, 0}}},
          {:ann, "cord", {:craft, "twist_cord", 3}},
          {:ann, "steel", {:craft, "smelt_steel", 1}},
          {:ann, "much", {:craft, "twist_cord", 51}}
        ])
        |> run(1)

      assert player(site, :ann).position == cell(site, {0, 0})
      assert %{playing: %{ends: 6}, queue: [_, _, _, _, _]} = player(site, :ann)
      site = run(site, 4)
      assert player(site, :ann).position == cell(site, {0, 1})
      # A gather's room is kept, eight times 15 ticks.
      assert %{playing: %{ends: 126, n: 8}} = player(site, :ann)
      assert free(site, :ann) == 2_000 - 999 - 8
      site = run(site, 120)
      assert field_at(site, {1, 0}) == {"peat", 92}
      assert %{"peat" => 108, "fibre" => 94, "cord" => 100} = inventory(site, :ann)
      assert free(site, :ann) == 2_000 - 999 - 8 + 6 - 3
      site = run(site, 60)
      assert %{"cord" => 103} = inventory(site, :ann)

      assert outcomes(site, 2) ==
               [
                 {1, 7, :applied, "move"},
                 {1, 7, :too_far, "far"},
                 {1, 127, :applied, "gather"},
                 {1, 187, :applied, "cord"},
                 {1, 187, :not_by_hand, "steel"},
                 {1, 187, :missing_items, "much"}
               ]
    end

    test "a queue holds sixteen with what is under way" do
      site = ann()
      {site, answers} = act(site, for(_ <- 1..18, do: {:ann, {:move, {1, 0}}}))
      assert answers == [:queue_full, :queue_full]
      assert length(player(site, :ann).queue) == 15
    end

    test "hands gather what is there, and leave the last unit" do
      site = ann()
      gather = fn site, at -> site |> act(ann: {:gather, at}) |> elem(0) |> run(300) end
      taken = fn site, at, item -> Map.get(inventory(gather.(site, at), :ann), item, 0) - 100 end
      assert taken.(site, {1, 0}, "stone") - taken.(site, {5, 0}, "stone") == 8
      assert taken.(field(site, {1, 0}, "ferrite", 5), {1, 0}, "ore") == 4
      assert answer(field(site, {1, 0}, "ferrite", 1), {:gather, {1, 0}}) == :empty
      assert answer(field(site, {1, 0}, "ferrite", 0), {:gather, {1, 0}}) == :empty
      assert answer(site, {:gather, {2, 0}}) == :too_far
      assert answer(own(site, {1, 0}, 9), {:gather, {1, 0}}) == :not_yours
      assert answer(stock(site, :ann, %{"gear" => 2_000}), {:gather, {1, 0}}) == :inventory_full

      # With room for three only three are taken, in three times the time of one.
      {site, []} = site |> stock(:ann, %{"gear" => 1_997}) |> act(ann: {:gather, {1, 0}})
      assert %{playing: %{n: 3, ends: 47}} = player(site, :ann)

      # Looked at again when it ends.
      later = fn change -> site |> change.() |> run(45) |> outcomes(3) |> Enum.map(&elem(&1, 2)) end
      assert later.(& &1) == [:applied]
      assert later.(&own(&1, {1, 0}, 9)) == [:not_yours]
      assert later.(&field(&1, {1, 0}, "peat", 1)) == [:empty]
      assert later.(&field(&1, {1, 0}, "peat", 3)) == [:applied]
      peat = site |> field({1, 0}, "peat", 3) |> run(45)
      assert {inventory(peat, :ann)["peat"], field_at(peat, {1, 0})} == {2, {"peat", 1}}
    end

    test "a craft needs room for what it makes" do
      site = ann() |> stock(:ann, %{"gear" => 1_990, "iron" => 10})
      # Twenty wires for ten irons do not fit.
      assert answer(site, {:craft, "draw_wire", 10}) == :inventory_full
      {site, []} = site |> act(ann: {:craft, "cut_gear", 5})
      assert {inventory(site, :ann), free(site, :ann)} == {%{"gear" => 1_990}, 5}
      assert inventory(run(site, 100), :ann) == %{"gear" => 1_995}
    end
  end

  describe "claims" do
    test "begin where one stands, and cost more as they grow" do
      site = new() |> join(:ann, {0, 0}, %{"stone" => 30})
      assert answer(site, {:claim, {2, 0}}) == :too_far
      site = site |> done({:claim, {1, 0}}) |> done({:claim, {2, 0}})
      assert answer(site, {:claim, {2, 0}}) == :already_yours
      assert {inventory(site, :ann), player(site, :ann).claims} == {%{"stone" => 28}, 2}
      # Six steps away is another estate.
      assert answer(site, {:claim, {4, 0}}) == :too_far

      ring = for {q, r} <- [{0, 1}, {0, 2}, {0, 3}], do: {q, r}
      site = for at <- ring, reduce: site, do: (site -> done(site, {:claim, at}))
      assert inventory(site, :ann) == %{"stone" => 25}

      # The 25th costs two, and gives two back.
      site = put_in(site.factory.players[1].claims, 24) |> done({:claim, {0, 0}})
      assert inventory(site, :ann) == %{"stone" => 23}
      assert site |> done({:release, {0, 0}}) |> inventory(:ann) == %{"stone" => 25}
      assert answer(stock(site, :ann, %{"stone" => 1}), {:claim, {-1, 0}}) == :missing_items
      assert answer(stock(site, :ann, %{"stone" => 1_999}), {:release, {0, 0}}) == :inventory_full
    end

    test "keep from pentagons and from others" do
      pole = 10 * 16 * 16
      site = new() |> join(:ann, pole, %{"stone" => 30})
      assert answer(site, {:claim, pole}) == :pentagon
      assert answer(site, {:claim, 0}) == :reserved
      assert answer(own(site, 0, 1), {:place, 0, "depot", 0}) == :reserved
      assert answer(site, {:place, pole, "depot", 0}) == :pentagon

      site = ann() |> with_bob({4, 0})
      assert answer(site, :bob, {:claim, {0, 0}}) == :not_yours
      assert answer(site, :bob, {:claim, {3, 0}}) == :too_close
      site = done(site, :bob, {:claim, {4, 0}})
      site = done(site, :bob, {:claim, {3, 0}})
      site = done(site, :bob, {:claim, {2, 0}})
      assert answer(site, :bob, {:claim, {1, 0}}) == :touches_foreign
      assert answer(site, :bob, {:place, {1, 0}, "conveyor", 0}) == :touches_foreign
      granted = done(site, {:grant, {0, 0}, :bob})
      assert answer(granted, :bob, {:claim, {1, 0}}) == :applied
      assert answer(granted, :bob, {:place, {1, 0}, "conveyor", 0}) == :applied
      # Founding has no such way round.
      assert granted |> own({1, 0}, 0) |> own({2, 0}, 0) |> answer({:claim, {1, 0}}) == :applied
    end

    test "make three estates at most" do
      site = new(claim: [gap: 1]) |> join(:ann, {0, 0}, %{"stone" => 30})
      site = for at <- [{3, 0}, {5, 0}], reduce: site, do: (site -> own(site, at, 1))
      four = own(site, {-3, 0}, 1)
      assert {answer(site, {:claim, {0, 0}}), answer(four, {:claim, {0, 0}})} == {:applied, :too_many_estates}
      # Joined ones count once.
      assert four |> own({4, 0}, 1) |> answer({:claim, {0, 0}}) == :applied
    end

    test "are given back empty, and granted by their owners" do
      site = ann() |> with_bob({0, 1}) |> done({:place, {0, 0}, "depot", 0})
      assert answer(site, {:release, {0, 0}}) == :occupied
      assert answer(site, :bob, {:release, {0, 0}}) == :not_yours
      assert answer(site, :bob, {:grant, {0, 0}, :bob}) == :not_yours
      assert answer(site, {:grant, {0, 0}, :eve}) == :unknown_player
      assert answer(site, :bob, {:put, {0, 0}, "gear", 1}) == :not_yours
      site = done(site, {:grant, {0, 0}, :bob})
      site = done(site, :bob, {:put, {0, 0}, "gear", 1})
      assert answer(site, :bob, {:release, {0, 0}}) == :not_yours
      assert answer(done(site, {:grant, {0, 0}, nil}), :bob, {:rotate, {0, 0}, 1}) == :not_yours
      # All goes to the owner, whoever removes.
      site = done(site, :bob, {:remove, {0, 0}})
      assert {inventory(site, :ann)["gear"], inventory(site, :ann)["wood"]} == {101, 100}
      assert done(site, {:release, {0, 0}}).factory.owners == %{}
    end
  end

  describe "building" do
    test "claims what is nobody's and takes part at once" do
      site = ann() |> field({1, 0}, "ferrite", 50) |> field({2, 0}, "peat", 60)
      assert answer(site, {:place, {2, 0}, "extractor", 0}) == :not_adjacent
      site = done(site, {:place, {1, 0}, "extractor", 2})
      assert %{progress: 0, recipe: recipe} = machine_at(site, {1, 0})
      assert recipe == recipe(site, "cut_peat")
      assert %{"stone" => 94, "iron" => 98} = inventory(site, :ann)
      assert answer(site, {:place, {1, 0}, "depot", 0}) == :occupied
      # Stone for the machine and for the cell, together.
      assert answer(stock(site, :ann, %{"stone" => 8}), {:place, {0, 1}, "furnace", 0}) == :missing_items
      assert answer(stock(site, :ann, %{"stone" => 9}), {:place, {0, 1}, "furnace", 0}) == :applied
      assert answer(stock(site, :ann, %{"stone" => 8}), {:place, {0, 0}, "furnace", 0}) == :applied
      assert answer(own(site, {0, 1}, 9), {:place, {0, 1}, "furnace", 0}) == :not_yours
    end

    test "extractors begin with what there is most of, else with stone" do
      begins = fn site ->
        recipe = machine_at(done(site, {:place, {0, 0}, "extractor", 0}), {0, 0}).recipe
        Enum.at(site.terms["economy"]["recipes"], recipe)["name"]
      end

      assert begins.(ann()) == "dig_stone"
      assert begins.(field(ann(), {1, 0}, "moss", 0)) == "dig_stone"
      assert begins.(ann() |> field({1, 0}, "water", 60) |> field({0, 0}, "moss", 1)) == "mow_fibre"
      assert begins.(ann() |> field({1, 0}, "peat", 9) |> field({0, 1}, "moss", 9)) == "mow_fibre"

      assert begins.(
               ann()
               |> field({1, 0}, "moss", 9)
               |> field({0, 1}, "peat", 5)
               |> field({-1, 0}, "peat", 5)
             ) == "cut_peat"

      still =
        done(stock(ann(), :ann, %{"brick" => 4, "glass" => 4, "wire" => 2}), {:place, {0, 0}, "still", 0})

      assert machine_at(still, {0, 0}).recipe == nil
    end

    test "removing gives all back, what is inside included" do
      site = ann() |> done({:place, {0, 0}, "furnace", 0})
      site = site |> done({:put, {0, 0}, "ore", 20}) |> done({:put, {0, 0}, "peat", 3}) |> run(100)
      assert %{made: 1, progress: 41, burn: 139} = machine_at(site, {0, 0})
      back = done(site, {:remove, {0, 0}})
      assert %{"stone" => 99, "ore" => 98, "iron" => 101, "slag" => 1, "peat" => 99} = inventory(back, :ann)
      assert answer(back, {:remove, {0, 0}}) == :no_machine
      assert answer(back, {:remove, {1, 0}}) == :not_yours
      full = stock(site, :ann, %{"gear" => 1_971})
      # Eight stones, 16 ores and two in the fire, an iron, a slag and two pieces of peat are 30.
      assert answer(full, {:remove, {0, 0}}) == :inventory_full
      assert answer(stock(site, :ann, %{"gear" => 1_970}), {:remove, {0, 0}}) == :applied
    end

    test "rotating and recipes" do
      site = ann() |> done({:place, {0, 0}, "furnace", 0})
      site = done(site, {:rotate, {0, 0}, 4})
      assert machine_at(site, {0, 0}).direction == 4
      assert answer(site, {:rotate, {1, 0}, 4}) == :not_yours
      assert answer(own(site, {1, 0}, 1), {:rotate, {1, 0}, 4}) == :no_machine
      assert answer(own(site, {1, 0}, 1), {:set_recipe, {1, 0}, "fire_brick"}) == :no_machine

      site = site |> done({:put, {0, 0}, "ore", 6}) |> done({:put, {0, 0}, "peat", 3}) |> run(70)
      before = machine_at(site, {0, 0})
      assert %{made: 1, out: 1, by: 1, progress: progress} = before
      assert progress > 0
      assert %{progress: now, out: 1} = machine_at(done(site, {:set_recipe, {0, 0}, "smelt_iron"}), {0, 0})
      assert now == progress + 1

      for name <- ["cut_gear", "stone"],
          do: assert(answer(site, {:set_recipe, {0, 0}, name}) == :wrong_recipe)

      assert answer(stock(site, :ann, %{"gear" => 1_995}), {:set_recipe, {0, 0}, "fire_brick"}) ==
               :inventory_full

      changed = done(site, {:set_recipe, {0, 0}, "fire_brick"})
      assert %{"ore" => 98, "iron" => 101, "slag" => 1} = inventory(changed, :ann)

      assert %{made: 1, out: 0, by: 0, inputs: [0], progress: nil, fuel_count: 2, lit: 1} =
               machine_at(changed, {0, 0})

      assert %{recipe: nil, inputs: []} = machine_at(done(changed, {:set_recipe, {0, 0}, nil}), {0, 0})

      site = done(site, {:place, {1, 0}, "depot", 0})
      assert answer(site, {:set_recipe, {1, 0}, "cut_gear"}) == :wrong_recipe
      site = done(site, {:set_recipe, {1, 0}, "gear"})
      assert machine_at(site, {1, 0}).filter == item(site, "gear")
      assert machine_at(done(site, {:set_recipe, {1, 0}, nil}), {1, 0}).filter == nil
      site = done(site, {:place, {0, 1}, "conveyor", 0})
      for name <- ["gear", nil], do: assert(answer(site, {:set_recipe, {0, 1}, name}) == :wrong_recipe)
    end

    test "hands put in and take out" do
      site = ann() |> done({:place, {0, 0}, "furnace", 0}) |> done({:place, {1, 0}, "conveyor", 0})
      assert answer(site, {:put, {2, 0}, "ore", 1}) == :too_far
      assert answer(site, {:put, {0, 1}, "ore", 1}) == :not_yours
      assert answer(own(site, {0, 1}, 1), {:put, {0, 1}, "ore", 1}) == :no_machine
      assert answer(site, {:put, {0, 0}, "ore", 101}) == :not_enough
      assert answer(site, {:put, {0, 0}, "gear", 1}) == :not_accepted
      assert answer(site, {:put, {1, 0}, "gear", 1}) == :not_accepted
      assert answer(site, {:put, {0, 0}, "ore", 41}) == :full
      assert answer(site, {:put, {0, 0}, "peat", 21}) == :full
      site = done(site, {:put, {0, 0}, "peat", 20})
      # Another fuel only when there is none.
      assert answer(site, {:put, {0, 0}, "wood", 1}) == :full
      site = done(site, {:put, {0, 0}, "ore", 40})
      assert held(site, {0, 0}, "ore") == 38
      assert answer(site, {:take, {0, 0}, "ore", 39}) == :not_enough
      assert answer(stock(site, :ann, %{"gear" => 1_998}), {:take, {0, 0}, "ore", 3}) == :inventory_full
      assert answer(site, {:take, {2, 0}, "ore", 3}) == :too_far
      site = done(site, {:take, {0, 0}, "ore", 38})
      assert {held(site, {0, 0}, "ore"), inventory(site, :ann)["ore"]} == {0, 98}
      site = done(site, {:take, {0, 0}, "peat", held(site, {0, 0}, "peat")})
      assert %{fuel: nil, fuel_count: 0} = machine_at(site, {0, 0})

      belt = change(site, {1, 0}, item: 3, ready: 1_000)
      assert %{item: nil, ready: 0} = machine_at(done(belt, {:take, {1, 0}, "wood", 1}), {1, 0})
      assert answer(belt, {:take, {1, 0}, "wood", 2}) == :not_enough
    end

    test "what is fuel and ingredient is put where belts would put it, to hands' limits" do
      site = ann() |> done({:place, {0, 0}, "furnace", 0}) |> done({:set_recipe, {0, 0}, "char_wood"})
      assert answer(site, {:put, {0, 0}, "wood", 61}) == :full
      {site, _} = act(site, ann: {:put, {0, 0}, "wood", 60})
      # One craft has begun in the same tick.
      assert %{fuel_count: 20, inputs: [38], progress: 0} = machine_at(site, {0, 0})
      # Out of the ingredients first.
      assert %{fuel_count: 19, inputs: [0]} = machine_at(done(site, {:take, {0, 0}, "wood", 38}), {0, 0})
    end
  end
end
