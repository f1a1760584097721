defmodule GamePlatform.Compute.FactoriesTest do
  # The specification and the kernel agree on whatever players do, in whatever economy.
  use ExUnit.Case, async: true

  alias GamePlatform.{Compute, Deeds, Rulesets}
  alias GamePlatform.Compute.Ruleset

  @cases 30
  @ticks 60

  test "random economies, fields and actions" do
    for n <- 1..@cases do
      text = Rulesets.random_economy()
      {:ok, ruleset} = Ruleset.load({:text, text})
      frequency = Enum.random(5..8)
      cells = Rulesets.random_cells(frequency, ruleset.terms)
      home = Deeds.home(frequency)
      opts = [seed: n, frequency: frequency, ruleset: {:text, text}, cells: cells]

      worlds =
        for {backend, threads} <- [beam: 1, nif: 2, node: 3] do
          {:ok, world} = Compute.new_world([backend: backend, threads: threads] ++ opts)
          world
        end

      for tick <- 0..(@ticks - 1) do
        actions = Deeds.some(hd(worlds), home, tick)
        actions = if tick == 0, do: Deeds.joins(home, frequency) ++ actions, else: actions
        assert_same(worlds, &Compute.submit(&1, actions), text)
        assert_same(worlds, &Compute.advance_to(&1, tick + 1), text)
        assert_same(worlds, &Compute.digest/1, text, fn -> explain(worlds, tick, actions) end)
      end

      assert_same(worlds, &Compute.outcomes(&1, div(@ticks, 2)), text)
      assert_same(worlds, &Compute.players/1, text)
      assert_same(worlds, &Compute.cells(&1, Enum.to_list(0..(hd(worlds).cells - 1))), text)
      Enum.each(worlds, &Compute.close/1)
    end
  end

  defp assert_same(worlds, fun, text, explain \\ fn -> "" end) do
    results = Enum.map(worlds, fun)
    assert :ok == elem(hd(results), 0)
    assert match?([_], Enum.uniq(results)), "#{inspect(results, limit: :infinity)}\n#{explain.()}\n#{text}"
  end

  # Where two worlds differ.
  defp explain([spec | others], tick, actions) do
    ids = Enum.to_list(0..(spec.cells - 1))

    for other <- others do
      {:ok, expected} = Compute.cells(spec, ids)
      {:ok, found} = Compute.cells(other, ids)
      cells = for {a, b} <- Enum.zip(expected, found), a != b, do: {a, b}
      {:ok, _, players} = Compute.players(spec) |> wide()
      {:ok, _, theirs} = Compute.players(other) |> wide()
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

  defp wide({:ok, tick, players}), do: {:ok, tick, players}
  defp wide({:ok, players}), do: {:ok, 0, players}
end
