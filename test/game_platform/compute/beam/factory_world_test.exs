defmodule GamePlatform.Compute.Beam.FactoryWorldTest do
  # Factories within worlds of the `:beam` backend: bytes, digests, slices and what is told outside.
  use ExUnit.Case, async: true

  import GamePlatform.FactorySite, only: [batch: 2, cell: 2, machine: 5, change: 3]
  alias GamePlatform.{FactorySite, Native, Rulesets}
  alias GamePlatform.Compute.{Beam, Ruleset}
  alias GamePlatform.Compute.Beam.{Factory, Topology}

  @long 1_000_000
  @names ~w(ann bob eve)

  describe "bytes" do
    defp bytes(prototype, changes, options \\ []) do
      FactorySite.new()
      |> machine({0, 0}, prototype, 4, options)
      |> change({0, 0}, changes)
      |> FactorySite.bytes({0, 0})
    end

    test "of belts" do
      assert bytes("conveyor", []) == <<0, 4, 5, 0xFF, 0::64>>
      assert bytes("conveyor", item: 7, ready: 0x0102, side: 3) == <<0, 4, 3, 7, 2, 1, 0::48>>
      assert bytes("splitter", []) == <<1, 4, 5, 0xFF, 0::64, 2>>
      assert bytes("splitter", item: 1, ready: 3, turn: 0) == <<1, 4, 5, 1, 3, 0::56, 0>>
      assert bytes("sorter", filter: "gear") == <<2, 4, 5, 0xFF, 0::64, 2, 15>>
      assert bytes("sorter", []) == <<2, 4, 5, 0xFF, 0::64, 2, 0xFF>>

      lanes = %{0 => nil, 1 => %{item: 9, out_side: 4, ready: 6}, 2 => nil}
      empty = <<0xFF, 0, 0::64>>
      assert bytes("crossing", lanes: lanes) == <<3, 4, 5, empty::binary, 9, 4, 6, 0::56, empty::binary>>
    end

    test "of depots and dynamos" do
      assert bytes("depot", []) == <<11, 4, 5, 0xFF, 0::64, 0>>
      items = %{20 => 0x0102, 3 => 1}

      assert bytes("depot", filter: "spore", ready: 9, items: items) ==
               <<11, 4, 5, 20, 9, 0::56, 2, 3, 1, 0, 20, 2, 1>>

      assert bytes("dynamo", []) == <<7, 4, 5, 0xFF, 0, 0, 0, 0::32>>
      changes = [fuel: 7, fuel_count: 3, burn: 0x0102, lit: 0x01020304]
      assert bytes("dynamo", changes) == <<7, 4, 5, 7, 3, 2, 1, 4, 3, 2, 1>>
    end

    test "of crafts" do
      idle = <<0xFF, 0xFF, 0xFF, 0, 0, 0, 0::64, 0, 0, 0, 0, 0::96>>
      assert bytes("still", []) == <<9, 4, 5, 0xFF, idle::binary>>
      assert bytes("furnace", []) == <<6, 4, 5, 10, idle::binary>>

      changes = [progress: 0x0102, fuel: 7, fuel_count: 3, burn: 0x0304, inputs: [1, 0x0506, 3]]
      counters = [out: 7, by: 0x0809, made: 0x01020304, spilt: 5, lit: 6]

      # Breeding is recipe 25; its ingredients are water, fibre and spore.
      assert bytes("still", changes ++ counters, recipe: "breed_spore") ==
               <<9, 4, 5, 25, 2, 1, 7, 3, 4, 3, 1, 0, 6, 5, 3, 0, 0, 0, 7, 0, 9, 8, 4, 3, 2, 1, 5, 0::24, 6,
                 0::24>>
    end

    test "of players" do
      site = FactorySite.join(FactorySite.new(), "Ann é", {1, 0}, %{"gear" => 0x0102, "stone" => 3})
      [bytes] = Factory.players(site.factory)
      at = <<cell(site, {1, 0})::32-little>>
      name = <<6, "Ann é">>
      inventory = <<2, 0, 3, 0, 15, 2, 1>>

      assert bytes ==
               <<1::32-little, name::binary, at::binary, at::binary, 0::32, 0::64, inventory::binary, 0, 0>>

      actions = [{"Ann é", "m", {:move, {2, 0}}}, {"Ann é", "craft", {:craft, "cut_gear", 0x0102}}]
      site = site |> FactorySite.give(actions ++ [{"Ann é", "c", {:claim, {1, 0}}}]) |> FactorySite.run(1)
      [bytes] = Factory.players(site.factory)
      to = <<cell(site, {2, 0})::32-little>>
      move = <<1, to::binary, 0, 0, 1, "m">>
      craft = <<11, 16, 0, 0, 0, 2, 1, 5, "craft">>
      head = <<1::32-little, name::binary, at::binary, at::binary, 1::32-little, 1::64-little>>
      # Under way since tick 1, for four ticks.
      queues = <<1, move::binary, 5::64-little, 0, 0, 1, craft::binary>>
      assert bytes == <<head::binary, 2, 0, 2, 0, 15, 2, 1, queues::binary>>
    end
  end

  # A world of the small ruleset, all rock.
  defp world(frequency \\ 6, source \\ "priv/rulesets/tiny.toml") do
    {:ok, ruleset} = Ruleset.load(source)
    {:ok, state} = Beam.new(%{frequency: frequency, seed: 5, ruleset: ruleset})
    {:ok, true, state} = Beam.generate(state, @long)
    {state, FactorySite.new(f: frequency, ruleset: source)}
  end

  defp advance(state, ticks, slice_us \\ @long) do
    target = state.tick + ticks

    state =
      Stream.iterate(state, &slice(&1, target, slice_us))
      |> Enum.find(&(&1.tick == target and &1.acting == nil))

    state
  end

  defp slice(state, target, slice_us) do
    {:ok, _, _, state} = Beam.advance(state, target, slice_us)
    state
  end

  defp act(state, site, tick, actions) do
    {:ok, state} = Beam.act(state, tick, batch(site, actions))
    state
  end

  # Ann in the middle, with a digger that harvests ore.
  defp busy do
    {state, site} = world()
    state = put_in(state.cells[cell(site, {1, 0})], {2, 300})

    actions = [
      {:ann, "join", {:join, {0, 0}}},
      {:ann, "1", {:claim, {0, 0}}},
      {:ann, "2", {:place, {0, 0}, "digger", 3}},
      {:ann, "3", {:place, {-1, 0}, "chest", 3}},
      {:ann, "4", {:release, {4, 0}}},
      {:ann, "5", {:gather, {1, 0}}}
    ]

    {act(state, site, 0, actions), site}
  end

  describe "a world" do
    test "tells of machines, owners, players and outcomes" do
      {state, site} = busy()
      ids = for at <- [{0, 0}, {1, 0}, {-1, 0}], do: cell(site, at)
      assert {:ok, 0, [{0, 0, nil, 0, 0}, {2, 300, nil, 0, 0}, {0, 0, nil, 0, 0}]} = Beam.sites(state, ids)
      assert {Beam.players(state), Beam.outcomes(state, 0)} == {{:ok, 0, []}, {:ok, []}}

      state = advance(state, 1)

      assert {:ok, 1, [{0, 0, digger, 1, 0}, {2, 299, nil, 0, 0}, {0, 0, chest, 1, 0}]} =
               Beam.sites(state, ids)

      # Recipe 2, just begun.
      assert <<4, 3, 5, 2, 0, 0, _::binary>> = digger
      assert chest == <<9, 3, 5, 0xFF, 0::64, 0>>
      assert {:ok, 1, [<<1::32-little, 3, "ann", _::binary>>]} = Beam.players(state)

      assert Beam.outcomes(state, 0) ==
               {:ok, [{1, 1, 0, 0, "1"}, {1, 1, 1, 0, "2"}, {1, 1, 2, 0, "3"}, {1, 1, 3, 4, "4"}]}

      state = advance(state, 199)
      # A gather of four, and a piece every twelve ticks since the first.
      assert {:ok, 200, [{0, 0, _, 1, 0}, {2, amount, nil, 0, 0}, {0, 0, chest, 1, 0}]} =
               Beam.sites(state, ids)

      assert amount == 300 - 4 - 17
      assert <<9, 3, 0, 0xFF, 0::64, 1, 2, 16, 0>> = chest
      assert Beam.outcomes(state, 1) == {:ok, [{1, 13, 4, 0, "5"}]}
      assert Beam.outcomes(state, 13) == {:ok, []}
    end

    test "is digested with machines, owners and players" do
      {state, site} = busy()
      state = advance(state, 1)
      {:ok, kinds, amounts} = planes(state)

      chunks =
        for ids <- Topology.chunks(6) do
          {:ok, _, sites} = Beam.sites(state, ids)

          cells =
            for id <- ids, into: <<>>, do: <<:binary.at(kinds, id), binary_part(amounts, 2 * id, 2)::binary>>

          told = Enum.zip(ids, sites)

          machines =
            for {id, {_, _, m, _, _}} when m != nil <- told,
                into: <<>>,
                do: <<"M", id::32-little, byte_size(m)::16-little, m::binary>>

          owners =
            for {id, {_, _, _, owner, grant}} when owner > 0 <- told,
                into: <<>>,
                do: <<"O", id::32-little, owner::32-little, grant::32-little>>

          Native.hash_blake3(cells <> machines <> owners)
        end

      {:ok, _, [ann]} = Beam.players(state)

      results =
        for {code, n} <- Enum.with_index([0, 0, 0, 4]), into: <<>> do
          <<1::64-little, n::64-little, code, 1, Integer.to_string(n + 1)::binary>>
        end

      header = <<"gpw1", 6::32-little, 1::64-little, 5::64-little, state.hash::binary>>

      people =
        <<"P", byte_size(ann)::32-little, ann::binary, results::binary, "W", 1::32-little, 4::64-little>>

      assert digest(state) == Native.hash_blake3(IO.iodata_to_binary([header, chunks, people]))

      # Owners alone count too, and people do from the first on.
      {empty, _} = world()
      joined = empty |> act(site, 0, [{:ann, "join", {:join, 0}}]) |> advance(1)
      assert digest(joined) != digest(advance(empty, 1))
    end

    test "publishes nothing of a tick before its end" do
      {state, site} = busy()
      once = advance(state, 30)
      assert digest(once) == digest(advance(state, 30, 1))

      # With the rows of the tick under way still to come, the batch may be replaced.
      {:ok, 0, false, paused} = Beam.advance(state, 1, 1)
      assert paused.acting != nil
      assert {Beam.players(paused), Beam.outcomes(paused, 0)} == {{:ok, 0, []}, {:ok, []}}
      assert {:ok, 1, [_]} = paused |> advance(1) |> Beam.players()
      assert {:ok, 1, []} = paused |> act(site, 0, []) |> advance(1) |> Beam.players()
    end

    test "takes a batch in its tick" do
      {state, site} = world()

      later =
        state |> act(site, 3, [{:ann, "join", {:join, 0}}]) |> act(site, 1, [{:bob, "join", {:join, 0}}])

      names = fn state ->
        for <<_::32, 3, name::binary-3, _::binary>> <- elem(Beam.players(state), 2), do: name
      end

      assert for(ticks <- 1..4, do: names.(advance(later, ticks))) == [[], ["bob"], ["bob"], ["bob", "ann"]]
      # Given again it replaces; for what has passed it is ignored.
      state = advance(later, 1)
      assert state |> act(site, 0, [{:eve, "join", {:join, 0}}]) |> advance(9) |> names.() == ["bob", "ann"]
      assert state |> act(site, 1, [{:eve, "join", {:join, 0}}]) |> advance(9) |> names.() == ["eve", "ann"]
    end

    test "refuses bytes that are no actions of it" do
      {state, site} = world()
      good = batch(site, [{:ann, "a", {:place, {0, 0}, "belt", 5}}])
      assert {:ok, _} = Beam.act(state, 0, good)
      cells = Topology.cells(6)

      bad = [
        <<>>,
        <<1>>,
        <<1, 0>>,
        good <> <<0>>,
        binary_part(good, 0, byte_size(good) - 1),
        batch(site, [{:ann, "a", {:move, cells}}]),
        batch(site, [{:ann, "a", {:rotate, {0, 0}, 6}}]),
        batch(site, [{"", "a", {:move, 0}}]),
        batch(site, [{"a\xFF", "a", {:move, 0}}]),
        batch(site, [{:ann, "", {:move, 0}}]),
        batch(site, [{:ann, String.duplicate("i", 65), {:move, 0}}]),
        batch(site, [{:ann, "a", {:take, 0, "gear", 0}}]),
        batch(site, [{:ann, "a", {:put, 0, "gear", 60_001}}])
      ]

      # Prototype, recipe and item that are not there.
      raw =
        for fields <- [
              <<5, 0::32, 10, 0>>,
              <<8, 0::32, 8, 0>>,
              <<8, 0::32, 0, 6>>,
              <<9, 0::32, 255, 1, 0>>,
              <<11, 255, 1, 0>>,
              <<13>>
            ] do
          body = <<1, "a", 1, "i", fields::binary>>
          <<1, 0, byte_size(body)::16-little, body::binary>>
        end

      for batch <- bad ++ raw do
        assert {:error, {:invalid_batch, sentence}} = Beam.act(state, 0, batch), inspect(batch)
        assert is_binary(sentence)
      end

      still =
        "beat = 1\nkind = [{ name = \"rock\", ripe = 1, cap = 60 }]\ncounter = []\ngrow = []\nturn = []\n"

      {:ok, ruleset} = Ruleset.load({:text, still})
      {:ok, field} = Beam.new(%{frequency: 3, seed: 5, ruleset: ruleset})
      {:ok, true, field} = Beam.generate(field, @long)
      assert Beam.act(field, 0, <<0, 0>>) == {:error, :no_economy}
      assert {Beam.players(field), Beam.outcomes(field, 0)} == {{:ok, 0, []}, {:ok, []}}
      assert {:ok, 0, [{0, 0, nil, 0, 0}]} = Beam.sites(field, [0])
    end

    test "tells in a diff what machines and players have changed" do
      {state, _} = busy()
      state = %{state | ruleset: Map.put(state.ruleset, "beat", 256)}

      for since <- [0, 1, 7, 12, 13, 30] do
        before = advance(state, since)
        {:ok, planes_before, amounts_before} = planes(before)
        now = advance(before, 40 - since)
        {:ok, diff} = Beam.diff(now, since)
        {:ok, kinds, amounts} = planes(now)

        assert GamePlatform.Compute.apply_diff({planes_before, amounts_before}, diff) ==
                 {:ok, 40, {kinds, amounts}}
      end
    end
  end

  defp planes(state) do
    {:ok, _, kinds, amounts} = Beam.planes(state)
    {:ok, kinds, amounts}
  end

  defp digest(state) do
    {:ok, digest, _} = Beam.digest(state)
    digest
  end

  describe "anything" do
    setup do
      :rand.seed(:exsss, ExUnit.configuration()[:seed])
      :ok
    end

    test "that random players do in random economies leaves the state sound, and slices do not matter" do
      applied = for _ <- 1..25, do: play(Rulesets.random_economy())
      codes = applied |> List.flatten() |> Enum.frequencies()
      # Enough of what was tried has come about for this to mean something.
      assert codes[0] > 200, inspect(codes)
      assert map_size(codes) > 12, inspect(codes)
    end
  end

  # 90 ticks, with actions in most of the first 60, once more in slices. Gives the codes of the outcomes.
  defp play(text) do
    {:ok, ruleset} = Ruleset.load({:text, text})
    site = FactorySite.new(f: 5, ruleset: {:text, text})
    {kinds, amounts} = Rulesets.random_cells(5, ruleset.terms)
    {:ok, state} = Beam.new(%{frequency: 5, seed: 1, ruleset: ruleset})
    {:ok, start} = Beam.fill(state, kinds, amounts)
    joins = for name <- @names, do: {name, "join", {:join, Enum.random([near(), near(), any()])}}

    {whole, given} =
      for tick <- 0..89, reduce: {start, start} do
        {state, given} ->
          actions = if tick == 0, do: joins, else: actions(state, site, tick)
          state = state |> act(site, tick, actions) |> advance(1)
          assert_sound(state, text)
          {state, act(given, site, tick, actions)}
      end

    assert digest(whole) == digest(advance(given, 90, 1)), text
    {:ok, outcomes} = Beam.outcomes(whole, 0)
    for {_, _, _, code, _} <- outcomes, do: code
  end

  defp actions(_, _, tick) when tick > 60, do: []

  defp actions(state, site, tick) do
    for n <- 0..Enum.random(0..5)//1,
        name = Enum.random(@names),
        do: {name, "#{tick}.#{n}", random(state, site, name)}
  end

  # Cells of the middle of a small diamond, so that players meet.
  defp near, do: {Enum.random(-1..1), Enum.random(-1..1)}
  defp any, do: Enum.random(0..251)

  # Mostly where it may succeed: the player's cells and those around one of them, or around the body.
  defp random(%{factory: factory} = state, site, name) do
    economy = site.terms["economy"]
    number = factory.numbers[name]
    name = fn list -> Enum.random(economy[list])["name"] end
    own = for {cell, {^number, _}} <- factory.owners, do: cell
    middle = Enum.random([factory.players[number].position | own])

    at =
      Enum.random([
        Enum.random(own ++ [middle]),
        Enum.random([middle | Topology.neighbours(state.f, middle)]),
        near()
      ])

    Enum.random(
      [
        {:move, at},
        {:gather, at},
        {:claim, at},
        {:claim, at},
        {:release, at},
        {:remove, at},
        {:rotate, at, Enum.random(0..5)},
        {:take, at, name.("items"), Enum.random(1..9)},
        {:put, at, name.("items"), Enum.random(1..9)},
        {:put, at, name.("items"), Enum.random(1..9)},
        {:grant, at, Enum.random([nil, "nobody" | @names])},
        {:set_recipe, at, Enum.random([nil, name.("items")])}
      ] ++
        for(
          prototype <- economy["prototypes"],
          do: {:place, at, prototype["name"], Enum.random(0..5)}
        ) ++
        for(
          recipe <- economy["recipes"],
          action <- [{:craft, recipe["name"], Enum.random(1..3)}, {:set_recipe, at, recipe["name"]}],
          do: action
        )
    )
  end

  defp assert_sound(%{factory: factory} = state, text) do
    for {cell, m} <- factory.machines do
      assert Map.has_key?(factory.owners, cell), text
      assert_within(factory.rules, m, text)
    end

    for {number, player} <- factory.players do
      held = player.inventory |> Map.values() |> Enum.sum()
      assert held <= factory.rules.inventory and Enum.all?(player.inventory, fn {_, n} -> n > 0 end), text
      assert player.claims == Enum.count(factory.owners, fn {_, {owner, _}} -> owner == number end), text
      assert length(player.queue) < factory.rules.queue, text
      assert player.playing != nil or player.queue == [], text
      assert player.playing == nil or player.playing.ends >= state.tick, text
    end

    for {_, {kind, amount}} <- state.cells, do: assert(kind in 0..7 and amount in 0..65_535)
  end

  # No number is more, or less, than its bytes or the rules allow.
  defp assert_within(rules, m, text) do
    for key <- ~w(fuel_count burn out by)a, count = m[key], do: assert(count in 0..65_535, text)
    assert Map.get(m, :fuel_count, 0) <= 20, text
    assert m[:fuel] == nil == (Map.get(m, :fuel_count, 0) == 0), text

    case m do
      %{does: :craft, recipe: nil} ->
        assert {m.progress, m.inputs, m.out, m.by} == {nil, [], 0, 0}, text

      %{does: :craft, recipe: id} ->
        recipe = elem(rules.recipes, id)
        assert recipe.at == m.prototype and length(m.inputs) == length(recipe.inputs), text
        assert m.progress == nil or m.progress in 0..recipe.time, text
        assert Enum.all?(m.inputs, &(&1 >= 0)), text

        for {pair, held} <- [{recipe.out, m.out}, {recipe.by, m.by}],
            do: assert(held <= 10 * elem(pair || {0, 0}, 1), text)

      %{does: :store} ->
        assert Enum.all?(m.items, fn {_, count} -> count > 0 end), text
        assert m.items |> Map.values() |> Enum.sum() <= elem(rules.prototypes, m.prototype).room, text

      %{does: :drive} ->
        :ok

      %{does: :cross, lanes: lanes} ->
        for {lane, slot} <- lanes, slot != nil, do: assert(rem(slot.out_side, 3) == lane, text)

      %{item: item, ready: ready} ->
        assert item != nil or ready == 0, text
    end
  end
end
