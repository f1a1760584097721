defmodule GamePlatform.Compute.RulesetTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Compute.Ruleset
  alias GamePlatform.Rulesets

  setup do
    :rand.seed(:exsss, 29)
    :ok
  end

  test "random economies are valid, and use everything that a ruleset may say" do
    economies =
      for _ <- 1..300 do
        text = Rulesets.random_economy()
        assert {:ok, %{terms: %{"economy" => economy}}} = Ruleset.load({:text, text}), text
        economy
      end

    prototypes = Enum.flat_map(economies, & &1["prototypes"])
    recipes = Enum.flat_map(economies, & &1["recipes"])
    assert prototypes |> Enum.map(& &1["does"]) |> Enum.uniq() |> length() == 7

    for key <- ~w(wind drive burns buffer default),
        value <- [&(&1 in [0, false, nil]), &(&1 not in [0, false, nil])] do
      assert Enum.any?(prototypes, &value.(&1[key])), key
    end

    for key <- ~w(out by harvest last field hand),
        value <- [&(&1 in [false, nil]), &(&1 not in [false, nil])] do
      assert Enum.any?(recipes, &value.(&1[key])), key
    end

    assert Enum.any?(prototypes, &(&1["cost"] == []))
    assert Enum.any?(economies, &(&1["fire"] == nil)) and Enum.any?(economies, & &1["fire"])
  end

  test "random rulesets have an economy or none" do
    for _ <- 1..100 do
      assert {:ok, ruleset} = Ruleset.load({:text, Rulesets.random()})
      Map.has_key?(ruleset.terms, "economy")
    end
    |> Enum.frequencies()
    |> then(fn %{true => with, false => without} -> assert with > 25 and without > 25 end)
  end

  test "the small ruleset for tests" do
    assert {:ok, %{terms: %{"economy" => economy, "turn" => [], "gen" => nil}}} =
             Ruleset.load("priv/rulesets/tiny.toml")

    assert economy["prototypes"] |> Enum.map(& &1["does"]) |> Enum.uniq() |> length() == 7
  end

  test "a refusal says where" do
    text = File.read!("priv/rulesets/tiny.toml") |> String.replace("does = \"drive\"", "does = \"fly\"")

    assert {:error, {:invalid_ruleset, %{file: "(text)", line: 33, column: column, reason: reason}}} =
             Ruleset.load({:text, text})

    assert column > 1
    assert reason =~ ~s(unknown word for what it does "fly"; known: carry, split)
  end
end
