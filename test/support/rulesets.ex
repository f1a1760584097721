defmodule GamePlatform.Rulesets do
  @moduledoc "Random rulesets within the whole schema, as TOML, and random cells for them."

  @doc "The default field, without an economy."
  def field do
    [field, _economy] = "priv/rulesets/default.toml" |> File.read!() |> String.split("\n# The economy:")
    field
  end

  @doc "A ruleset text, half of them with an economy. Uses the process's random numbers: seed them with `:rand.seed/2`."
  def random do
    kinds = kinds()
    field(kinds) <> if coin(0.5), do: economy(kinds), else: ""
  end

  @doc "A ruleset text with an economy."
  def random_economy do
    kinds = kinds()
    field(kinds) <> economy(kinds)
  end

  @doc """
  A ruleset text for towns: machines of every sort cost nothing, all are quick and hold little, there is plenty of
  everything, land is free, and the field stands still. `k4` is fire, if there is any.
  """
  def town_economy do
    kinds = ~w(k1 k2 k3 k4)
    items = ~w(i0 i1 i2 i3)

    energies = [
      ["burns = true"],
      ["burns = true"],
      ["drive = true"],
      ["drive = true"],
      ["wind = #{Enum.random(1..3)}"],
      ["wind = 1", "drive = true"],
      ["wind = 2", "buffer = #{Enum.random([3, 64])}"]
    ]

    crafts = for {energy, n} <- Enum.with_index(energies), do: {"m#{n}", energy}
    made = for {at, _} <- crafts, _ <- 1..2, do: {at, town_recipe(items, kinds)}
    recipes = for {{at, fields}, n} <- Enum.with_index(made), do: {recipe_name(n, items), at, fields}

    belts =
      for {name, does} <- [{"belt", "carry"}, {"fork", "split"}, {"sorter", "sort"}, {"cross", "cross"}],
          do: ["name = #{text(name)}", "does = #{text(does)}", "hold = #{Enum.random(1..4)}"]

    stores =
      for room <- [3, 300],
          do: [
            "name = \"store#{room}\"",
            "does = \"store\"",
            "hold = #{Enum.random(1..3)}",
            "room = #{room}"
          ]

    made_by =
      for {name, energy} <- crafts,
          do: ["name = #{text(name)}", "does = \"craft\"" | energy] ++ default(name, recipes)

    prototypes = belts ++ stores ++ [["name = \"wheel\"", "does = \"drive\""]] ++ made_by

    """
    beat = 256
    kind = #{list(for name <- kinds, do: table(["name = #{text(name)}", "ripe = 1", "cap = 60", "spent = \"k1\""]))}
    #{if coin(0.8), do: "fire = \"k4\""}
    item = #{list(for name <- items, do: table(["name = #{text(name)}" | maybe(0.7, "burns", [1, 3, 9, 30])]))}
    harvest = #{list(for kind <- ~w(k1 k2 k3), do: table(["kind = #{text(kind)}", "item = #{text(Enum.random(items))}", "hand = 1" | maybe(0.3, "free", [true])]))}
    prototype = #{list(Enum.map(prototypes, &table/1))}
    recipe = #{list(for {name, at, fields} <- recipes, do: table(["name = #{text(name)}", "at = #{text(at)}" | fields]))}
    start = { kit = #{table(for item <- items, do: "#{item} = 14000")}, inventory = 60000, step = 1, gather = 4, craft = 1, queue = 16 }
    claim = { item = "i0", base = 0, every = 10000, gap = 1, estates = 100 }
    """
  end

  defp town_recipe(items, kinds) do
    inputs = "in = #{counts(items, [1, 1, 2], [1, 1, 2])}"

    fields =
      case Enum.random([:make, :make, :make, :harvest, :field]) do
        :harvest ->
          ["harvest = #{text(Enum.random(~w(k1 k2 k3)))}" | maybe(0.5, "last", [true])]

        :field ->
          to = text(Enum.random(~w(k1 k2 k3)))
          at = text(Enum.random(~w(front around)))
          from = text(Enum.random(kinds))

          [
            inputs,
            "field = #{table(["at = #{at}", "from = #{from}", "to = #{to}" | maybe(0.5, "amount", [9])])}"
          ]

        :make ->
          by = maybe(0.6, "by", [counts(items, [1], [1, 2])])
          [inputs, "out = #{counts(items, [1], [1, 1, 2])}"] ++ by ++ maybe(0.5, "hand", [true])
      end

    ["time = #{Enum.random([1, 2, 3, 5, 8])}" | fields]
  end

  @doc "Cells for a town: a tenth of them is `k4`, and there is a little of everything."
  def town_cells(frequency) do
    cells =
      for _ <- 1..(10 * frequency * frequency + 2),
          do: {if(coin(0.1), do: 3, else: Enum.random(0..2)), Enum.random(0..25)}

    {for({kind, _} <- cells, into: <<>>, do: <<kind>>),
     for({_, amount} <- cells, into: <<>>, do: <<amount::16-little>>)}
  end

  defp kinds, do: for(n <- 1..Enum.random(1..8), do: "k#{n}")

  defp field(kinds) do
    counters = for n <- 1..8//1, coin(0.6), do: "c#{n}"
    grow = for _ <- 1..8//1, coin(0.6), do: ["add = #{Enum.random(-31..31)}" | condition(kinds, counters)]

    turn =
      for _ <- 1..24//1, coin(0.5) do
        amount =
          if coin(0.7), do: ["amount = #{Enum.random([0, 0, 1, 2, 3, 8, 24, 60, 300, 65535])}"], else: []

        ["to = #{text(Enum.random(kinds))}"] ++ amount ++ condition(kinds, counters)
      end

    """
    beat = #{Enum.random([1, 1, 2, 4, 16, 16, 256])}
    kind = #{list(for kind <- kinds, do: kind(kind, kinds))}
    counter = #{list(for name <- counters, do: table(["name = #{text(name)}", "of = #{selectors(kinds)}"]))}
    grow = #{list(Enum.map(grow, &table/1))}
    turn = #{list(Enum.map(turn, &table/1))}
    """
  end

  @doc "`{kinds, amounts}` for a frequency and a ruleset's terms."
  def random_cells(frequency, terms) do
    cells = 10 * frequency * frequency + 2
    caps = Enum.map(terms["kinds"], & &1["cap"])

    kinds_and_amounts =
      for _ <- 1..cells do
        kind = Enum.random(0..(length(caps) - 1))
        {kind, Enum.random([0, Enum.random(0..255), Enum.random(0..65535), Enum.at(caps, kind)])}
      end

    {for({kind, _} <- kinds_and_amounts, into: <<>>, do: <<kind>>),
     for({_, amount} <- kinds_and_amounts, into: <<>>, do: <<amount::16-little>>)}
  end

  defp kind(name, kinds) do
    spent = if coin(0.5), do: ["spent = #{text(Enum.random(kinds))}"], else: []
    limits = [1, 2, 9, 60, 300, 65535]
    table(["name = #{text(name)}", "ripe = #{Enum.random(limits)}", "cap = #{Enum.random(limits)}"] ++ spent)
  end

  defp condition(kinds, counters) do
    full = if coin(0.2), do: ["full = true"], else: []
    chance = if coin(0.5), do: ["chance = [#{Enum.random(1..16)}, #{Enum.random(0..2)}]"], else: []

    whens =
      for name <- counters, coin(0.3) do
        "#{name} = #{list(for n <- 0..6, coin(0.6), do: Integer.to_string(n))}"
      end

    ["of = #{selectors(kinds)}", "when = #{table(whens)}"] ++ full ++ chance
  end

  defp selectors(kinds) do
    list(for kind <- kinds, coin(0.6), do: text(kind <> Enum.random(["", ":young", ":ripe"])))
  end

  # Small numbers, so that random actions often succeed, and now and then the largest.
  defp economy(kinds) do
    items = for n <- 1..Enum.random(2..8), do: "i#{n}"
    # With few kinds most of the land would burn.
    fire = if coin(min(0.7, length(kinds) / 8)), do: Enum.random(kinds)
    harvested = for kind <- kinds, coin(0.7), do: kind

    does =
      for does <- ~w(carry split sort cross store drive craft craft craft craft craft craft),
          coin(0.9),
          do: does

    prototypes = for {does, n} <- Enum.with_index(does), do: {"p#{n}", does}

    recipes =
      for {at, "craft"} <- prototypes, _ <- 1..Enum.random(1..4) do
        {at, recipe(items, kinds -- [fire], kinds, harvested)}
      end
      |> Enum.with_index()
      |> Enum.map(fn {{at, fields}, n} -> {recipe_name(n, items), at, fields} end)

    """
    #{if fire, do: "fire = #{text(fire)}"}
    item = #{list(for name <- items, do: table(["name = #{text(name)}" | maybe(0.5, "burns", [1, 2, 5, 30, 200, 65_535])]))}
    harvest = #{list(Enum.map(harvested, &harvest(&1, items)))}
    prototype = #{list(Enum.map(prototypes, &prototype(&1, items, recipes)))}
    recipe = #{list(for {name, at, fields} <- recipes, do: table(["name = #{text(name)}", "at = #{text(at)}" | fields]))}
    #{start(items)}
    claim = { item = #{text(hd(items))}, base = #{Enum.random(0..2)}, every = #{Enum.random([1, 10, 100, 10_000])}, \
    gap = #{Enum.random([1, 1, 1, 2, 3, 8])}, estates = #{Enum.random([1, 2, 3, 100])} }
    """
  end

  # Some are called like an item.
  defp recipe_name(n, items), do: if(rem(n, 4) == 3 and n < length(items), do: "i#{n}", else: "r#{n}")

  defp harvest(kind, items) do
    fields = ["kind = #{text(kind)}", "item = #{text(Enum.random(items))}"]
    table(fields ++ maybe(0.7, "hand", [1, 2, 3, 6, 65_535]) ++ maybe(0.5, "free", [true, false]))
  end

  defp prototype({name, does}, items, recipes) do
    fields =
      case does do
        "craft" -> energy() ++ maybe(0.3, "buffer", [1, 6, 64, 1_000]) ++ default(name, recipes)
        "store" -> ["hold = #{hold()}", "room = #{Enum.random([1, 5, 30, 600, 60_000])}"]
        "drive" -> []
        _ -> ["hold = #{hold()}"]
      end

    cost = if coin(0.8), do: ["cost = #{counts(items, 0..3, [1, 1, 2, 3])}"], else: []
    table(["name = #{text(name)}", "does = #{text(does)}"] ++ fields ++ cost)
  end

  defp hold, do: Enum.random([1, 2, 4, 4, 5, 30, 255])

  defp energy do
    Enum.random([
      ["burns = true"],
      ["drive = true"],
      ["wind = #{Enum.random(1..3)}"],
      ["wind = #{Enum.random(1..3)}"],
      ["wind = #{Enum.random(0..3)}", "drive = true"]
    ])
  end

  defp default(prototype, recipes) do
    case for({name, ^prototype, _} <- recipes, do: text(name)) do
      [] -> []
      own -> maybe(0.8, "default", own)
    end
  end

  defp recipe(items, to, kinds, harvested) do
    fields =
      case Enum.random([:make, :make, :harvest, :field]) do
        :harvest when harvested != [] ->
          ["harvest = #{text(Enum.random(harvested))}" | maybe(0.5, "last", [true, false])]

        :field when to != [] ->
          inputs(items) ++ ["field = #{change(kinds, to)}"]

        _ ->
          inputs(items) ++ make(items)
      end

    time = if coin(0.05), do: 65_534, else: Enum.random([1, 1, 2, 3, 5, 5, 12, 12, 60])
    ["time = #{time}" | fields]
  end

  defp inputs(items) do
    counts = [1, 1, 1, 1, 1, 2, 2, 2, 3, if(coin(0.2), do: 100, else: 3)]
    ["in = #{counts(items, [1, 1, 1, 2, 2, 3, 4], counts)}"]
  end

  defp make(items) do
    by = if coin(0.4), do: ["by = #{counts(items, 1..1, [1, 1, 2, 100])}"], else: []

    ["out = #{counts(items, 1..1, [1, 1, 1, 1, 2, 2, 3, 100])}"] ++
      by ++ maybe(0.6, "hand", [true, true, false])
  end

  defp change(kinds, to) do
    [at, from, to] = Enum.map([~w(front around), kinds, to], &text(Enum.random(&1)))
    table(["at = #{at}", "from = #{from}", "to = #{to}" | maybe(0.7, "amount", [1, 2, 24, 300, 65_535])])
  end

  defp start(items) do
    kit = for item <- items, coin(0.8), do: {item, Enum.random([5, 20, 50, 200])}
    total = kit |> Enum.map(&elem(&1, 1)) |> Enum.sum()
    inventory = max(max(total, 1), Enum.random([10, 50, 200, 2_000, 60_000]))

    "start = { kit = #{table(for {item, n} <- kit, do: "#{item} = #{n}")}, inventory = #{inventory}, step = #{Enum.random(1..4)}, " <>
      "gather = #{Enum.random([1, 2, 8, 100])}, craft = #{Enum.random([1, 2, 5, 20])}, queue = #{Enum.random([1, 2, 4, 16])} }"
  end

  # Different items, as many as `sizes` says if there are, each with one of the counts.
  defp counts(items, sizes, counts) do
    table(for item <- Enum.take_random(items, Enum.random(sizes)), do: "#{item} = #{Enum.random(counts)}")
  end

  defp maybe(p, key, values), do: if(coin(p), do: ["#{key} = #{Enum.random(values)}"], else: [])

  defp coin(p), do: :rand.uniform() < p
  defp text(string), do: ~s("#{string}")
  defp list(items), do: "[#{Enum.join(items, ", ")}]"
  defp table(fields), do: "{ #{Enum.join(fields, ", ")} }"
end
