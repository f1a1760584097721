defmodule GamePlatform.Compute.Beam.Factory.Players do
  @moduledoc false
  # Players: by number, from 1.

  alias GamePlatform.Compute.Beam.Factory.{Bag, Rules}

  # A known name stays as it is.
  def join(w, %{name: name}) when is_map_key(w.numbers, name), do: w

  def join(w, %{name: name, cell: cell}) do
    number = map_size(w.players) + 1

    player = %{
      number: number,
      name: name,
      position: cell,
      home: cell,
      claims: 0,
      inventory: w.rules.kit,
      # The body action under way, as %{body, ends, n}, and those after it.
      playing: nil,
      queue: [],
      # Results ever, and the last ones by slot.
      results: 0,
      kept: %{}
    }

    %{w | players: Map.put(w.players, number, player), numbers: Map.put(w.numbers, name, number)}
  end

  def in_order(w), do: w.players |> Enum.sort() |> Enum.map(&elem(&1, 1))

  def has?(w, number, items), do: Bag.holds?(w.players[number].inventory, items)
  def pay(w, number, items), do: update_in(w.players[number].inventory, &Bag.minus(&1, items))
  def receive_items(w, number, items), do: update_in(w.players[number].inventory, &Bag.merge(&1, items))

  # How many items more the inventory takes: what the hands are at has its room.
  def free(w, number) do
    player = w.players[number]
    w.rules.inventory - Bag.total(player.inventory) - reserved(w.rules, player.playing)
  end

  defp reserved(_, nil), do: 0
  defp reserved(_, %{body: %{op: :move}}), do: 0
  defp reserved(_, %{body: %{op: :gather}, n: n}), do: n
  defp reserved(rules, %{body: %{op: :craft} = body}), do: Bag.total(outputs(rules, body))

  def inputs(rules, %{arg: recipe, count: count}),
    do: rules |> Rules.recipe(recipe) |> Map.fetch!(:inputs) |> Map.new() |> Bag.times(count)

  def outputs(rules, %{arg: id, count: count}) do
    recipe = Rules.recipe(rules, id)
    pairs = for {_, _} = pair <- [recipe.out, recipe.by], do: pair
    Enum.reduce(pairs, %{}, fn {item, n}, bag -> Bag.add(bag, item, n * count) end)
  end
end
