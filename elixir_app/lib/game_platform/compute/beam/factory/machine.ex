defmodule GamePlatform.Compute.Beam.Factory.Machine do
  @moduledoc false
  # One machine: what it holds and what it takes. `does` and `around` (its cell's neighbours) follow from
  # prototype and cell and are kept to have them at hand; all else is state. nil is "none", and idle.

  alias GamePlatform.Compute.Beam.Factory.{Bag, Rules}

  # How much a craft takes: pieces of fuel, and of an ingredient for so many crafts.
  @limits %{belt: {4, 2}, hand: {20, 20}}

  def new(rules, prototype, direction, recipe, around) do
    %{does: does} = Rules.prototype(rules, prototype)

    %{prototype: prototype, direction: direction, side: 5, does: does, around: List.to_tuple(around)}
    |> Map.merge(empty(does))
    |> set_recipe(rules, recipe)
  end

  defp empty(:carry), do: %{item: nil, ready: 0}
  defp empty(:split), do: %{item: nil, ready: 0, turn: 2}
  defp empty(:sort), do: %{item: nil, ready: 0, turn: 2, filter: nil}
  # Lane a joins the sides a and a + 3.
  defp empty(:cross), do: %{lanes: %{0 => nil, 1 => nil, 2 => nil}}
  defp empty(:store), do: %{filter: nil, ready: 0, items: %{}}
  defp empty(:drive), do: %{fuel: nil, fuel_count: 0, burn: 0, lit: 0}
  defp empty(:craft), do: Map.merge(empty(:drive), %{made: 0, spilt: 0})

  # A craft with a new recipe, idle and empty but for its fuel. Counters stay.
  def set_recipe(%{does: :craft} = m, rules, recipe) do
    inputs = if recipe, do: Enum.map(Rules.recipe(rules, recipe).inputs, fn _ -> 0 end), else: []
    Map.merge(m, %{recipe: recipe, progress: nil, inputs: inputs, out: 0, by: 0})
  end

  def set_recipe(m, _, nil), do: m

  # What can be taken out, in the order in which it is: [{place, item, count}].
  def pieces(_, %{does: does, item: item}) when does in [:carry, :split, :sort],
    do: for(item <- [item], item != nil, do: {:slot, item, 1})

  def pieces(_, %{does: :cross, lanes: lanes}),
    do: for(lane <- 0..2, slot = lanes[lane], do: {{:lane, lane}, slot.item, 1})

  def pieces(_, %{does: :store, items: items}),
    do: for({item, count} <- Enum.sort(items), do: {{:stock, item}, item, count})

  def pieces(_, %{does: :drive} = m), do: fuel(m)

  def pieces(rules, %{does: :craft} = m) do
    recipe = Rules.recipe(rules, m.recipe) || %{out: nil, by: nil, inputs: []}
    inputs = recipe.inputs |> Enum.zip(m.inputs) |> Enum.with_index()

    product = for {item, _} <- [recipe.out], do: {:out, item, m.out}
    by_product = for {item, _} <- [recipe.by], do: {:by, item, m.by}
    product ++ by_product ++ for({{{item, _}, count}, i} <- inputs, do: {{:input, i}, item, count}) ++ fuel(m)
  end

  defp fuel(%{fuel: nil}), do: []
  defp fuel(%{fuel: item, fuel_count: count}), do: [{:fuel, item, count}]

  # All that is inside, what a craft under way has taken in included.
  def contents(rules, m), do: Bag.merge(bag(pieces(rules, m)), in_progress(rules, m))

  # The same without fuel: what does not survive a change of recipe.
  def load(rules, m) do
    load = for {place, _, _} = piece <- pieces(rules, m), place != :fuel, do: piece
    Bag.merge(bag(load), in_progress(rules, m))
  end

  defp bag(pieces), do: Enum.reduce(pieces, %{}, fn {_, item, count}, bag -> Bag.add(bag, item, count) end)

  # A harvest has taken nothing in: its recipe has no inputs.
  defp in_progress(rules, %{does: :craft, progress: progress} = m) when progress != nil,
    do: Map.new(Rules.recipe(rules, m.recipe).inputs)

  defp in_progress(_, _), do: %{}

  def available(rules, m, item), do: Enum.sum(for {_, ^item, count} <- pieces(rules, m), do: count)

  # Without `count` pieces of an item, of which there are enough.
  def take(rules, m, item, count) do
    {m, 0} =
      for {place, ^item, held} <- pieces(rules, m), reduce: {m, count} do
        {m, wanted} -> {drain(m, place, min(held, wanted)), wanted - min(held, wanted)}
      end

    m
  end

  def drain(m, _, 0), do: m
  def drain(m, :slot, 1), do: %{m | item: nil, ready: 0}
  def drain(m, {:lane, lane}, 1), do: put_in(m.lanes[lane], nil)
  def drain(m, {:stock, item}, count), do: %{m | items: Bag.minus(m.items, %{item => count})}
  def drain(m, :out, count), do: %{m | out: m.out - count}
  def drain(m, :by, count), do: %{m | by: m.by - count}
  def drain(m, {:input, i}, count), do: %{m | inputs: List.update_at(m.inputs, i, &(&1 - count))}
  def drain(%{fuel_count: count} = m, :fuel, count), do: %{m | fuel: nil, fuel_count: 0}
  def drain(m, :fuel, count), do: %{m | fuel_count: m.fuel_count - count}

  # A piece of fuel begins to burn.
  def light(rules, m) do
    m = %{m | burn: Rules.burns(rules, m.fuel), lit: wrap(m.lit + 1)}
    drain(m, :fuel, 1)
  end

  # Counters have 32 bits.
  def wrap(count), do: rem(count, 0x1_0000_0000)

  # Whether hands can ever put this item in.
  def takes?(_, %{does: :store}, _), do: true
  def takes?(rules, %{does: :drive}, item), do: Rules.burns(rules, item) > 0
  def takes?(rules, %{does: :craft} = m, item), do: fuel?(rules, m, item) or ingredient(rules, m, item) != nil
  def takes?(_, _, _), do: false

  # With one piece more in a store, dynamo or craft; nil if it does not fit. `by` is :belt or :hand.
  def put(rules, %{does: :store} = m, item, _) do
    if Bag.total(m.items) < Rules.prototype(rules, m.prototype).room,
      do: %{m | items: Bag.add(m.items, item, 1)}
  end

  def put(rules, %{does: :drive} = m, item, by) do
    {fuel_limit, _} = @limits[by]
    if Rules.burns(rules, item) > 0, do: add_fuel(m, item, fuel_limit)
  end

  # What is fuel and ingredient keeps the fire alive first, then is an ingredient, then a store of fuel.
  def put(rules, %{does: :craft} = m, item, by) do
    {fuel_limit, crafts} = @limits[by]
    fuel? = fuel?(rules, m, item)

    (fuel? && m.fuel_count == 0 && add_fuel(m, item, fuel_limit)) ||
      add_ingredient(rules, m, item, crafts) ||
      if(fuel?, do: add_fuel(m, item, fuel_limit))
  end

  defp fuel?(rules, m, item), do: Rules.prototype(rules, m.prototype).burns and Rules.burns(rules, item) > 0

  defp add_fuel(%{fuel: fuel} = m, item, limit) do
    if fuel in [nil, item] and m.fuel_count < limit, do: %{m | fuel: item, fuel_count: m.fuel_count + 1}
  end

  defp add_ingredient(rules, m, item, crafts) do
    with {i, need} <- ingredient(rules, m, item),
         limit = max(crafts * need, Rules.prototype(rules, m.prototype).buffer),
         true <- Enum.at(m.inputs, i) < limit do
      %{m | inputs: List.update_at(m.inputs, i, &(&1 + 1))}
    else
      _ -> nil
    end
  end

  # Which ingredient an item is, and how many a craft needs; nil: none.
  defp ingredient(_, %{recipe: nil}, _), do: nil

  defp ingredient(rules, m, item) do
    inputs = Enum.with_index(Rules.recipe(rules, m.recipe).inputs)
    Enum.find_value(inputs, fn {{wanted, need}, i} -> if wanted == item, do: {i, need} end)
  end
end
