defmodule GamePlatform.Mail.Sequencer do
  @moduledoc false
  # Stamps messages, keeps them, and tells them, in this order. There is one for each instance; it begins where the tables
  # say, which outlive it.

  use GenServer

  alias GamePlatform.JSON
  alias GamePlatform.Mail.{Attached, Store}

  @sweep_ms 1_000
  # What may wait to be told.
  @most_waiting 20_000
  # What is told at once.
  @most_round 5_000
  @busy {:error, {:log_behind, "too much waits for the event log: send it again in a moment"}}

  @limits %{
    player_messages: 1_024,
    player_bytes: 262_144,
    topic_messages: 16_384,
    topic_bytes: 16 * 1_048_576,
    # Of all boxes together.
    bytes: 256 * 1_048_576,
    answers: 1_024
  }

  # `options`: `:game`, `:mailbox_s`, how old messages may get, and in `:limits` others than those above.
  def start_link({name, options}), do: GenServer.start_link(__MODULE__, options, name: name)

  @impl true
  def init(%{game: game} = options) do
    store = Store.tables(game)
    {messages, bytes} = Store.restore(store)
    {seq, complete} = Store.last(store)
    Store.set(store, :durable, false)
    Process.send_after(self(), :sweep, @sweep_ms)

    state = %{
      game: game,
      store: store,
      limits: Map.merge(@limits, Map.new(options[:limits] || %{})),
      mailbox_s: options[:mailbox_s] || 3_600,
      attached: Attached.new(game),
      # The last that was stamped.
      seq: seq,
      # The tick up to which outcomes were given.
      have: complete,
      server: Store.get(store, :server),
      # Whether the server has been asked to tell again, or is to be `:later`.
      retelling: false,
      # What is to be stamped, the last one first, and how much of it.
      queue: [],
      waiting: 0,
      # {tick, from}
      syncs: [],
      messages: messages,
      bytes: bytes,
      dropped: 0
    }

    {:ok, retell(state)}
  end

  @impl true
  def handle_call({:attach, target, boxes, from}, _, state) do
    # What is above the last one was never told.
    from = min(from, elem(Store.last(state.store), 0))

    if Store.covered?(state.store, boxes, from),
      do: {:reply, {:ok, self()}, %{state | attached: Attached.add(state.attached, target, boxes)}},
      else: {:reply, :behind, %{state | attached: Attached.remove(state.attached, Attached.pid(target))}}
  end

  def handle_call({:detach, pid}, _, state),
    do: {:reply, :ok, %{state | attached: Attached.remove(state.attached, pid)}}

  def handle_call({tag, _, _, _}, _, %{waiting: n} = state) when tag == :post and n >= @most_waiting,
    do: {:reply, @busy, state}

  def handle_call({:post, box, event, json}, from, state) do
    message = %{box: box, event: event, id: nil, json: json, tick: Store.get(state.store, :tick, 0)}
    {:noreply, state |> add({:post, from, message}, 1) |> flush()}
  end

  def handle_call({:revoke, key, until}, from, state),
    do: {:noreply, state |> add({:revoke, from, key, until}, 1) |> flush()}

  def handle_call(:begin, from, state) do
    for {_, from} <- state.syncs, do: GenServer.reply(from, {:error, :not_running})
    {_, complete} = Store.last(state.store)
    GenServer.reply(from, {:ok, complete})
    {:noreply, %{state | server: nil, have: complete, retelling: false, syncs: []}}
  end

  def handle_call({:sync, tick}, from, state),
    do: {:noreply, flush(%{state | syncs: [{tick, from} | state.syncs]})}

  def handle_call(:info, _, state) do
    {last, complete} = Store.last(state.store)

    boxes =
      :ets.select_count(state.store.index, [
        {{{:box, {:"$1", :_}}, :_, :_, :_, :_}, [{:"=/=", :"$1", :answers}], [true]}
      ])

    info = %{
      last: last,
      complete: complete,
      messages: state.messages,
      bytes: state.bytes,
      boxes: boxes,
      waiting: state.waiting,
      attached: Attached.count(state.attached),
      dropped: state.dropped,
      status: :ok
    }

    {:reply, info, state}
  end

  @impl true
  def handle_cast({:acked, box, seq}, state) do
    {removed, bytes} = Store.acked(state.store, box, seq, now_s())
    {:noreply, %{state | messages: state.messages - removed, bytes: state.bytes - bytes}}
  end

  def handle_cast({:opened, tick, server}, state) do
    {last, complete} = Store.last(state.store)
    # A world that is not where outcomes are told up to has begun anew.
    have = if complete == nil or tick < complete, do: tick, else: complete
    :ets.insert(state.store.index, [{:last, last, have}, {:server, server}, {:tick, tick}])
    {:noreply, %{state | have: have, server: server, retelling: false}}
  end

  # Of a world before the one that is there.
  def handle_cast({:outcomes, server, _, _, _}, %{server: current} = state) when server != current,
    do: {:noreply, state}

  def handle_cast({:outcomes, _, from, _, _}, %{have: have} = state) when from > have,
    do: {:noreply, if(state.retelling, do: state, else: retell(state))}

  def handle_cast({:outcomes, _, _, to, _}, %{have: have} = state) when to <= have,
    do: {:noreply, flush(%{state | retelling: false})}

  # The world remembers them, too.
  def handle_cast({:outcomes, _, _, _, _}, %{waiting: waiting} = state) when waiting >= @most_waiting,
    do: {:noreply, %{state | retelling: :later}}

  def handle_cast({:outcomes, _, _, to, outcomes}, state) do
    new = for outcome <- outcomes, outcome.tick > state.have, do: outcome(outcome)
    state = %{state | have: to, retelling: false}
    {:noreply, flush(if(new == [], do: state, else: add(state, {:outcomes, to, new}, length(new))))}
  end

  @impl true
  def handle_info({:DOWN, _, :process, pid, _}, state),
    do: {:noreply, %{state | attached: Attached.gone(state.attached, pid)}}

  def handle_info(:sweep, state) do
    now = now_s()
    Store.forget(state.store, now - state.mailbox_s)
    Store.revocations(state.store, now)
    send(self(), :expire)
    Process.send_after(self(), :sweep, @sweep_ms)
    {:noreply, state}
  end

  # In pieces.
  def handle_info(:expire, state) do
    now = now_s()
    {removed, bytes, more} = Store.expire(state.store, fn at, _ -> at < now - state.mailbox_s end, now)
    if more == :more, do: send(self(), :expire)
    {:noreply, dropped(state, removed, bytes)}
  end

  def handle_info(_, state), do: {:noreply, state}

  # As clients get it.
  defp outcome(%{player: player, action_id: id, tick: tick} = outcome) do
    payload = for {key, value} <- outcome, key != :player, value != nil, into: %{}, do: {key, value}
    %{box: {:player, player}, event: "outcome", id: id, json: JSON.encode!(payload), tick: tick}
  end

  defp retell(%{server: nil} = state), do: state

  defp retell(state) do
    send(state.server, {:retell, state.have})
    %{state | retelling: true}
  end

  defp add(state, item, n), do: %{state | queue: [item | state.queue], waiting: state.waiting + n}

  defp flush(%{queue: [], syncs: []} = state), do: state

  defp flush(state) do
    {round, state} = next(state)
    done(round, state)
  end

  # What is next, stamped.
  defp next(state) do
    {items, rest} = take(Enum.reverse(state.queue), [], 0)
    round = %{messages: [], revoked: [], replies: [], waiting: 0, complete: elem(Store.last(state.store), 1)}
    {round, seq} = Enum.reduce(items, {round, state.seq}, &stamp/2)
    complete = if rest == [], do: state.have, else: round.complete
    {ready, syncs} = Enum.split_with(state.syncs, fn {tick, _} -> complete != nil and tick <= complete end)

    round =
      Map.merge(round, %{
        messages: Enum.reverse(round.messages),
        replies: Enum.reverse(round.replies) ++ for({_, from} <- ready, do: {from, :ok}),
        complete: complete,
        last: seq,
        at: now_s()
      })

    {round, %{state | queue: Enum.reverse(rest), syncs: syncs, seq: seq}}
  end

  defp take([item | rest], taken, n) when n < @most_round, do: take(rest, [item | taken], n + count(item))
  defp take(rest, taken, _), do: {Enum.reverse(taken), rest}

  defp count({:outcomes, _, messages}), do: length(messages)
  defp count(_), do: 1

  defp stamp({:outcomes, to, messages}, {round, seq}) do
    Enum.reduce(messages, {%{round | complete: to}, seq}, fn message, {round, seq} ->
      message(message, round, seq + 1)
    end)
  end

  defp stamp({:post, from, message}, {round, seq}) do
    {round, seq} = message(message, round, seq + 1)
    {%{round | replies: [{from, {:ok, seq}} | round.replies]}, seq}
  end

  defp stamp({:revoke, from, key, until}, {round, seq}) do
    seq = seq + 1
    round = %{round | revoked: [{key, now_s(), until} | round.revoked], waiting: round.waiting + 1}
    {%{round | replies: [{from, {:ok, seq}} | round.replies]}, seq}
  end

  defp message(message, round, seq) do
    message = Map.put(message, :seq, seq)
    {%{round | messages: [message | round.messages], waiting: round.waiting + 1}, seq}
  end

  # From here on it is told.
  defp done(round, state) do
    bytes = Store.put(state.store, round.messages, round.revoked, round.last, round.complete, round.at)
    Attached.tell(state.attached, round.messages)
    for {from, reply} <- round.replies, do: GenServer.reply(from, reply)

    state = %{
      state
      | messages: state.messages + length(round.messages),
        bytes: state.bytes + bytes,
        waiting: state.waiting - round.waiting
    }

    round.messages |> Enum.map(& &1.box) |> Enum.uniq() |> Enum.reduce(state, &trim/2) |> within() |> later()
  end

  defp trim({:topic, _} = box, %{limits: limits} = state),
    do: trim(box, limits.topic_messages, limits.topic_bytes, state)

  defp trim({:player, player} = box, %{limits: limits} = state) do
    Store.trim(state.store, {:answers, player}, limits.answers, 0, now_s())
    trim(box, limits.player_messages, limits.player_bytes, state)
  end

  defp trim(box, most, bytes, state) do
    {removed, freed} = Store.trim(state.store, box, most, bytes, now_s())
    dropped(state, removed, freed)
  end

  defp within(%{bytes: bytes, limits: %{bytes: most}} = state) when bytes <= most, do: state

  defp within(%{bytes: bytes, limits: %{bytes: most}} = state) do
    {removed, freed, _} = Store.expire(state.store, fn _, freed -> bytes - freed > most end, now_s())
    dropped(state, removed, freed)
  end

  defp dropped(state, n, bytes),
    do: %{state | messages: state.messages - n, bytes: state.bytes - bytes, dropped: state.dropped + n}

  defp later(%{retelling: :later, waiting: waiting} = state) when waiting < div(@most_waiting, 2),
    do: retell(state)

  defp later(state), do: state

  defp now_s, do: System.os_time(:second)
end
