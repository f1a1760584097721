defmodule GamePlatform.Compute.Pending do
  @moduledoc false
  # Actions that were taken in and that no tick has executed yet, and what decides whether one is taken in. The
  # process of the world owns it.
  #
  # There is one batch for a tick. The last one is open until its tick begins; what comes then is for a later tick. In a
  # world with a journal an action is executed only once it is durable, and only in the tick that a durable mark names:
  # at the beginning of a tick the actions that are durable are sealed, the others wait for the next one.

  alias GamePlatform.Compute.{Actions, Reads, Refusal}
  alias GamePlatform.Compute.Pending.{Batch, Plan, Results}

  # Actions that may wait to become durable.
  @most_waiting 20_000
  # Ticks that a batch is sealed ahead of its tick when marks come late.
  @most_ahead 63

  # Nil stands for all of it in a world without an economy. `begun` is the tick that may be partly executed, `view` the
  # players at the published tick. `batches` ascend. Actions have numbers up to `seq`, and those up to `durable` are
  # safe: without a journal all of them. `refusing` is the code of what keeps the journal from writing.
  defstruct [:results, :view, :begun, :refusing, batches: [], seq: 0, durable: :all, ahead: 0]

  def new, do: %__MODULE__{results: Results.new()}

  @doc "From now on there is a journal, which ends with the action `seq`; `kept` are those of it that no tick has executed."
  def journaled(pending, seq, kept, tick) do
    batch =
      for {n, bytes} <- kept, reduce: Batch.new(tick) do
        batch -> Batch.add(batch, n, Actions.read(bytes), tick + 1)
      end

    %{pending | seq: seq, durable: seq, batches: if(kept == [], do: [], else: [batch])}
  end

  @doc "Looks at the players and results of the published tick, unless that was done."
  def look(%{view: %{tick: tick}} = pending, _, _, tick), do: {:ok, pending}

  def look(pending, world, backend, _) do
    with {:ok, tick, players} <- Reads.all(world, backend),
         :ok <- Results.refresh(pending.results, world.module, backend, tick) do
      {:ok, done(%{pending | view: %{tick: tick, players: players, parsed: %{}}}, tick)}
    end
  end

  @doc "Forgets what was read of a world whose memory was not sound."
  def forget(nil), do: nil

  def forget(pending) do
    Results.forget(pending.results)
    %{pending | view: nil}
  end

  @doc """
  Takes actions in, after `look/4`. Answers are in their order, each as `{answer, seq, due}`: the number of the action
  that has to be durable first, and the tick that it is for, or nil.
  """
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
        {:ok, if(joining(pending, name), do: :joining, else: :unknown), pending}
    end
  end

  defp joining(pending, name), do: Enum.find(pending.batches, &MapSet.member?(&1.joins, name))

  defp parsed(%{view: %{parsed: parsed} = view} = pending, world, number, name) do
    case parsed do
      %{^number => player} ->
        {:ok, player, pending}

      %{} ->
        with {:ok, player} <- Reads.numbered(world.index, view.players, number, name),
             do: {:ok, player, %{pending | view: %{view | parsed: Map.put(parsed, number, player)}}}
    end
  end

  defp take(pending, _, _, %{}, %{type: :join} = action), do: {known(action, pending.view.tick), pending}

  defp take(pending, _, _, :joining, %{type: :join} = action) do
    batch = joining(pending, action.by)
    {{accepted(action, batch.tick + 1), undurable(pending, Batch.last(batch)), nil}, pending}
  end

  defp take(pending, _, _, :unknown, %{type: :join} = action), do: add(pending, action, due(pending) + 1)
  defp take(pending, _, _, :unknown, action), do: {no(action, :unknown_player), pending}

  defp take(pending, world, backend, player, action) do
    plan = Plan.new(world, backend, player, bodies(pending, action.by))

    cond do
      answer = answered(pending, player, plan, action) -> {answer, pending}
      action.type == :instant -> add(pending, action, due(pending) + 1)
      Plan.full?(plan) -> {no(action, :queue_full), pending}
      true -> add(pending, action, Plan.ends(plan, action, due(pending)))
    end
  end

  # What was answered to the same action, if it was taken in before.
  defp answered(pending, player, plan, %{by: by, id: id} = action) do
    case Enum.find_value(pending.batches, & &1.ids[{by, id}]) do
      {tick, seq} ->
        {accepted(action, tick), undurable(pending, seq), nil}

      nil ->
        tick = (is_map(player) && Results.tick(pending.results, player.number, id)) || Plan.tick(plan, id)
        if tick, do: known(action, tick)
    end
  end

  # What is durable is not waited for; without a journal everything is.
  defp undurable(%{durable: durable}, seq), do: if(seq > durable, do: seq)

  # By the order in which they came, with the tick that each is for.
  defp bodies(pending, name) do
    for batch <- pending.batches,
        action <- Enum.reverse(batch.bodies[name] || []),
        do: {action, batch.tick}
  end

  # The tick that what comes now is for.
  defp due(%{begun: begun, view: %{tick: tick}} = pending) do
    due = if begun == tick, do: tick + 1, else: tick

    case List.last(pending.batches) do
      %Batch{state: :open, tick: open} when open >= due -> open
      %Batch{tick: last} when last >= due -> last + 1
      _ -> due
    end
  end

  defp add(pending, action, tick) do
    due = due(pending)
    {batches, batch} = open(pending.batches, due)

    cond do
      pending.refusing ->
        {no(action, pending.refusing), pending}

      batch.count >= Actions.max_batch() ->
        {no(action, :busy), pending}

      waiting(pending) >= @most_waiting ->
        {no(action, :log_behind), pending}

      true ->
        seq = pending.seq + 1
        batches = batches ++ [Batch.add(batch, seq, action, tick)]
        {{accepted(action, tick), seq, due}, %{pending | seq: seq, batches: batches}}
    end
  end

  defp open(batches, due) do
    case List.pop_at(batches, -1) do
      {%Batch{state: :open, tick: ^due} = batch, before} -> {before, batch}
      _ -> {batches, Batch.new(due)}
    end
  end

  defp waiting(%{durable: :all}), do: 0
  defp waiting(pending), do: pending.seq - pending.durable

  # Nothing has to be waited for: the world knows it already.
  defp known(action, tick), do: {accepted(action, tick), nil, nil}
  defp no(action, code), do: {refused(action, code), nil, nil}

  defp accepted(action, tick),
    do: %{
      action_id: action.shown,
      status: :accepted,
      code: nil,
      message: nil,
      tick: tick,
      durability: :memory
    }

  @doc false
  def refused(%{shown: id}, code, sentence \\ nil) do
    sentence = sentence || Refusal.sentence(code)
    %{action_id: id, status: :refused, code: code, message: sentence, tick: nil, durability: nil}
  end

  @doc "The bytes of the actions with numbers above `seq`, as `{seq, bytes}` in order."
  def since(pending, seq) do
    for batch <- pending.batches,
        {n, action, _} <- batch.entries |> Enum.take_while(&(elem(&1, 0) > seq)) |> Enum.reverse(),
        do: {n, action.bytes}
  end

  @doc "The tick of the batch that has the action `seq`; nil once it is executed."
  def due_of(pending, seq) do
    Enum.find_value(pending.batches, fn batch -> if Batch.last(batch) >= seq, do: batch.tick end)
  end

  @doc """
  What is to be done before `tick` is executed:

    * `{:give, batch, pending}`: to give these actions to the backend, then `given/2`
    * `{:mark, at, seq, pending}`: to write into the journal that tick `at` executes the actions up to `seq`
    * `:wait`: for the mark of this tick
    * `{:nothing, pending}`
  """
  def boundary(nil, _), do: {:nothing, nil}

  def boundary(pending, tick) do
    case Enum.find(pending.batches, &(&1.tick == tick)) do
      %Batch{state: :open} = batch -> seal(pending, batch, tick)
      %Batch{state: :sealed} -> :wait
      %Batch{state: :marked} = batch -> {:give, bytes(batch), pending}
      _ -> {:nothing, pending}
    end
  end

  defp seal(%{durable: :all} = pending, batch, _), do: {:give, bytes(batch), pending}

  # An open batch is the last one.
  defp seal(pending, batch, tick) do
    others = List.delete(pending.batches, batch)
    at = tick + pending.ahead
    {durable, rest} = Batch.split(batch, min(pending.durable, Batch.nth(batch, Actions.max_batch())), at + 1)

    if durable.count == 0 or pending.refusing do
      {:nothing, %{pending | batches: others ++ [%{batch | tick: tick + 1}]}}
    else
      rest = if rest.count > 0, do: [rest], else: []
      batches = others ++ [%{durable | tick: at, state: :sealed} | rest]
      {:mark, at, Batch.last(durable), %{pending | batches: batches}}
    end
  end

  defp bytes(batch) do
    batch.entries |> Enum.reverse() |> Enum.map(fn {_, action, _} -> action.bytes end) |> Actions.batch()
  end

  @doc "The batch of `tick` has been given to the backend."
  def given(pending, tick), do: set(pending, tick, :given)

  defp set(pending, tick, state) do
    batches =
      for batch <- pending.batches, do: if(batch.tick == tick, do: %{batch | state: state}, else: batch)

    %{pending | batches: batches}
  end

  @doc "The mark of `tick` is durable, at the tick `now`. False if nobody waits for it."
  def marked(pending, tick, now) do
    # Half of what it came too early is saved the next time.
    spared = max(div(tick - now, 2), 1)

    if sealed?(pending, tick),
      do: set(%{pending | ahead: max(pending.ahead - spared, 0)}, tick, :marked),
      else: false
  end

  def sealed?(pending, tick), do: Enum.any?(pending.batches, &(&1.tick == tick and &1.state == :sealed))

  @doc "The mark of `tick` has not come in time: the tick is executed without, and the next marks are written earlier."
  def late(pending, tick),
    do: postpone(%{pending | ahead: min(2 * pending.ahead + 1, @most_ahead)}, tick)

  defp postpone(pending, tick) do
    {before, [sealed | rest]} = Enum.split_while(pending.batches, &(&1.tick != tick))
    # What follows it is open.
    batch = Enum.reduce(rest, sealed, &Batch.join(&2, &1, tick))
    %{pending | batches: before ++ [%{batch | tick: tick + 1, state: :open}]}
  end

  @doc "All actions up to `seq` are durable."
  def durable(pending, seq), do: %{pending | durable: max(seq, pending.durable)}

  @doc "What is not durable is lost, and marks that were not confirmed are not written; from now on `code` refuses what comes."
  def failed(pending, code) do
    pending =
      Enum.reduce(pending.batches, pending, fn
        %Batch{state: :sealed, tick: tick}, pending -> postpone(pending, tick)
        _, pending -> pending
      end)

    batches =
      for batch <- pending.batches,
          {kept, _} =
            if(batch.state == :open, do: Batch.split(batch, pending.durable, 0), else: {batch, nil}),
          kept.count > 0,
          do: kept

    %{pending | batches: batches, refusing: code, seq: max(pending.seq, pending.durable)}
  end

  @doc "The journal writes again. What failed has left a gap in the numbers."
  def recovered(pending), do: %{pending | refusing: nil, durable: pending.seq}

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
