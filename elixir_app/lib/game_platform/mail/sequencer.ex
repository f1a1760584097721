defmodule GamePlatform.Mail.Sequencer do
  @moduledoc false
  # Stamps messages, writes them down, keeps them, and tells them, in this order; one round of them after another. There is
  # one for each instance. It begins where the tables say, which outlive it, and where the log says, which outlives them.

  use GenServer

  require Logger

  alias GamePlatform.Mail.{Attached, Journal, Keeper, Record, Round, Store}

  @sweep_ms 1_000
  # A log that refuses is tried so often.
  @refusing_ms 500
  # What may wait to be told.
  @most_waiting 20_000
  @busy "too much waits for the event log: send it again in a moment"

  @doc """
  `options`: `:game`; `:mailbox_s`, how old messages may get; in `:limits` others than those of `Keeper`; `:link` and
  `:world`, the names of a `Persistence.Link` and of the world in it, if there is a log.
  """
  def start_link({name, options}), do: GenServer.start_link(__MODULE__, options, name: name)

  @impl true
  def init(%{game: game} = options) do
    keeper = Keeper.new(Store.tables(game), options)
    {seq, complete} = Store.last(keeper.store)
    link = options[:link]
    Store.set(keeper.store, :durable, link != nil)
    sweep_ms = options[:sweep_ms] || @sweep_ms
    Process.send_after(self(), :sweep, sweep_ms)

    state = %{
      sweep_ms: sweep_ms,
      keeper: keeper,
      store: keeper.store,
      attached: Attached.new(game),
      journal: if(link, do: Journal.new(link, options.world)),
      # The last that was stamped.
      seq: seq,
      # The ticks up to which outcomes are safe, and were given.
      complete: complete,
      have: if(link, do: nil, else: complete),
      server: Store.get(keeper.store, :server),
      # {tick, server, from}, while it is not known yet what is told; and whether a full disk keeps it from being known.
      opening: nil,
      adrift: false,
      # Whether the server has been asked to tell again, or is to be `:later`.
      retelling: false,
      # What is to be stamped, the last one first, and how many wait, those under way too.
      queue: [],
      waiting: 0,
      round: nil,
      syncs: [],
      # Who waits until nothing of the world before is under way, and how many worlds there were.
      beginning: [],
      epoch: 0,
      # Why the log does not take anything at this moment, and whether the last that it was given was refused.
      refusing: nil,
      failing: false
    }

    {:ok, if(link, do: state, else: retell(state))}
  end

  @impl true
  # What the log has is being read, and was told before.
  def handle_call({:attach, _, _, _}, _, %{journal: journal, have: nil} = state) when journal != nil,
    do: {:reply, {:error, :not_running}, state}

  def handle_call({:attach, target, boxes, from}, _, state) do
    # What is above the last one was never told.
    from = min(from, elem(Store.last(state.store), 0))

    if Store.covered?(state.store, boxes, from),
      do: {:reply, {:ok, self()}, %{state | attached: Attached.add(state.attached, target, boxes)}},
      else: {:reply, :behind, %{state | attached: Attached.remove(state.attached, Attached.pid(target))}}
  end

  def handle_call({:detach, pid}, _, state),
    do: {:reply, :ok, %{state | attached: Attached.remove(state.attached, pid)}}

  def handle_call({:post, box, event, json}, from, state) do
    message = %{box: box, event: event, id: nil, json: json, tick: Store.get(state.store, :tick, 0)}
    ask({:post, from, message}, state)
  end

  # What is revoked twice in one second is so from a later one on: in between something new may have been given.
  def handle_call({:revoke, key, until}, from, state) do
    since = with {at, _} <- Store.revoked(state.store, key, 0), do: at + 1
    ask({:revoke, from, key, since || 0, until}, state)
  end

  def handle_call(:begin, from, state) do
    for {_, from} <- state.syncs, do: GenServer.reply(from, {:error, :not_running})
    # What is not safe will come again, or otherwise.
    {gone, queue} = Enum.split_with(state.queue, &match?({:outcomes, _, _}, &1))
    gone = gone |> Enum.map(&Round.count/1) |> Enum.sum()
    state = %{state | queue: queue, waiting: state.waiting - gone, syncs: [], server: nil, opening: nil}
    Store.set(state.store, :server, nil)
    have = state.have && state.complete

    {:noreply,
     begun(%{
       state
       | beginning: [from | state.beginning],
         epoch: state.epoch + 1,
         have: have,
         retelling: false
     })}
  end

  # It is to be known first what is told.
  def handle_call({:opened, tick, server}, from, %{journal: journal, have: nil, adrift: false} = state)
      when journal != nil,
      do: {:noreply, %{state | opening: {tick, server, from}}}

  def handle_call({:opened, tick, server}, from, state),
    do: {:noreply, opened(%{state | opening: {tick, server, from}})}

  def handle_call({:sync, tick}, from, state),
    do: {:noreply, flush(%{state | syncs: [{tick, from} | state.syncs]})}

  def handle_call(:info, _, state) do
    {last, complete} = Store.last(state.store)
    own = %{last: last, complete: complete, waiting: state.waiting, status: status(state)}

    {:reply,
     state.keeper |> Keeper.info() |> Map.merge(own) |> Map.put(:attached, Attached.count(state.attached)),
     state}
  end

  defp status(%{refusing: sentence}) when sentence != nil, do: sentence

  defp status(%{journal: journal}),
    do: if(journal == nil or Journal.ready?(journal), do: :ok, else: :starting)

  defp ask(_, %{refusing: sentence} = state) when sentence != nil,
    do: {:reply, {:error, {:log_behind, sentence}}, state}

  defp ask(_, %{waiting: n} = state) when n >= @most_waiting,
    do: {:reply, {:error, {:log_behind, @busy}}, state}

  defp ask(item, state), do: {:noreply, state |> add(item) |> flush()}

  @impl true
  def handle_cast({:acked, box, seq}, state),
    do: {:noreply, %{state | keeper: Keeper.acked(state.keeper, box, seq)}}

  # Of a world before the one that is there, or before it is known what is missing.
  def handle_cast({:outcomes, server, _, _, _}, %{server: current, have: have} = state)
      when server != current or have == nil,
      do: {:noreply, state}

  def handle_cast({:outcomes, _, from, _, _}, %{have: have} = state) when from > have,
    do: {:noreply, if(state.retelling, do: state, else: retell(state))}

  def handle_cast({:outcomes, _, _, to, _}, %{have: have} = state) when to <= have,
    do: {:noreply, flush(%{state | retelling: false})}

  # The world remembers them, too.
  def handle_cast({:outcomes, _, _, _, _}, %{waiting: waiting} = state) when waiting >= @most_waiting,
    do: {:noreply, %{state | retelling: :later}}

  def handle_cast({:outcomes, _, _, to, outcomes}, state) do
    new = for outcome <- outcomes, outcome.tick > state.have, do: Round.outcome(outcome)
    state = %{state | have: to, retelling: false}
    {:noreply, flush(if(new == [], do: state, else: add(state, {:outcomes, to, new})))}
  end

  @impl true
  def handle_info({:DOWN, _, :process, pid, _}, state),
    do: {:noreply, %{state | attached: Attached.gone(state.attached, pid)}}

  def handle_info(:sweep, state) do
    send(self(), :expire)
    Process.send_after(self(), :sweep, state.sweep_ms)
    {:noreply, cut(%{state | keeper: Keeper.sweep(state.keeper)})}
  end

  # In pieces.
  def handle_info(:expire, state) do
    {more, keeper} = Keeper.expire(state.keeper)
    if more == :more, do: send(self(), :expire)
    {:noreply, %{state | keeper: keeper}}
  end

  def handle_info(:try, state), do: {:noreply, flush(%{state | refusing: nil})}

  def handle_info(message, %{journal: journal} = state) when journal != nil do
    case Journal.handle(message, journal) do
      {event, journal} -> journaled(event, %{state | journal: journal})
      :pass -> {:noreply, state}
    end
  end

  def handle_info(_, state), do: {:noreply, state}

  defp journaled(:none, state), do: {:noreply, begun(state)}

  # Whoever began without that is not to lose what came since.
  defp journaled({:create, tick}, %{journal: journal} = state),
    do: {:noreply, %{state | journal: Journal.create(journal, min(state.complete || tick, tick))}}

  # Nobody waits for a disk that is full.
  defp journaled({:not_created, sentence}, state) do
    if not state.adrift, do: Logger.error("messages cannot be written to the event log: #{sentence}")
    {:noreply, opened(answer_beginning(%{state | adrift: true}, {:ok, state.complete}))}
  end

  defp journaled({:found, %{from: from, floor: floor, last: last}}, state) do
    {told, _} = Store.last(state.store)
    if told == 0, do: Store.set(state.store, :floor, floor)
    seq = Enum.max([told, last, state.seq])
    state = %{state | seq: seq, complete: max(state.complete || from, from)}
    # Who was here before may have ended before it had removed what it had marked.
    {:noreply, %{state | keeper: Keeper.cut(state.keeper, floor), journal: Journal.read(state.journal, told)}}
  end

  defp journaled({:entries, entries, more?}, state) do
    case fill(entries, state) do
      {:ok, state} ->
        {:noreply, if(more?, do: state, else: state |> ready() |> begun() |> flush())}

      {:error, refusal} ->
        journaled({:failed, refusal}, state)
    end
  end

  defp journaled(:written, state), do: {:noreply, begun(%{state | complete: state.round.complete})}

  defp journaled(:committed, %{round: round} = state) do
    keeper = Keeper.logged(state.keeper, round.entries, round.at)
    if state.failing, do: Logger.warning("messages are written to the event log again")
    state = %{state | round: nil, failing: false, keeper: keeper}
    # If it wrote nothing, who began did not wait for it.
    safe? = round.entries != [] or round.epoch == state.epoch
    round = if safe?, do: round, else: %{round | complete: state.complete}
    {:noreply, round |> told(state) |> pruned(round.cut) |> begun() |> flush()}
  end

  # Nothing of it was written: who waits is told so, and outcomes wait for the next round.
  defp journaled({:refused, sentence}, %{round: round} = state) do
    if not state.failing, do: Logger.error("messages cannot be written to the event log: #{sentence}")
    for from <- Round.callers(round), do: GenServer.reply(from, {:error, {:log_behind, sentence}})
    Process.send_after(self(), :try, @refusing_ms)

    outcomes =
      if round.epoch == state.epoch, do: Enum.filter(round.items, &match?({:outcomes, _, _}, &1)), else: []

    again = outcomes |> Enum.map(&Round.count/1) |> Enum.sum()

    state = %{
      state
      | queue: state.queue ++ Enum.reverse(outcomes),
        waiting: state.waiting - round.waiting + again
    }

    {:noreply, begun(%{state | round: nil, seq: round.first, refusing: sentence, failing: true})}
  end

  defp journaled({:closed, refusal}, state), do: {:noreply, answer_beginning(state, {:error, refusal})}

  defp journaled({:failed, {reason, sentence} = refusal}, state) do
    Logger.error("messages cannot be gone on with in the event log (#{reason}): #{sentence}")

    if Journal.ready?(state.journal) and state.have != nil do
      {:stop, {:shutdown, {:mail, reason, sentence}}, state}
    else
      # Who begins says so; it may be put right meanwhile.
      Process.send_after(self(), {:journal, :probe}, @refusing_ms)
      {:noreply, answer_beginning(%{state | journal: Journal.fail(state.journal)}, {:error, refusal})}
    end
  end

  defp pruned(state, nil), do: state

  defp pruned(state, cut),
    do: %{state | keeper: Keeper.cut(state.keeper, cut), journal: Journal.prune(state.journal)}

  # What the tables lack.
  defp fill(entries, state) do
    Enum.reduce_while(entries, {:ok, state}, fn {seq, bytes}, {:ok, state} ->
      case Round.read(seq, bytes, state.complete) do
        {:ok, round} ->
          keeper = Keeper.logged(state.keeper, round.entries, round.at)
          {:cont, {:ok, told(round, %{state | keeper: keeper, seq: max(seq, state.seq)})}}

        refused ->
          {:halt, refused}
      end
    end)
  end

  defp ready(%{have: have} = state) when have != nil, do: state
  defp ready(%{opening: nil} = state), do: retell(%{state | have: state.complete})
  defp ready(state), do: opened(state)

  defp opened(%{opening: nil} = state), do: state

  defp opened(%{opening: {tick, server, from}} = state) do
    # A world that is not where outcomes are told up to has begun anew.
    have = if state.complete == nil or tick < state.complete, do: tick, else: state.complete
    {last, _} = Store.last(state.store)
    :ets.insert(state.store.index, [{:last, last, have}, {:server, server}, {:tick, tick}])
    GenServer.reply(from, :ok)
    %{state | complete: have, have: have, server: server, retelling: false, opening: nil}
  end

  # Who begins knows all that is safe: nothing is under way of which it could turn out to be.
  defp begun(%{beginning: []} = state), do: state

  defp begun(%{journal: journal} = state) do
    if journal == nil or (Journal.ready?(journal) and not Journal.open?(journal)),
      do: answer_beginning(%{state | have: state.complete}, {:ok, state.complete}),
      else: state
  end

  defp answer_beginning(state, answer) do
    for from <- state.beginning, do: GenServer.reply(from, answer)
    %{state | beginning: []}
  end

  defp retell(%{server: nil} = state), do: state

  defp retell(state) do
    send(state.server, {:retell, state.have || 0})
    %{state | retelling: true}
  end

  defp add(state, item),
    do: %{state | queue: [item | state.queue], waiting: state.waiting + Round.count(item)}

  defp flush(%{round: nil, refusing: nil, journal: journal} = state) do
    {ready, syncs} =
      Enum.split_with(state.syncs, fn {tick, _} -> state.have != nil and tick <= state.have end)

    if (state.queue == [] and ready == []) or (journal != nil and not Journal.ready?(journal)) do
      state
    else
      {round, queue} = Round.next(state.queue, state.seq, state.complete, state.have, now_s())
      # Whatever they wait for is in it, or in a later one.
      {ready, syncs} = if queue == [], do: {ready, syncs}, else: {[], state.syncs}
      round = %{round | syncs: ready, epoch: state.epoch}
      write(round, %{state | queue: queue, syncs: syncs, seq: round.last})
    end
  end

  defp flush(state), do: state

  defp write(round, %{journal: nil} = state), do: told(round, state)

  defp write(round, state) do
    entries = Record.encode(round.messages, round.revoked, round.complete, round.at)
    # A restart is not to come before what is told.
    reached = if round.complete != state.complete or round.syncs != [], do: round.complete
    sizes = for {seq, bytes} <- entries, do: {seq, byte_size(bytes)}
    journal = Journal.commit(state.journal, entries, round.cut, reached)
    %{state | round: %{round | entries: sizes}, journal: journal}
  end

  # From here on it is told.
  defp told(round, state) do
    keeper = Keeper.put(state.keeper, round)
    Attached.tell(state.attached, round.messages)
    for {from, reply} <- round.replies, do: GenServer.reply(from, reply)
    for {_, from} <- round.syncs, do: GenServer.reply(from, :ok)
    later(%{state | keeper: keeper, complete: round.complete, waiting: state.waiting - round.waiting})
  end

  defp later(%{retelling: :later, waiting: waiting} = state) when waiting < div(@most_waiting, 2),
    do: retell(state)

  defp later(state), do: state

  # What the log has and nobody needs.
  defp cut(%{round: nil, refusing: nil, journal: journal} = state) when journal != nil do
    with true <- Journal.ready?(journal),
         cut when cut != nil <- Keeper.due(state.keeper) do
      revocations = Store.revocations(state.store, cut)
      round = Round.cut(revocations, cut, state.seq, state.complete, now_s())
      write(%{round | epoch: state.epoch}, %{state | seq: round.last})
    else
      _ -> state
    end
  end

  defp cut(state), do: state

  defp now_s, do: System.os_time(:second)
end
