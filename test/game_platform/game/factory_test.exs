defmodule GamePlatform.Game.FactoryTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Game.Factory
  alias GamePlatform.Rulesets

  doctest Factory

  setup do
    {:ok, ruleset} = Factory.load(:default)
    {:ok, ruleset: ruleset}
  end

  test "everything of the default ruleset", %{ruleset: ruleset} do
    assert length(Factory.items(ruleset)) == 25
    assert length(Factory.harvests(ruleset)) == 8
    assert length(Factory.prototypes(ruleset)) == 14
    assert length(Factory.recipes(ruleset)) == 38

    for %{name: name} = prototype <- Factory.prototypes(ruleset) do
      assert Factory.prototype(ruleset, name) == {:ok, prototype}
    end

    for %{name: name} = recipe <- Factory.recipes(ruleset) do
      assert Factory.recipe(ruleset, name) == {:ok, recipe}
      assert {:ok, %{crafts: {n, d}}} = Factory.rates(ruleset, name)
      assert n * recipe.time == 20 * d
    end
  end

  test "a harvest", %{ruleset: ruleset} do
    assert {:ok,
            %{at: "pump", in: %{}, out: %{"water" => 1}, by: %{}, harvest: "water", last: true, field: nil}} =
             Factory.recipe(ruleset, "pump_water")

    assert Factory.rates(ruleset, "pump_water") ==
             {:ok, %{crafts: {1, 3}, in: %{}, out: %{"water" => {1, 3}}}}

    assert Factory.rates(ruleset, "pump_gold") == {:error, :unknown_recipe}
  end

  test "a change of the field that keeps the amount", %{ruleset: ruleset} do
    {:ok, recipe} = Factory.recipe(ruleset, "quench")
    assert recipe.field == %{at: :around, from: "ember", to: "rock", amount: nil}
    assert {:ok, %{crafts: {1, 1}, out: out}} = Factory.rates(ruleset, "quench")
    assert out == %{}
  end

  test "a by-product that is the product too" do
    text =
      "priv/rulesets/tiny.toml" |> File.read!() |> String.replace("by = { slag = 1 }", "by = { metal = 2 }")

    {:ok, ruleset} = Factory.load({:text, text})
    assert {:ok, %{out: %{"metal" => {5, 1}}}} = Factory.rates(ruleset, "smelt")
  end

  test "of a world, and of an economy alone", %{ruleset: ruleset} do
    world = %{economy: ruleset["economy"], kinds: Enum.map(ruleset["kinds"], & &1["name"])}

    for what <- [&Factory.items/1, &Factory.harvests/1, &Factory.prototypes/1, &Factory.recipes/1] do
      assert what.(world) == what.(ruleset)
    end

    assert Factory.items(ruleset["economy"]) == Factory.items(ruleset)
    assert {:ok, %{field: %{from: 0, to: 2}}} = Factory.recipe(ruleset["economy"], "plant_moss")
    assert hd(Factory.harvests(ruleset["economy"])).kind == 0
  end

  test "without an economy there is nothing" do
    {:ok, ruleset} = Factory.load({:text, "beat = 1\nkind = [{ name = \"rock\", ripe = 1, cap = 9 }]"})

    for source <- [ruleset, %{economy: nil, kinds: ["rock"]}] do
      assert Factory.items(source) == [] and Factory.harvests(source) == []
      assert Factory.prototypes(source) == [] and Factory.recipes(source) == []
      assert Factory.recipe(source, "dig") == {:error, :unknown_recipe}
    end
  end

  test "of random rulesets" do
    for _ <- 1..50 do
      {:ok, ruleset} = Factory.load({:text, Rulesets.random_economy()})
      kinds = Enum.map(ruleset["kinds"], & &1["name"])
      assert Enum.all?(Factory.harvests(ruleset), &(&1.kind in kinds))

      for %{name: name} <- Factory.recipes(ruleset) do
        assert {:ok, %{crafts: {n, d}}} = Factory.rates(ruleset, name)
        assert n > 0 and Integer.gcd(n, d) == 1
      end
    end
  end
end
