defmodule GamePlatform.Compute.InvariantsTest do
  # What is true of every world, whatever players do in it: whose land is whose, and that nothing comes from nothing.
  use ExUnit.Case, async: true

  alias GamePlatform.{Compute, Deeds, Rulesets}
  alias GamePlatform.Compute.Ruleset

  @frequency 6

  # Each case is repeated with its number; those above a hundred are of this run's seed.
  defp cases(count, others, fun) do
    seeds = Enum.to_list(1..count) ++ for(_ <- 1..others//1, do: Enum.random(101..1_000_000_000))

    seeded = fn seed ->
      :rand.seed(:exsss, seed)
      fun.(seed)
    end

    for {:ok, result} <- Task.async_stream(seeds, seeded, max_concurrency: 2, timeout: :infinity), do: result
  end

  describe "land" do
    test "is owned by the rules, with grants and without" do
      founded =
        cases(8, 6, fn seed ->
          case_of(seed, fn world, text ->
            grants = rem(seed, 2) == 0
            check = &assert_land(&1, &2, &3, grants, "case #{seed}\n#{text}")
            play(world, 160, grants, check) |> Enum.sum()
          end)
        end)

      assert Enum.sum(founded) > 10
    end

    defp case_of(seed, fun) do
      text = Rulesets.random_economy()
      {:ok, ruleset} = Ruleset.load({:text, text})
      cells = Rulesets.random_cells(@frequency, ruleset.terms)
      backend = if rem(seed, 7) == 0, do: :beam, else: :nif

      {:ok, world} =
        Compute.new_world(
          backend: backend,
          seed: seed,
          frequency: @frequency,
          ruleset: {:text, text},
          cells: cells
        )

      result = fun.(world, text)
      Compute.close(world)
      result
    end

    # How many estates were founded by it: 0 or 1.
    defp assert_land(before, {action, told}, now, grants, about) do
      about = "#{inspect(action)} #{inspect(told)}\n#{about}"
      %{"start" => %{"inventory" => room}, "claim" => claim} = now.world.economy

      for {id, cell} <- now.cells do
        assert cell.machine == nil or cell.owner != nil, about
        assert cell.owner == nil or ordinary?(id), about
        assert cell.grant == nil or cell.owner != nil, about

        unless grants do
          for beside <- beside(id), other = now.cells[beside].owner, cell.owner != nil do
            assert other == cell.owner, about
          end
        end
      end

      for player <- now.players do
        assert player.claims == length(land(now, player.name)), about
        assert Enum.sum(Map.values(player.inventory)) <= room, about
      end

      if match?(%{"action" => "claim"}, action) and match?(%{outcome: :applied}, told),
        do: assert_claim(before, action, now, claim, about),
        else: 0
    end

    defp assert_claim(before, %{"cell" => id, "by" => name}, now, claim, about) do
      assert {before.cells[id].owner, now.cells[id].owner} == {nil, name}, about
      mine = land(before, name)

      if Enum.any?(beside(id), &(&1 in mine)) do
        0
      else
        player = Enum.find(before.players, &(&1.name == name))
        assert id == player.position or id in beside(player.position), about
        foreign = for {other, %{owner: owner}} <- before.cells, owner not in [nil, name], do: other
        near = Deeds.around(@frequency, id, claim["gap"] - 1)
        assert Enum.filter(near, &(&1 in foreign)) == [], about
        assert estates(mine) < claim["estates"], about
        1
      end
    end

    defp land(state, name), do: for({id, %{owner: ^name}} <- state.cells, do: id)

    # Neither a pentagon nor beside one.
    defp ordinary?(id), do: Enum.all?([id | beside(id)], &(length(beside(&1)) == 6))

    defp estates([]), do: 0
    defp estates([first | _] = land), do: 1 + estates(land -- group(land, [first], []))

    defp group(_, [], seen), do: seen

    defp group(land, [id | later], seen) do
      next = for beside <- beside(id), beside in land, beside not in [id | later ++ seen], do: beside
      group(land, next ++ later, [id | seen])
    end
  end

  describe "items" do
    # One for one, and nothing burns: what there is changes its kind and its place only.
    test "are as many as ever where recipes give back what they take" do
      made =
        cases(8, 6, fn seed ->
          world = economy(seed, [], for(r <- 1..4, do: {Enum.random(1..3), "", "r#{r}"}))

          counted =
            play(world, 160, true, fn before, told, now ->
              same(total(before), total(now), {seed, told})
              elem(counters(now), 0)
            end)

          Compute.close(world)
          Enum.max(counted)
        end)

      assert Enum.sum(made) > 50
    end

    test "are gained where the field loses them" do
      gained =
        cases(8, 6, fn seed ->
          world = economy(seed, ~w(k1 k2 k3), [{1, "", "r1"}])

          counted =
            play(world, 160, true, fn before, {action, told}, now ->
              # Who stops a machine that digs lets go of the unit that it has dug up.
              lost = if let_go?(before, action, told, now), do: 1, else: 0
              same(total(before) + field(before) - lost, total(now) + field(now), {seed, action, told})
              total(now) - total(before)
            end)

          Compute.close(world)
          Enum.sum(counted)
        end)

      assert Enum.sum(gained) > 50
    end

    test "that nobody wanted are kept or spilt" do
      spilt =
        cases(8, 6, fn seed ->
          world = economy(seed, [], for(r <- 1..3, do: {1, "by = { slag = 2 }, ", "r#{r}"}))

          counted =
            play(world, 160, true, fn before, {action, told}, now ->
              # Its counters go with a machine.
              gone = if gone?(action, told), do: before.cells[action["cell"]].machine
              {made, spilt} = if gone, do: {gone.made, gone.spilt}, else: {0, 0}
              {before_made, before_spilt} = counters(before)
              {now_made, now_spilt} = counters(now)

              same(
                slag(before) - 2 * (before_made - made) + (before_spilt - spilt),
                slag(now) - 2 * now_made + now_spilt,
                {seed, action, told}
              )

              now_spilt
            end)

          Compute.close(world)
          Enum.max(counted)
        end)

      assert Enum.sum(spilt) > 20
    end
  end

  defp same(before, now, about), do: assert(before == now, inspect(about))

  # A world that stands still, in which one player has a works already: a depot, a press, and a depot behind it.
  # `recipes` are `{n, fields, name}` and make n of an item from n of another.
  defp economy(seed, harvested, recipes) do
    items = ~w(a b c d)
    field = "{ name = \"rock\", ripe = 1, cap = 60 }, { name = \"glow\", ripe = 1, cap = 60 }"
    kinds = for kind <- harvested, do: ", { name = \"#{kind}\", ripe = 1, cap = 600, spent = \"rock\" }"

    harvests =
      for kind <- harvested,
          do: "{ kind = \"#{kind}\", item = \"#{Enum.random(items)}\", hand = #{Enum.random(1..3)} }"

    digging =
      for kind <- harvested,
          do:
            "{ name = \"dig_#{kind}\", at = \"digger\", time = #{Enum.random(1..9)}, harvest = \"#{kind}\", " <>
              "last = #{Enum.random([true, false])} }"

    making =
      for {n, fields, name} <- recipes, at <- ~w(press oven) do
        [a, b] = Enum.take_random(items, 2)

        "{ name = \"#{name}_#{at}\", at = \"#{at}\", time = #{Enum.random(1..9)}, in = { #{a} = #{n} }, #{fields}" <>
          "out = { #{b} = #{n} } }"
      end

    cost = fn -> "cost = { #{Enum.random(items)} = #{Enum.random(1..3)} }" end

    text = """
    beat = 256
    fire = "glow"
    kind = [#{field}#{kinds}]
    item = [#{Enum.map_join(items ++ ["slag"], ", ", &"{ name = \"#{&1}\" }")}]
    harvest = [#{Enum.join(harvests, ", ")}]
    prototype = [
      { name = "belt", does = "carry", hold = 2, #{cost.()} }, { name = "fork", does = "split", hold = 1, #{cost.()} },
      { name = "sorter", does = "sort", hold = 3, #{cost.()} }, { name = "cross", does = "cross", hold = 4, #{cost.()} },
      { name = "store", does = "store", hold = 1, room = 500, #{cost.()} }, { name = "wheel", does = "drive" },
      { name = "press", does = "craft", wind = 3, drive = true, default = "r1_press", #{cost.()} },
      { name = "oven", does = "craft", burns = true, default = "r1_oven", #{cost.()} },
      { name = "digger", does = "craft", wind = 2, #{cost.()} }
    ]
    recipe = [#{Enum.join(making ++ digging, ", ")}]
    start = { kit = { a = 900, b = 900, c = 900, d = 900 }, inventory = 6000, step = 1, gather = 5, craft = 1, queue = 4 }
    claim = { item = "a", base = 1, every = 3, gap = 2, estates = 3 }
    """

    {:ok, ruleset} = Ruleset.load({:text, text})
    kinds = length(ruleset.terms["kinds"])
    count = 10 * @frequency * @frequency + 2
    # A furnace in fire halts, and works beside it.
    land =
      for _ <- 1..count,
          do: if(:rand.uniform(12) == 1, do: 1, else: Enum.random([0 | Enum.to_list(2..(kinds - 1)//1)]))

    amounts = for _ <- 1..count, do: Enum.random(0..40)

    {:ok, world} =
      Compute.new_world(
        backend: if(rem(seed, 7) == 0, do: :beam, else: :nif),
        seed: seed,
        frequency: @frequency,
        ruleset: {:text, text},
        cells: {:binary.list_to_bin(land), for(amount <- amounts, into: <<>>, do: <<amount::16-little>>)}
      )

    world
  end

  # The works of the player at home.
  defp works(world) do
    home = Deeds.home(@frequency)
    [front, _, _, behind, _, _] = beside(home)
    [input | _] = Enum.find(world.economy["recipes"], &(&1["name"] == "r1_press"))["inputs"]
    item = Enum.at(world.economy["items"], hd(input))["name"]
    at = fn cell, action, fields -> Map.merge(%{"action" => action, "cell" => cell}, fields) end

    actions = [
      at.(home, "claim", %{}),
      at.(behind, "place", %{"prototype" => "store", "direction" => 0}),
      at.(home, "place", %{"prototype" => "press", "direction" => 0}),
      at.(front, "place", %{"prototype" => "store", "direction" => 0}),
      at.(behind, "set_recipe", %{"recipe" => item}),
      at.(behind, "put", %{"item" => item, "count" => 400})
    ]

    for {action, n} <- Enum.with_index(actions),
        do: Map.merge(action, %{"by" => "ann", "action_id" => "works #{n}"})
  end

  # Plays ticks with an action each; `check` gets the state before, the action and its outcome, and the state then.
  defp play(world, ticks, grants, check) do
    home = Deeds.home(@frequency)
    works = if Enum.any?(world.economy["prototypes"], &(&1["name"] == "press")), do: works(world), else: []
    {:ok, _} = Compute.submit(world, Deeds.joins(home, @frequency) ++ works)
    {:ok, 1} = Compute.advance(world, 1)

    {_, results} =
      for tick <- 1..ticks, reduce: {state(world), []} do
        {before, results} ->
          action = Deeds.some(world, home, tick, 3) |> Enum.find(&(grants or &1["action"] != "grant"))
          {:ok, _} = Compute.submit(world, List.wrap(action))
          {:ok, _} = Compute.advance(world, 1)
          {:ok, outcomes} = Compute.outcomes(world, tick)
          told = Enum.find(outcomes, &(action && &1.action_id == action["action_id"]))
          now = state(world)
          {now, [check.(before, {action, told}, now) | results]}
      end

    results
  end

  defp state(world) do
    {:ok, cells} = Compute.cells(world, Enum.to_list(0..(world.cells - 1)))
    {:ok, players} = Compute.players(world)
    %{world: world, cells: Map.new(cells, &{&1.id, &1}), players: players}
  end

  defp machines(state), do: for({_, %{machine: %{} = machine}} <- state.cells, do: machine)

  # All items: carried, in machines, under way, and paid for machines and land.
  defp total(%{world: %{economy: economy}} = state) do
    carried = for player <- state.players, do: Enum.sum(Map.values(player.inventory))
    built = for machine <- machines(state), do: inside(economy, machine) + cost(economy, machine)
    %{"base" => base, "every" => every} = economy["claim"]
    land = for %{claims: claims} <- state.players, n <- 0..(claims - 1)//1, do: base + div(n, every)
    Enum.sum(carried) + Enum.sum(built) + Enum.sum(land)
  end

  defp inside(economy, machine), do: Enum.sum(Map.values(machine.contents)) + under_way(economy, machine)

  defp under_way(_, %{progress: nil}), do: 0

  defp under_way(economy, machine) do
    case Enum.find(economy["recipes"], &(&1["name"] == machine.recipe)) do
      %{"harvest" => nil, "inputs" => inputs} -> sum(inputs)
      %{"harvest" => _} -> 1
    end
  end

  defp cost(economy, machine),
    do: sum(Enum.find(economy["prototypes"], &(&1["name"] == machine.prototype))["cost"])

  defp sum(pairs), do: pairs |> Enum.map(&List.last/1) |> Enum.sum()

  # What can be taken from the field.
  defp field(state) do
    kinds = Enum.map(state.world.economy["harvests"], & &1["kind"])
    for({_, %{kind: kind, amount: amount}} <- state.cells, kind in kinds, do: amount) |> Enum.sum()
  end

  defp let_go?(before, %{"action" => action, "cell" => id}, %{outcome: :applied}, now)
       when action in ["remove", "set_recipe"] do
    machine = before.cells[id].machine
    digs = machine.progress != nil and String.starts_with?(machine.recipe || "", "dig_")
    digs and (action == "remove" or now.cells[id].machine.recipe != machine.recipe)
  end

  defp let_go?(_, _, _, _), do: false

  defp gone?(%{"action" => "remove"}, %{outcome: :applied}), do: true
  defp gone?(_, _), do: false

  defp counters(state) do
    machines = machines(state)
    {machines |> Enum.map(& &1.made) |> Enum.sum(), machines |> Enum.map(& &1.spilt) |> Enum.sum()}
  end

  defp slag(state) do
    carried = for %{inventory: %{"slag" => n}} <- state.players, do: n
    inside = for %{contents: %{"slag" => n}} <- machines(state), do: n
    Enum.sum(carried) + Enum.sum(inside)
  end

  defp beside(id), do: Compute.neighbours(@frequency, id)
end
