defmodule GamePlatform.Compute.Beam.Factory.Rules do
  @moduledoc false
  # A ruleset's economy with its lists as tuples, so that ids look things up.

  @does %{
    "carry" => :carry,
    "split" => :split,
    "sort" => :sort,
    "cross" => :cross,
    "craft" => :craft,
    "drive" => :drive,
    "store" => :store
  }

  def new(%{"economy" => economy, "kinds" => kinds}) do
    start = economy["start"]
    claim = economy["claim"]

    %{
      fire: economy["fire"],
      # What a kind becomes when nothing of it is left.
      spent: tuple(kinds, & &1["spent"]),
      burns: tuple(economy["items"], & &1["burns"]),
      harvests: Map.new(economy["harvests"], &{&1["kind"], harvest(&1)}),
      prototypes: tuple(economy["prototypes"], &prototype/1),
      recipes: tuple(economy["recipes"], &recipe/1),
      kit: bag(start["kit"]),
      inventory: start["inventory"],
      step: start["step"],
      gather: start["gather"],
      craft: start["craft"],
      queue: start["queue"],
      claim: %{item: claim["item"], base: claim["base"], every: claim["every"]},
      gap: claim["gap"],
      estates: claim["estates"]
    }
  end

  def prototype(rules, id), do: elem(rules.prototypes, id)

  def recipe(_, nil), do: nil
  def recipe(rules, id), do: elem(rules.recipes, id)

  # For how many ticks a piece burns; 0: it is no fuel.
  def burns(rules, item), do: elem(rules.burns, item)

  # The ids of the recipes that gather from the field with this prototype, in order.
  def harvesting(rules, prototype) do
    for {%{at: ^prototype, harvest: kind}, id} when kind != nil <-
          Enum.with_index(Tuple.to_list(rules.recipes)),
        do: id
  end

  defp tuple(list, fun), do: list |> Enum.map(fun) |> List.to_tuple()
  defp bag(pairs), do: Map.new(pairs, fn [item, count] -> {item, count} end)
  defp pair(nil), do: nil
  defp pair([item, count]), do: {item, count}

  defp harvest(%{"item" => item, "hand" => hand, "free" => free}), do: %{item: item, hand: hand, free: free}

  defp prototype(terms) do
    %{
      does: Map.fetch!(@does, terms["does"]),
      hold: terms["hold"],
      wind: terms["wind"],
      drive: terms["drive"],
      burns: terms["burns"],
      buffer: terms["buffer"],
      room: terms["room"],
      default: terms["default"],
      cost: bag(terms["cost"])
    }
  end

  defp recipe(terms) do
    %{
      at: terms["at"],
      time: terms["time"],
      inputs: Enum.map(terms["inputs"], &pair/1),
      out: pair(terms["out"]),
      by: pair(terms["by"]),
      harvest: terms["harvest"],
      last: terms["last"],
      field: field(terms["field"]),
      hand: terms["hand"]
    }
  end

  defp field(nil), do: nil

  defp field(terms),
    do: %{around: terms["around"], from: terms["from"], to: terms["to"], amount: terms["amount"]}
end
