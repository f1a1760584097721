defmodule GamePlatform.Compute.FactoriesTest do
  # The specification and the kernel agree on whatever players do, in whatever economy.
  use ExUnit.Case, async: true

  alias GamePlatform.{Compute, Deeds, Plant, Rulesets}
  alias GamePlatform.Compute.{Actions, Ruleset}

  # The cases of every run show that enough comes about; the others are of this run's seed.
  @fixed 14
  @others 5

  test "random economies, fields and actions" do
    fixed = all(1..@fixed, &random/1)
    all(others(), &random/1)
    assert_enough(fixed, 15)
  end

  test "random actions in the default economy" do
    fixed = all(1..3, &default/1)
    all(Enum.take(others(), 1), &default/1)
    assert_enough(fixed, 10)
  end

  test "towns of machines beside machines" do
    fixed = all(1..14, &town/1)
    all(others(), &town/1)
    assert fixed |> Enum.map(& &1.machines) |> Enum.sum() >= 20 * length(fixed)
    assert fixed |> Enum.map(& &1.made) |> Enum.sum() >= 10 * length(fixed)
  end

  defp others, do: for(_ <- 1..@others, do: Enum.random(1_000..1_000_000_000))

  # More at once would only wait for each other.
  defp all(seeds, play) do
    for {:ok, seen} <- Task.async_stream(seeds, play, max_concurrency: 2, timeout: :infinity), do: seen
  end

  defp assert_enough(cases, codes) do
    told = Enum.flat_map(cases, & &1.told)
    applied = for {action, nil} <- told, uniq: true, do: action
    assert Enum.sort(["join" | applied]) == Enum.sort(Actions.names())
    refused = Enum.frequencies(for {_, code} when code != nil <- told, do: code)
    assert map_size(refused) >= codes, inspect(refused)
    # What was built is there, and has worked.
    assert cases |> Enum.map(& &1.machines) |> Enum.sum() >= 6 * length(cases)
    assert cases |> Enum.map(& &1.made) |> Enum.sum() >= 2 * length(cases)
  end

  defp random(seed) do
    :rand.seed(:exsss, seed)
    text = Rulesets.random_economy()
    {:ok, ruleset} = Ruleset.load({:text, text})
    frequency = Enum.random(5..8)
    cells = Rulesets.random_cells(frequency, ruleset.terms)
    # In the middle of a diamond, or anywhere: across seams, far cells have directions of their own.
    home = Enum.random([Deeds.home(frequency), Enum.random(0..(10 * frequency * frequency + 1))])
    play(seed, home, [frequency: frequency, ruleset: {:text, text}, cells: cells], 60, 40)
  end

  defp default(seed) do
    :rand.seed(:exsss, seed)
    play(seed, Deeds.home(12), [frequency: 12, ruleset: Plant.ruleset(field: :default)], 100, 200)
  end

  defp town(seed) do
    :rand.seed(:exsss, seed)
    frequency = Enum.random(7..9)
    cells = Rulesets.town_cells(frequency)
    home = Enum.random([Deeds.home(frequency), Enum.random(0..(10 * frequency * frequency - 1))])
    opts = [frequency: frequency, ruleset: {:text, Rulesets.town_economy()}, cells: cells]

    play(seed, home, opts, 60, 60, fn
      world, 0 -> Deeds.town(world, home)
      world, tick -> Deeds.feed(world, home, tick) ++ Deeds.some(world, home, tick, 2)
    end)
  end

  # A world on each backend, with some ticks of actions and some without. Gives what came of the actions, the machines
  # in the end, and how often these made something.
  defp play(seed, home, opts, busy, alone, deeds \\ nil) do
    deeds = deeds || (&Deeds.some(&1, home, &2))
    opts = [seed: seed] ++ opts
    about = "case #{seed}\n#{elem(opts[:ruleset], 1)}"

    worlds =
      for {backend, threads} <- [beam: 1, nif: 2, node: 3] do
        {:ok, world} = Compute.new_world([backend: backend, threads: threads] ++ opts)
        world
      end

    told =
      for tick <- 0..(busy - 1) do
        # The kernel shows them sooner; all show the same.
        actions = deeds.(Enum.at(worlds, 1), tick)
        actions = if tick == 0, do: Deeds.joins(home, opts[:frequency]) ++ actions, else: actions
        assert_same(worlds, &Compute.submit(&1, actions), about)
        assert_same(worlds, &Compute.advance_to(&1, tick + 1), about)
        assert_same(worlds, &Compute.digest/1, about, fn -> explain(worlds, tick, actions) end)
        {:ok, outcomes} = assert_same(worlds, &Compute.outcomes(&1, tick), about)
        {actions, outcomes}
      end

    assert_same(worlds, &Compute.outcomes(&1, div(busy, 2)), about)
    assert_same(worlds, &Compute.advance(&1, alone), about)
    assert_same(worlds, &Compute.digest/1, about, fn -> explain(worlds, busy, []) end)
    {:ok, outcomes} = assert_same(worlds, &Compute.outcomes(&1, busy), about)
    assert_same(worlds, &Compute.players/1, about)
    {:ok, cells} = assert_same(worlds, &Compute.cells(&1, Enum.to_list(0..(hd(worlds).cells - 1))), about)
    Enum.each(worlds, &Compute.close/1)

    machines = for %{machine: %{} = machine} <- cells, do: machine
    told = told([{[], outcomes} | told])
    %{told: told, machines: length(machines), made: machines |> Enum.map(& &1.made) |> Enum.sum()}
  end

  # `{action, code}` of all that ended.
  defp told(told) do
    names =
      for {actions, _} <- told, action <- actions, into: %{} do
        {{action["by"], action["action_id"]}, action["action"]}
      end

    for {_, outcomes} <- told, told <- outcomes, do: {names[{told.player, told.action_id}], told.code}
  end

  # Gives the answer.
  defp assert_same(worlds, fun, about, explain \\ fn -> "" end) do
    results = Enum.map(worlds, fun)
    assert :ok == elem(hd(results), 0)
    assert match?([_], Enum.uniq(results)), "#{inspect(results, limit: :infinity)}\n#{explain.()}\n#{about}"
    hd(results)
  end

  # Where two worlds differ.
  defp explain([spec | others], tick, actions) do
    ids = Enum.to_list(0..(spec.cells - 1))

    for other <- others do
      {:ok, expected} = Compute.cells(spec, ids)
      {:ok, found} = Compute.cells(other, ids)
      cells = for {a, b} <- Enum.zip(expected, found), a != b, do: {a, b}
      {:ok, players} = Compute.players(spec)
      {:ok, theirs} = Compute.players(other)
      players = for {a, b} <- Enum.zip(players, theirs), a != b, do: {a, b}

      inspect(
        {other.backend, tick, actions, cells, players, Compute.outcomes(spec, tick),
         Compute.outcomes(other, tick)},
        pretty: true,
        limit: :infinity
      )
    end
    |> Enum.join("\n")
  end
end
