defmodule GamePlatform.GameDocsTest do
  # What `docs/game.md` tells players, against the default ruleset.
  use ExUnit.Case, async: true

  alias GamePlatform.Game.Factory

  @text File.read!("docs/game.md")

  setup do
    {:ok, ruleset} = Factory.load(:default)
    ids = ruleset |> Factory.items() |> Enum.map(& &1.name) |> Enum.with_index() |> Map.new()
    {:ok, ruleset: ruleset, ids: ids}
  end

  # Rows of cells of the table whose head begins so.
  defp table(head) do
    [table] = Regex.run(~r/^\| #{head} \|.*\n\|[-|]+\n((?:\|.*\n)+)/m, @text, capture: :all_but_first)

    for line <- String.split(table, "\n", trim: true) do
      line |> String.split("|") |> Enum.slice(1..-2//1) |> Enum.map(&String.trim/1)
    end
  end

  defp counts(counts, ids) do
    counts
    |> Enum.sort_by(fn {item, _} -> ids[item] end)
    |> Enum.map_join(", ", fn {item, n} -> "#{n} #{item}" end)
  end

  defp seconds(ticks) when rem(ticks, 20) == 0, do: "#{div(ticks, 20)}"
  defp seconds(ticks), do: "#{ticks / 20}"

  test "kinds of field", %{ruleset: ruleset} do
    expected =
      for harvest <- Factory.harvests(ruleset) do
        [recipe] = Enum.filter(Factory.recipes(ruleset), &(&1.harvest == harvest.kind))
        assert recipe.time == 60
        [harvest.kind, harvest.item, seconds(harvest.hand), "`#{recipe.name}` (#{recipe.at})"]
      end

    assert table("kind") == expected
  end

  test "items", %{ruleset: ruleset} do
    expected =
      for %{name: name, burns: burns} <- Factory.items(ruleset) do
        kinds = for %{item: ^name, kind: kind} <- Factory.harvests(ruleset), do: kind

        recipes =
          for %{harvest: nil} = recipe <- Factory.recipes(ruleset),
              Map.has_key?(recipe.out, name) or Map.has_key?(recipe.by, name),
              do: "`#{recipe.name}`"

        [name, Enum.join(kinds ++ recipes, ", "), if(burns > 0, do: seconds(burns), else: "–")]
      end

    assert table("item") == expected
  end

  test "machines", %{ruleset: ruleset, ids: ids} do
    expected =
      for prototype <- Factory.prototypes(ruleset) do
        wind = if prototype.wind > 0, do: ["wind #{prototype.wind}"], else: []
        drive = if prototype.drive, do: ["drive"], else: []
        fuel = if prototype.burns or prototype.does == :drive, do: ["fuel"], else: []
        energy = Enum.join(wind ++ drive ++ fuel, " + ")
        [prototype.name, counts(prototype.cost, ids), if(energy == "", do: "–", else: energy)]
      end

    assert Enum.map(table("machine"), &Enum.take(&1, 3)) == expected
  end

  test "recipes", %{ruleset: ruleset, ids: ids} do
    expected =
      for %{harvest: nil} = recipe <- Factory.recipes(ruleset) do
        out =
          case recipe.field do
            nil -> for made <- [recipe.out, recipe.by], made != %{}, do: counts(made, ids)
            %{at: :front} = change -> ["#{change.from} ahead → #{change.to} #{change.amount}"]
            %{amount: nil} = change -> ["one #{change.from} around → #{change.to}"]
          end

        name = "`#{recipe.name}`" <> if recipe.hand, do: " *h*", else: ""
        [name, recipe.at, seconds(recipe.time), counts(recipe.in, ids), Enum.join(out, " + ")]
      end

    assert table("recipe") == expected
  end

  test "what a player begins with, and what land costs", %{ruleset: %{"economy" => economy}} do
    names = economy["items"] |> Enum.map(& &1["name"]) |> List.to_tuple()
    kit = for [item, count] <- economy["start"]["kit"], do: {count, elem(names, item)}
    [sentence] = Regex.run(~r/You arrive with (.*?), on a cell/s, @text, capture: :all_but_first)

    told =
      for [count, item] <- Regex.scan(~r/(\d+) (\w+)/, sentence, capture: :all_but_first),
          do: {String.to_integer(count), item}

    assert Enum.sort(told) == Enum.sort(kit)

    assert %{"inventory" => 2000, "step" => 4, "gather" => 8, "craft" => 20, "queue" => 16} = economy["start"]
    text = String.replace(@text, ~r/\s+/, " ")

    for piece <- [
          "at most 2,000 items",
          "4 ticks a step",
          "up to 8 units",
          "20 ticks each",
          "up to 16 may wait"
        ],
        do: assert(text =~ piece)

    assert %{"item" => 0, "base" => 1, "every" => 24, "gap" => 4, "estates" => 3} = economy["claim"]
    for piece <- ["1 + n / 24 stone", "four steps from everybody", "three estates"], do: assert(text =~ piece)
  end

  test "every code of the rules has a sentence" do
    codes = ~w(pentagon reserved not_yours already_yours touches_foreign not_adjacent too_close
      too_many_estates occupied no_machine missing_items inventory_full queue_full too_far empty not_harvestable
      not_enough not_accepted full wrong_recipe not_by_hand unknown_player)

    rows = table("code")
    assert Enum.map(rows, &hd/1) == Enum.map(codes, &"`#{&1}`")
    for [_, sentence] <- rows, do: assert(sentence =~ ~r/^[A-Z].+\.$/)
  end

  test "every picture and page that it names exists" do
    for [path] <- Regex.scan(~r/\]\(([^)#]+)\)/, @text, capture: :all_but_first) do
      assert File.exists?(Path.join("docs", path)), path
    end
  end
end
