defmodule GamePlatform.Compute.Beam.Factory.Machines do
  @moduledoc false
  # The first three phases: dynamos light up, crafts work, crafts start. In each, all machines act at once
  # on what the phase before has left, so their order does not matter. `halted` are the cells of the
  # machines that stand in fire.

  alias GamePlatform.Compute.Beam.Factory.{Ground, Machine, Rules}

  # A by-product is kept for so many crafts, and a craft starts only with room for its product of as many.
  @crafts_kept 10

  # Fire is looked at once: what a sprinkler quenches in a tick still halts in it.
  def halted(%{rules: %{fire: nil}}), do: MapSet.new()

  def halted(w) do
    for {cell, _} <- w.machines, Ground.kind(w, cell) == w.rules.fire, into: MapSet.new(), do: cell
  end

  def run(w, halted) do
    {w, on} = light(w, halted)
    w |> work(halted, on) |> start(halted)
  end

  # 1. The machines after it, and the cells of the dynamos that are on.
  defp light(w, halted) do
    dynamos =
      for {cell, %{does: :drive} = m} <- w.machines, cell not in halted do
        m =
          if m.burn == 0 and m.fuel_count > 0 and wanted?(w, halted, cell, m),
            do: Machine.light(w.rules, m),
            else: m

        {cell, m}
      end

    on = for {cell, %{burn: burn} = m} <- dynamos, burn > 0, do: {cell, %{m | burn: burn - 1}}

    {%{w | machines: w.machines |> Map.merge(Map.new(dynamos)) |> Map.merge(Map.new(on))},
     MapSet.new(on, &elem(&1, 0))}
  end

  defp wanted?(w, halted, cell, dynamo) do
    Enum.any?(Tuple.to_list(dynamo.around), fn neighbour ->
      case w.machines do
        %{^neighbour => %{does: :craft} = m} ->
          Rules.prototype(w.rules, m.prototype).drive and working?(w, m) and neighbour not in halted and
            Ground.reach?(w, cell, neighbour)

        _ ->
          false
      end
    end)
  end

  defp working?(_, %{progress: nil}), do: false
  defp working?(w, m), do: m.progress < Rules.recipe(w.rules, m.recipe).time

  # 2.
  defp work(w, halted, on) do
    worked =
      for {cell, %{does: :craft} = m} <- w.machines, cell not in halted, working?(w, m), into: %{} do
        {cell, work_one(w, cell, m, on)}
      end

    %{w | machines: Map.merge(w.machines, worked)}
  end

  defp work_one(w, cell, m, on) do
    {work, m} = power(w, cell, m, on)
    recipe = Rules.recipe(w.rules, m.recipe)
    m = %{m | progress: min(m.progress + work, recipe.time)}
    # A recipe that changes the field ends when its cell grants it, in the next phase.
    if m.progress == recipe.time and recipe.field == nil, do: finish(m, recipe), else: m
  end

  # How much work is done, and the machine with what that burns.
  defp power(w, cell, m, on) do
    prototype = Rules.prototype(w.rules, m.prototype)

    cond do
      not prototype.burns -> {prototype.wind + if(prototype.drive, do: drive(w, cell, m, on), else: 0), m}
      hot?(w, m) -> {1, m}
      m.burn == 0 and m.fuel_count > 0 -> burn(Machine.light(w.rules, m))
      true -> burn(m)
    end
  end

  defp burn(%{burn: 0} = m), do: {0, m}
  defp burn(m), do: {1, %{m | burn: m.burn - 1}}

  defp drive(w, cell, m, on) do
    min(2, Enum.count(Tuple.to_list(m.around), &(&1 in on and Ground.reach?(w, &1, cell))))
  end

  defp hot?(w, m) do
    w.rules.fire != nil and Enum.any?(Tuple.to_list(m.around), &(Ground.kind(w, &1) == w.rules.fire))
  end

  # What does not fit of a by-product is spilt, so that it never stops a machine.
  defp finish(m, recipe) do
    {_, product} = recipe.out
    {_, by_product} = recipe.by || {nil, 0}
    kept = min(by_product, @crafts_kept * by_product - m.by)

    %{
      m
      | progress: nil,
        out: m.out + product,
        by: m.by + kept,
        made: Machine.wrap(m.made + 1),
        spilt: Machine.wrap(m.spilt + by_product - kept)
    }
  end

  # 3. What asks the field, then what does not.
  defp start(w, halted) do
    asks = for {cell, m} <- w.machines, cell not in halted, asked = asks(w, cell, m), do: {asked, cell}

    w =
      for {asked, askers} <- Enum.group_by(asks, &elem(&1, 0), &elem(&1, 1)), reduce: w do
        w -> grant(w, asked, first(w, asked, askers))
      end

    started =
      for {cell, %{does: :craft} = m} <- w.machines,
          cell not in halted,
          started = start_one(w, m),
          into: %{} do
        {cell, started}
      end

    %{w | machines: Map.merge(w.machines, started)}
  end

  # The cell that a machine asks, or nil.
  defp asks(w, cell, %{does: :craft, recipe: id} = m) when id != nil do
    case Rules.recipe(w.rules, id) do
      %{field: %{} = field, time: time} when m.progress == time ->
        cells = if field.around, do: [cell | Tuple.to_list(m.around)], else: [elem(m.around, m.direction)]
        Enum.find(cells, &(Ground.kind(w, &1) == field.from and theirs?(w, cell, &1)))

      %{harvest: kind} = recipe when kind != nil and m.progress == nil ->
        if room?(m, recipe),
          do: Enum.find([cell | Tuple.to_list(m.around)], &harvestable?(w, cell, &1, recipe))

      _ ->
        nil
    end
  end

  defp asks(_, _, _), do: nil

  # A machine changes only its owner's cells that touch no other's.
  defp theirs?(w, cell, target) do
    owner = Ground.owner(w, cell)
    Ground.owner(w, target) == owner and not Ground.beside_foreign?(w, target, owner)
  end

  defp harvestable?(w, cell, target, recipe) do
    least = if recipe.last, do: 1, else: 2

    Ground.kind(w, target) == recipe.harvest and
      (w.rules.harvests[recipe.harvest].free or Ground.amount(w, target) >= least) and
      (Ground.owner(w, target) == 0 or Ground.reach?(w, cell, target))
  end

  # Of those that ask a cell the first by slots, from one that moves on with every tick. Slots 0 to 5
  # are the directions, 6 is the machine on the cell itself.
  defp first(w, asked, askers) do
    slots = Ground.neighbours(w, asked) ++ [asked]
    Enum.find_value(0..6, fn k -> Enum.find(askers, &(&1 == Enum.at(slots, rem(w.tick + k, 7)))) end)
  end

  defp grant(w, asked, cell) do
    m = w.machines[cell]

    case Rules.recipe(w.rules, m.recipe) do
      %{field: nil} ->
        w = Ground.harvest(w, asked, 1)
        put_in(w.machines[cell], %{m | progress: 0})

      %{field: %{to: to, amount: amount}} ->
        w = Ground.set_cell(w, asked, to, amount || Ground.amount(w, asked))
        put_in(w.machines[cell], %{m | progress: nil, made: Machine.wrap(m.made + 1)})
    end
  end

  # The machine with its inputs taken in, or nil.
  defp start_one(w, %{progress: nil, recipe: id} = m) when id != nil do
    with %{harvest: nil} = recipe <- Rules.recipe(w.rules, id),
         true <- room?(m, recipe),
         wanted = Enum.zip(recipe.inputs, m.inputs),
         true <- Enum.all?(wanted, fn {{_, need}, count} -> count >= need end) do
      %{m | progress: 0, inputs: for({{_, need}, count} <- wanted, do: count - need)}
    else
      _ -> nil
    end
  end

  defp start_one(_, _), do: nil

  defp room?(_, %{out: nil}), do: true
  defp room?(m, %{out: {_, count}}), do: m.out + count <= @crafts_kept * count
end
