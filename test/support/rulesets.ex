defmodule GamePlatform.Rulesets do
  @moduledoc "Random rulesets within the whole schema, as TOML, and random cells for them."

  @doc "A ruleset text. Uses the process's random numbers: seed them with `:rand.seed/2`."
  def random do
    kinds = for n <- 1..Enum.random(1..8), do: "k#{n}"
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

  defp coin(p), do: :rand.uniform() < p
  defp text(string), do: ~s("#{string}")
  defp list(items), do: "[#{Enum.join(items, ", ")}]"
  defp table(fields), do: "{ #{Enum.join(fields, ", ")} }"
end
