defmodule GamePlatform.Compute.Beam.Factory.Bodies do
  @moduledoc false
  # Actions that keep a player's body busy: move, gather, craft. One is played at a time, the others wait;
  # each is checked when it begins, and a gather once more when it ends.

  import GamePlatform.Compute.Beam.Factory.Check
  alias GamePlatform.Compute.Beam.Factory.{Bag, Ground, Players, Results, Rules}

  # Those due in this tick, players by number.
  def finish(w) do
    due = for %{number: number, playing: %{ends: ends}} <- Players.in_order(w), ends == w.tick, do: number
    Enum.reduce(due, w, &finish(&2, &1))
  end

  defp finish(w, number) do
    %{body: body} = playing = w.players[number].playing
    w = put_in(w.players[number].playing, nil)

    {w, answer} =
      case finished(w, number, playing) do
        {:ok, w} -> {w, :applied}
        {:refused, answer} -> {w, answer}
      end

    w |> Results.add(number, body.id, answer) |> play(number)
  end

  def take_in(w, number, action) do
    %{playing: playing, queue: queue} = w.players[number]
    unfinished = length(queue) + if(playing, do: 1, else: 0)

    if unfinished >= w.rules.queue do
      Results.add(w, number, action.id, :queue_full)
    else
      w = put_in(w.players[number].queue, queue ++ [body(action)])
      play(w, number)
    end
  end

  defp body(%{op: :craft, recipe: recipe, count: count, id: id}),
    do: %{op: :craft, arg: recipe, count: count, id: id}

  defp body(%{op: op, cell: cell, id: id}), do: %{op: op, arg: cell, count: 0, id: id}

  # Begins the first of the queue that can begin.
  defp play(w, number) do
    case w.players[number] do
      %{playing: nil, queue: [body | queue]} ->
        w = put_in(w.players[number].queue, queue)

        case begin(w, number, body) do
          {:ok, w, ticks, n} ->
            put_in(w.players[number].playing, %{body: body, ends: w.tick + ticks, n: n})

          {:refused, answer} ->
            w |> Results.add(number, body.id, answer) |> play(number)
        end

      _ ->
        w
    end
  end

  # {:ok, w, how many ticks it takes, how many units}
  defp begin(w, number, %{op: :move, arg: cell}) do
    here = w.players[number].position
    with :ok <- refuse(cell not in Ground.neighbours(w, here), :not_adjacent), do: {:ok, w, w.rules.step, 0}
  end

  defp begin(w, number, %{op: :gather, arg: cell}) do
    harvest = by_hand(w, cell)

    with :ok <- need_near(w, number, cell),
         :ok <- need_free_or_rights(w, number, cell),
         :ok <- refuse(harvest == nil, :not_harvestable),
         n = min(w.rules.gather, left(w, cell, harvest)),
         :ok <- refuse(n <= 0, :empty),
         n = min(n, Players.free(w, number)),
         :ok <- refuse(n <= 0, :inventory_full) do
      {:ok, w, n * harvest.hand, n}
    end
  end

  defp begin(w, number, %{op: :craft, arg: recipe, count: count} = body) do
    inputs = Players.inputs(w.rules, body)

    with :ok <- refuse(not Rules.recipe(w.rules, recipe).hand, :not_by_hand),
         :ok <- refuse(not Players.has?(w, number, inputs), :missing_items),
         w = Players.pay(w, number, inputs),
         :ok <- refuse(Bag.total(Players.outputs(w.rules, body)) > Players.free(w, number), :inventory_full) do
      {:ok, w, count * w.rules.craft, count}
    end
  end

  defp finished(w, number, %{body: %{op: :move, arg: cell}}),
    do: {:ok, put_in(w.players[number].position, cell)}

  # Machines and other players may have taken of the cell meanwhile.
  defp finished(w, number, %{body: %{op: :gather, arg: cell}, n: n}) do
    harvest = by_hand(w, cell)

    with :ok <- refuse(harvest == nil, :empty),
         :ok <- need_free_or_rights(w, number, cell),
         n = min(n, left(w, cell, harvest)),
         :ok <- refuse(n <= 0, :empty) do
      {:ok, w |> Ground.harvest(cell, n) |> Players.receive_items(number, %{harvest.item => n})}
    end
  end

  defp finished(w, number, %{body: %{op: :craft} = body}),
    do: {:ok, Players.receive_items(w, number, Players.outputs(w.rules, body))}

  # How the cell's kind is gathered with hands; nil: not.
  defp by_hand(w, cell) do
    case w.rules.harvests[Ground.kind(w, cell)] do
      %{hand: hand} = harvest when hand > 0 -> harvest
      _ -> nil
    end
  end

  # Hands leave the last unit.
  defp left(_, _, %{free: true}), do: :infinity
  defp left(w, cell, _), do: Ground.amount(w, cell) - 1

  defp need_free_or_rights(w, number, cell) do
    refuse(Ground.owner(w, cell) != 0 and not Ground.rights?(w, cell, number), :not_yours)
  end
end
