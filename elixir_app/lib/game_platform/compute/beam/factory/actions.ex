defmodule GamePlatform.Compute.Beam.Factory.Actions do
  @moduledoc false
  # Actions of a batch, one after another. What is refused changes nothing but leaves a result. Those of
  # the body take time and wait in the player's queue; all others are done at once.

  import GamePlatform.Compute.Beam.Factory.Check
  alias GamePlatform.Compute.Beam.Factory.{Bag, Bodies, Claims, Ground, Machine, Players, Results, Rules}

  def run(w, %{op: :join} = action), do: Players.join(w, action)

  def run(w, %{name: name, id: id} = action) do
    with %{^name => number} <- w.numbers,
         false <- Results.known?(w.players[number], id) do
      run(w, number, action)
    else
      _ -> w
    end
  end

  defp run(w, number, %{op: op} = action) when op in [:move, :gather, :craft],
    do: Bodies.take_in(w, number, action)

  defp run(w, number, %{id: id} = action) do
    case act(w, number, action) do
      {:ok, w} -> Results.add(w, number, id, :applied)
      {:refused, answer} -> Results.add(w, number, id, answer)
    end
  end

  defp act(w, number, %{op: :claim} = action), do: Claims.claim(w, number, action)
  defp act(w, number, %{op: :release} = action), do: Claims.release(w, number, action)
  defp act(w, number, %{op: :grant} = action), do: Claims.grant(w, number, action)

  defp act(w, number, %{op: :place, cell: cell} = action) do
    new? = Ground.owner(w, cell) == 0
    cost = Rules.prototype(w.rules, action.prototype).cost
    cost = if new?, do: Bag.merge(cost, Claims.price(w, number)), else: cost

    with :ok <- Claims.claimable(w, cell),
         :ok <- if(new?, do: may_annex(w, number, cell), else: may_build(w, number, cell)),
         :ok <- refuse(not Players.has?(w, number, cost), :missing_items) do
      w = Players.pay(w, number, cost)
      w = if new?, do: Claims.give(w, number, cell), else: w
      {:ok, put_in(w.machines[cell], new_machine(w, action))}
    end
  end

  defp act(w, number, %{op: :remove, cell: cell}) do
    with :ok <- need_rights(w, number, cell),
         {:ok, m} <- need_machine(w, cell),
         all = Bag.merge(Rules.prototype(w.rules, m.prototype).cost, Machine.contents(w.rules, m)),
         {:ok, w} <- give_owner(w, cell, all) do
      {:ok, %{w | machines: Map.delete(w.machines, cell)}}
    end
  end

  defp act(w, number, %{op: :rotate, cell: cell, direction: direction}) do
    with :ok <- need_rights(w, number, cell),
         {:ok, m} <- need_machine(w, cell) do
      {:ok, put_in(w.machines[cell], %{m | direction: direction})}
    end
  end

  defp act(w, number, %{op: :set_recipe, cell: cell} = action) do
    with :ok <- need_rights(w, number, cell),
         {:ok, m} <- need_machine(w, cell),
         do: set_recipe(w, cell, m, action)
  end

  defp act(w, number, %{op: :take, cell: cell, item: item, count: count}) do
    with :ok <- need_near(w, number, cell),
         :ok <- need_rights(w, number, cell),
         {:ok, m} <- need_machine(w, cell),
         :ok <- refuse(Machine.available(w.rules, m, item) < count, :not_enough),
         :ok <- refuse(Players.free(w, number) < count, :inventory_full) do
      w = put_in(w.machines[cell], Machine.take(w.rules, m, item, count))
      {:ok, Players.receive_items(w, number, %{item => count})}
    end
  end

  defp act(w, number, %{op: :put, cell: cell, item: item, count: count}) do
    with :ok <- need_near(w, number, cell),
         :ok <- need_rights(w, number, cell),
         {:ok, m} <- need_machine(w, cell),
         :ok <- refuse(not Players.has?(w, number, %{item => count}), :not_enough),
         :ok <- refuse(not Machine.takes?(w.rules, m, item), :not_accepted),
         {:ok, m} <- put_pieces(w, m, item, count) do
      {:ok, Players.pay(put_in(w.machines[cell], m), number, %{item => count})}
    end
  end

  defp put_pieces(_, nil, _, _), do: {:refused, :full}
  defp put_pieces(_, m, _, 0), do: {:ok, m}
  defp put_pieces(w, m, item, count), do: put_pieces(w, Machine.put(w.rules, m, item, :hand), item, count - 1)

  # A cell of nobody beside one's own, claimed with the machine.
  defp may_annex(w, number, cell) do
    with :ok <- refuse(Ground.beside_foreign?(w, cell, number, true), :touches_foreign),
         do: refuse(not Ground.beside_mine?(w, cell, number), :not_adjacent)
  end

  defp may_build(w, number, cell) do
    with :ok <- need_rights(w, number, cell), do: refuse(is_map_key(w.machines, cell), :occupied)
  end

  defp new_machine(w, %{cell: cell, prototype: prototype, direction: direction}) do
    around = Ground.neighbours(w, cell)
    recipe = Rules.prototype(w.rules, prototype).default || richest(w, prototype, [cell | around])
    Machine.new(w.rules, prototype, direction, recipe, around)
  end

  # What a machine that gathers from the field begins with: that of which there is most around, else
  # something that never runs out.
  defp richest(w, prototype, cells) do
    recipes = for id <- Rules.harvesting(w.rules, prototype), do: {Rules.recipe(w.rules, id).harvest, id}
    {free, others} = Enum.split_with(recipes, fn {kind, _} -> w.rules.harvests[kind].free end)

    totals =
      for {kind, id} <- others,
          total = Enum.sum(for(cell <- cells, Ground.kind(w, cell) == kind, do: Ground.amount(w, cell))),
          total > 0,
          do: {-total, kind, id}

    case {Enum.sort(totals), free} do
      {[{_, _, id} | _], _} -> id
      {[], [{_, id} | _]} -> id
      {[], []} -> nil
    end
  end

  defp set_recipe(w, _, %{does: :craft, recipe: same}, %{recipe: same, item: item})
       when same != nil or item == nil,
       do: {:ok, w}

  defp set_recipe(w, cell, %{does: :craft} = m, %{recipe: recipe, item: item}) do
    # A name that is an item's and no recipe's comes as item alone.
    wrong? = if recipe, do: Rules.recipe(w.rules, recipe).at != m.prototype, else: item != nil

    with :ok <- refuse(wrong?, :wrong_recipe),
         {:ok, w} <- give_owner(w, cell, Machine.load(w.rules, m)) do
      {:ok, put_in(w.machines[cell], Machine.set_recipe(m, w.rules, recipe))}
    end
  end

  defp set_recipe(w, cell, %{does: does} = m, %{recipe: recipe, item: item}) when does in [:sort, :store] do
    with :ok <- refuse(recipe != nil and item == nil, :wrong_recipe),
         do: {:ok, put_in(w.machines[cell], %{m | filter: item})}
  end

  defp set_recipe(_, _, _, _), do: {:refused, :wrong_recipe}

  defp give_owner(w, cell, items) do
    owner = Ground.owner(w, cell)

    with :ok <- refuse(Players.free(w, owner) < Bag.total(items), :inventory_full),
         do: {:ok, Players.receive_items(w, owner, items)}
  end
end
