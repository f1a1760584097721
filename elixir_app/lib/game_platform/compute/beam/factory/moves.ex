defmodule GamePlatform.Compute.Beam.Factory.Moves do
  @moduledoc false
  # The fourth phase: every machine that gives offers, every machine that is offered something grants one
  # offer, and what is granted moves. All on the state before it, so that nothing moves twice in a tick.

  alias GamePlatform.Compute.Beam.Factory.{Ground, Machine, Rules}

  def run(w, halted) do
    offers = for {cell, m} <- w.machines, cell not in halted, offer <- offers(w, halted, cell, m), do: offer

    for {to, offers} <- Enum.group_by(offers, & &1.to), reduce: w do
      changing -> move(changing, grant(w.machines[to], offers))
    end
  end

  # Of each port's wishes, in the order of its liking, the first whose target takes it.
  defp offers(w, halted, cell, m) do
    for wishes <- ports(w, m), offer = Enum.find_value(wishes, &offer(w, halted, cell, m, &1)), do: offer
  end

  # What may leave, as a list of ports; a port is a list of {place, side, item}.
  defp ports(w, %{does: :carry} = m), do: if(ready?(w, m), do: [[{:slot, m.direction, m.item}]], else: [])

  defp ports(w, %{does: :split} = m) do
    turns = for k <- 1..3, do: rem(m.turn + k, 3)
    if ready?(w, m), do: [for(turn <- turns, do: {{:slot, turn}, fork(m, turn), m.item})], else: []
  end

  defp ports(w, %{does: :sort} = m) do
    turns =
      cond do
        m.item == m.filter -> [1]
        m.turn == 0 -> [2, 0]
        true -> [0, 2]
      end

    if ready?(w, m), do: [for(turn <- turns, do: {{:slot, turn}, fork(m, turn), m.item})], else: []
  end

  defp ports(w, %{does: :cross, lanes: lanes}) do
    for {lane, slot} <- lanes,
        slot != nil and w.tick >= slot.ready,
        do: [{{:lane, lane}, slot.out_side, slot.item}]
  end

  defp ports(w, %{does: :craft, recipe: id} = m) when id != nil do
    recipe = Rules.recipe(w.rules, id)
    product = for {item, _} <- [recipe.out], m.out > 0, do: [{:out, m.direction, item}]
    by_product = for {item, _} <- [recipe.by], m.by > 0, do: [{:by, turned(m, 4), item}]
    product ++ by_product
  end

  defp ports(w, %{does: :store, filter: item} = m) when item != nil do
    if Map.has_key?(m.items, item) and w.tick >= m.ready,
      do: [[{{:stock, item}, m.direction, item}]],
      else: []
  end

  defp ports(_, _), do: []

  defp ready?(w, m), do: m.item != nil and w.tick >= m.ready

  # The sides of a fork: 0 left, 1 front, 2 right.
  defp fork(m, 0), do: turned(m, 1)
  defp fork(m, 1), do: m.direction
  defp fork(m, 2), do: turned(m, 5)

  defp turned(m, by), do: rem(m.direction + by, 6)

  defp offer(w, halted, cell, m, {place, side, item}) do
    to = elem(m.around, side)

    with %{^to => taker} <- w.machines,
         true <- to not in halted and Ground.reach?(w, cell, to),
         # The taker's own side: across a seam it is not the opposite one.
         at = Enum.find_index(Tuple.to_list(taker.around), &(&1 == cell)),
         true <- accepts?(w, taker, at, item) do
      %{from: cell, place: place, to: to, side: at, item: item}
    else
      _ -> nil
    end
  end

  defp accepts?(w, m, side, item), do: open?(w, m, side) and room?(w, m, side, item)

  # A machine takes nothing at a side it gives to.
  defp open?(_, %{does: :carry} = m, side), do: side != m.direction

  defp open?(_, %{does: does} = m, side) when does in [:split, :sort],
    do: rem(side - m.direction + 6, 6) in 2..4

  defp open?(_, %{does: :store} = m, side), do: m.filter == nil or side != m.direction

  defp open?(w, %{does: :craft, recipe: id} = m, side) when id != nil do
    recipe = Rules.recipe(w.rules, id)
    not (recipe.out != nil and side == m.direction) and not (recipe.by != nil and side == turned(m, 4))
  end

  defp open?(_, _, _), do: true

  defp room?(_, %{does: does} = m, _, _) when does in [:carry, :split, :sort], do: m.item == nil
  defp room?(_, %{does: :cross} = m, side, _), do: m.lanes[rem(side, 3)] == nil
  defp room?(w, m, _, item), do: Machine.put(w.rules, m, item, :belt) != nil

  # Every machine begins one side after the one it granted last.
  defp grant(taker, offers) do
    Enum.find_value(1..6, fn k -> Enum.find(offers, &(&1.side == rem(taker.side + k, 6))) end)
  end

  defp move(w, %{from: from, to: to} = offer) do
    machines =
      w.machines
      |> Map.update!(from, &give(w, &1, offer.place))
      |> Map.update!(to, &receive_item(w, %{&1 | side: offer.side}, offer))

    %{w | machines: machines}
  end

  # What a sorter lets ahead does not count as a turn.
  defp give(_, %{does: :sort} = m, {:slot, 1}), do: Machine.drain(m, :slot, 1)
  defp give(_, m, {:slot, turn}), do: %{Machine.drain(m, :slot, 1) | turn: turn}
  defp give(w, m, {:stock, _} = place), do: %{Machine.drain(m, place, 1) | ready: w.tick + hold(w, m) + 1}
  defp give(_, m, place), do: Machine.drain(m, place, 1)

  defp receive_item(w, %{does: does} = m, %{item: item}) when does in [:carry, :split, :sort],
    do: %{m | item: item, ready: w.tick + hold(w, m)}

  defp receive_item(w, %{does: :cross} = m, %{item: item, side: side}) do
    slot = %{item: item, out_side: rem(side + 3, 6), ready: w.tick + hold(w, m)}
    put_in(m.lanes[rem(side, 3)], slot)
  end

  defp receive_item(w, m, %{item: item}), do: Machine.put(w.rules, m, item, :belt)

  defp hold(w, m), do: Rules.prototype(w.rules, m.prototype).hold
end
