defmodule GamePlatform.Compute.Pending.Plan do
  @moduledoc false
  # What a player's body has to do: what is played, the queue, and what is pending. When each part ends is told as
  # things stand: it is an estimate, because the fields may change until then.

  @move 1
  @gather 2

  defstruct [:world, :backend, :playing, :queue, :pending]

  @doc "`player` is `:joining` as long as the join is pending; `bodies` are pending actions with their ticks."
  def new(world, backend, player, bodies) do
    {playing, queue} = if is_map(player), do: {player.playing, player.queue}, else: {nil, []}
    %__MODULE__{world: world, backend: backend, playing: playing, queue: queue, pending: bodies}
  end

  @doc "Whether there is as much as a queue holds."
  def full?(%{world: %{index: %{start: %{"queue" => most}}}} = plan),
    do: length(plan.queue) + length(plan.pending) + if(plan.playing, do: 1, else: 0) >= most

  @doc "The tick that first shows the end of an action which begins at `due` at the soonest."
  def ends(plan, action, due) do
    {ends, _} = entries(%{plan | pending: plan.pending ++ [{action, due}]})
    ends + 1
  end

  @doc "The same for an action that is played or queued, or nil."
  def tick(plan, id) do
    if (plan.playing && plan.playing.id == id) || Enum.any?(plan.queue, &(&1.id == id)) do
      {_, entries} = entries(%{plan | pending: []})
      {^id, ends} = List.keyfind(entries, id, 0)
      ends + 1
    end
  end

  # One after another, the last one first.
  defp entries(plan) do
    first = if plan.playing, do: {plan.playing.ends, [{plan.playing.id, plan.playing.ends}]}, else: {0, []}
    waiting = Enum.map(plan.queue, &{&1, 0}) ++ plan.pending

    for {action, due} <- waiting, reduce: first do
      {ends, entries} ->
        ends = max(ends, due) + lasts(plan, action)
        {ends, [{action.id, ends} | entries]}
    end
  end

  defp lasts(%{world: %{index: %{start: start}}} = plan, action) do
    case action.op do
      @move -> start["step"]
      @gather -> gathering(plan, action.arg)
      _craft -> action.count * start["craft"]
    end
  end

  # One that cannot begin ends at once.
  defp gathering(%{world: %{index: economy} = world} = plan, cell) do
    with {:ok, _, [{kind, amount}]} <- world.module.cells(plan.backend, [cell]),
         %{"hand" => hand, "free" => free} <- economy.hands[kind] do
      most = economy.start["gather"]
      hand * if(free, do: most, else: min(most, max(amount - 1, 0)))
    else
      _ -> 0
    end
  end
end
