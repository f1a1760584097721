defmodule GamePlatform.Compute.Pending do
  @moduledoc false
  # Actions that were taken in and that no tick has executed yet, and what decides whether one is taken in. The
  # process of the world owns it.
  #
  # There is one batch for a tick. That of the published tick is open until the tick has begun; what comes then is
  # for the next one, so there are two at most.

  alias GamePlatform.Compute.{Actions, Reads, Refusal}
  alias GamePlatform.Compute.Pending.{Plan, Results}

  defmodule Batch do
    @moduledoc false
    # `ids` tells the tick that was answered, `bodies` the actions of the body by player, the last one first.
    defstruct [:tick, given: false, count: 0, bytes: [], ids: %{}, joins: MapSet.new(), bodies: %{}]
  end

  # Nil stands for all of it in a world without an economy. `begun` is the tick that may be partly executed, `view` the players at the published tick.
  defstruct [:results, :view, :begun, batches: []]

  def new, do: %__MODULE__{results: Results.new()}

  @doc "Looks at the players and results of the published tick, unless that was done."
  def look(%{view: %{tick: tick}} = pending, _, _, tick), do: {:ok, pending}

  def look(pending, world, backend, _) do
    with {:ok, tick, players} <- Reads.all(world, backend),
         :ok <- Results.refresh(pending.results, world.module, backend, tick) do
      batches = Enum.filter(pending.batches, &(&1.tick >= tick))
      {:ok, %{pending | batches: batches, view: %{tick: tick, players: players, parsed: %{}}}}
    end
  end

  @doc "Forgets what was read of a world whose memory was not sound."
  def forget(nil), do: nil

  def forget(pending) do
    Results.forget(pending.results)
    %{pending | view: nil}
  end

  @doc "Takes actions in, after `look/4`. Answers are in their order."
  def submit(pending, world, backend, actions) do
    Enum.reduce_while(actions, {[], pending}, fn action, {answers, pending} ->
      with {:ok, player, pending} <- player(pending, world, action.by) do
        {answer, pending} = take(pending, world, backend, player, action)
        {:cont, {[answer | answers], pending}}
      else
        error -> {:halt, error}
      end
    end)
    |> case do
      {answers, pending} when is_list(answers) -> {:ok, Enum.reverse(answers), pending}
      error -> error
    end
  end

  # The player, `:joining` or `:unknown`.
  defp player(%{view: view} = pending, world, name) do
    case Reads.number(world, name) do
      number when is_integer(number) and number <= tuple_size(view.players) ->
        parsed(pending, world, number, name)

      _ ->
        joining = Enum.any?(pending.batches, &MapSet.member?(&1.joins, name))
        {:ok, if(joining, do: :joining, else: :unknown), pending}
    end
  end

  defp parsed(%{view: %{parsed: parsed} = view} = pending, world, number, name) do
    case parsed do
      %{^number => player} ->
        {:ok, player, pending}

      %{} ->
        with {:ok, player} <- Reads.numbered(world.index, view.players, number, name),
             do: {:ok, player, %{pending | view: %{view | parsed: Map.put(parsed, number, player)}}}
    end
  end

  defp take(pending, _, _, %{}, %{type: :join} = action), do: {accepted(action, pending.view.tick), pending}

  defp take(pending, _, _, :joining, %{type: :join} = action) do
    batch = Enum.find(pending.batches, &MapSet.member?(&1.joins, action.by))
    {accepted(action, batch.tick + 1), pending}
  end

  defp take(pending, _, _, :unknown, %{type: :join} = action), do: add(pending, action, due(pending) + 1)
  defp take(pending, _, _, :unknown, action), do: {refused(action, :unknown_player), pending}

  defp take(pending, world, backend, player, action) do
    plan = Plan.new(world, backend, player, bodies(pending, action.by))

    cond do
      tick = answered(pending, player, plan, action) -> {accepted(action, tick), pending}
      action.type == :instant -> add(pending, action, due(pending) + 1)
      Plan.full?(plan) -> {refused(action, :queue_full), pending}
      true -> add(pending, action, Plan.ends(plan, action, due(pending)))
    end
  end

  # The tick of the same action, if it was taken in before.
  defp answered(pending, player, plan, %{by: by, id: id}) do
    Enum.find_value(pending.batches, & &1.ids[{by, id}]) ||
      (is_map(player) && Results.tick(pending.results, player.number, id)) ||
      Plan.tick(plan, id)
  end

  # By the order in which they came, with the tick that each is for.
  defp bodies(pending, name) do
    for batch <- Enum.sort_by(pending.batches, & &1.tick),
        action <- Enum.reverse(batch.bodies[name] || []),
        do: {action, batch.tick}
  end

  defp due(%{begun: begun, view: %{tick: tick}}), do: if(begun == tick, do: tick + 1, else: tick)

  defp add(pending, action, tick) do
    due = due(pending)
    {open, others} = Enum.split_with(pending.batches, &(&1.tick == due))
    batch = List.first(open) || %Batch{tick: due}

    if batch.count == Actions.max_batch() do
      {refused(action, :busy), pending}
    else
      batch = %{batch | count: batch.count + 1, bytes: [action.bytes | batch.bytes]}
      {accepted(action, tick), %{pending | batches: [note(batch, action, tick) | others]}}
    end
  end

  defp note(batch, %{type: :join, by: by}, _), do: %{batch | joins: MapSet.put(batch.joins, by)}

  defp note(batch, %{by: by, id: id} = action, tick) do
    batch = %{batch | ids: Map.put(batch.ids, {by, id}, tick)}

    if action.type == :body,
      do: %{batch | bodies: Map.update(batch.bodies, by, [action], &[action | &1])},
      else: batch
  end

  defp accepted(action, tick),
    do: %{action_id: action.shown, status: :accepted, code: nil, message: nil, tick: tick}

  @doc false
  def refused(%{shown: id}, code, sentence \\ nil) do
    %{action_id: id, status: :refused, code: code, message: sentence || Refusal.sentence(code), tick: nil}
  end

  @doc "The batch that the backend is to have before `tick` is executed, or nil."
  def batch(nil, _), do: nil

  def batch(pending, tick) do
    with %Batch{given: false} = batch <- Enum.find(pending.batches, &(&1.tick == tick)),
         do: batch.bytes |> Enum.reverse() |> Actions.batch(),
         else: (_ -> nil)
  end

  def given(pending, tick) do
    batches =
      for batch <- pending.batches, do: if(batch.tick == tick, do: %{batch | given: true}, else: batch)

    %{pending | batches: batches}
  end

  @doc "How far the world may be advanced from `tick` towards `target` before the next batch is to be given."
  def until(nil, _, target), do: target

  def until(pending, tick, target) do
    for(%{tick: due} when due > tick <- pending.batches, do: due) |> Enum.min(fn -> target end) |> min(target)
  end

  @doc "After an advance from `before` to `tick`, which ended with a tick done or not."
  def advanced(nil, _, _, _), do: nil
  def advanced(pending, _, tick, false), do: done(%{pending | begun: tick}, tick)
  def advanced(pending, before, tick, true) when tick > before, do: done(%{pending | begun: nil}, tick)
  def advanced(pending, _, _, true), do: pending

  defp done(pending, tick), do: %{pending | batches: Enum.filter(pending.batches, &(&1.tick >= tick))}
end
