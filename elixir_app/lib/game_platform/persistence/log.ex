defmodule GamePlatform.Persistence.Log do
  @moduledoc false
  # The journal of a world: writes to the event log through `gp_link`, one request at a time, so that what comes while one
  # is under way goes into the next and costs one sync of the disk together.
  #
  # A link that dies may have written the request under way or not; the next link is sent it again, which changes
  # nothing if it was. A request that is refused was not written: what the world gave and what is not confirmed is dropped,
  # the world is told so, and until a probe succeeds it takes in nothing.

  @behaviour GamePlatform.Compute.Journal

  use GenServer

  require Logger

  alias GamePlatform.Persistence.Link
  alias GamePlatform.Telemetry

  # What goes into one request.
  @most_bytes 4 * 1_048_576
  # What is larger than what a distribution channel takes at once waits so long.
  @again_ms 5
  @probe_ms 500
  @call_ms 60_000

  @doc "`options`: `:link`, the name of a `Persistence.Link`, `:world`, and `:probe_ms`, how often a log that failed is tried."
  def start_link({name, options}), do: GenServer.start_link(__MODULE__, options, name: name)

  @impl GamePlatform.Compute.Journal
  def attach(pid, epoch), do: tell(pid, {:attach, self(), epoch})

  @impl GamePlatform.Compute.Journal
  def append(pid, epoch, entries), do: tell(pid, {:append, epoch, entries})

  @impl GamePlatform.Compute.Journal
  def mark(pid, epoch, tick, seq), do: tell(pid, {:mark, epoch, tick, seq})

  @impl GamePlatform.Compute.Journal
  def unmark(pid, epoch, tick), do: tell(pid, {:unmark, epoch, tick})

  @impl GamePlatform.Compute.Journal
  def reached(pid, tick), do: tell(pid, {:reached, tick})

  @impl GamePlatform.Compute.Journal
  def settle(pid, epoch, from), do: tell(pid, {:settle, epoch, from})

  defp tell(pid, message) do
    send(pid, message)
    :ok
  end

  @doc """
  Forgets what the world before gave, and waits until nothing of it is under way: what the log holds from then on is what
  it says. The world that is made from there gives what it gives under this epoch.
  """
  @spec begin(GenServer.server()) ::
          {:ok, epoch :: non_neg_integer} | {:error, {reason :: atom, sentence :: String.t()}}
  def begin(server), do: GenServer.call(server, :begin, @call_ms)

  @doc """
  How the log is doing: `status` is `:ok`, `:down` without a link, or the code that actions are refused with;
  `waiting`: actions that are not durable yet; `idle`: nothing is to be written; `durable`: the number of the last action
  that is; `commits`, `failures`;
  `commit_us`: how long the last commit took.
  """
  @spec info(GenServer.server()) :: map
  def info(server), do: GenServer.call(server, :info)

  @impl GenServer
  def init(%{link: link, world: id} = options) do
    target = Link.subscribe(link)

    {:ok,
     %{
       id: id,
       probe_ms: options[:probe_ms] || @probe_ms,
       target: target,
       world: nil,
       # Operations that are to be written, the last one first.
       queue: [],
       under_way: nil,
       refusing: nil,
       # The present one, and that of the last `begin/1`: what was given between them is lost, but not what is taken back.
       epoch: 0,
       begun: 0,
       reached: 0,
       beginning: [],
       # Who waits until no mark is to be taken back.
       settling: [],
       waiting: 0,
       durable: 0,
       commits: 0,
       failures: 0,
       commit_us: 0
     }}
  end

  @impl GenServer
  def handle_call(:begin, from, state) do
    for from <- state.settling, do: GenServer.reply(from, {:error, :closed})
    epoch = state.epoch + 1

    state = %{
      state
      | world: nil,
        queue: [],
        waiting: 0,
        refusing: nil,
        epoch: epoch,
        begun: epoch,
        settling: []
    }

    {:noreply, barrier(%{state | beginning: [from | state.beginning]})}
  end

  def handle_call(:info, _, state) do
    status = state.refusing || if(state.target, do: :ok, else: :down)

    info = Map.take(state, [:waiting, :durable, :commits, :failures, :commit_us])
    {:reply, Map.merge(info, %{status: status, idle: state.queue == [] and state.under_way == nil}), state}
  end

  @impl GenServer
  # Of a world before the one that is there.
  def handle_info({:attach, _, epoch}, %{begun: begun} = state) when epoch != begun, do: {:noreply, state}

  def handle_info({:attach, world, epoch}, state) do
    if epoch != state.epoch do
      send(world, {:journal, self(), {:failed, state.refusing || :log_down, state.epoch}})
      if state.refusing == nil, do: send(world, {:journal, self(), :recovered})
    end

    {:noreply, %{state | world: world}}
  end

  def handle_info({:unmark, epoch, _}, %{begun: begun} = state) when epoch < begun, do: {:noreply, state}

  def handle_info({:settle, epoch, from}, %{begun: begun} = state) when epoch < begun do
    GenServer.reply(from, {:error, :closed})
    {:noreply, state}
  end

  def handle_info({:settle, _, from}, state),
    do: {:noreply, settled(%{state | settling: [from | state.settling]})}

  # Given before the world heard of a failure.
  def handle_info({:append, epoch, _}, %{epoch: current} = state) when epoch != current,
    do: {:noreply, state}

  def handle_info({:mark, epoch, _, _}, %{epoch: current} = state) when epoch != current,
    do: {:noreply, state}

  def handle_info({:append, _, entries}, state) do
    state = %{state | waiting: state.waiting + length(entries)}
    {:noreply, write(state, {:entries, entries})}
  end

  def handle_info({:mark, _, tick, seq}, state), do: {:noreply, write(state, {:mark, tick, seq})}

  def handle_info({:unmark, _, tick}, state) do
    # One that has not been sent yet is simply not sent.
    case Enum.split_with(state.queue, &match?({:mark, ^tick, _}, &1)) do
      {[_ | _], queue} -> {:noreply, %{state | queue: queue}}
      {[], _} -> {:noreply, write(state, {:unmark, tick})}
    end
  end

  def handle_info({:reached, tick}, state), do: {:noreply, write(%{state | reached: tick}, {:reached, tick})}

  # It may be told twice.
  def handle_info({:link, :up, target}, %{target: target} = state), do: {:noreply, state}
  def handle_info({:link, :up, target}, state), do: {:noreply, barrier(resend(%{state | target: target}))}

  # It is tried again, but nobody is to wait for that.
  def handle_info({:link, :refused, refusal}, state) do
    for from <- state.beginning, do: GenServer.reply(from, {:error, refusal})
    {:noreply, %{state | beginning: []}}
  end

  def handle_info({:link, :down}, state) do
    # Written or not: who begins anew asks the log itself.
    state = %{state | target: nil}
    {:noreply, if(state.beginning == [], do: state, else: %{state | under_way: nil})}
  end

  def handle_info({ref, answer}, %{under_way: {ref, operations, began}} = state) when is_reference(ref) do
    state = %{state | under_way: nil}

    case answer do
      # Whatever it was: requests are written in the order in which they come, so none before it is under way.
      _ when state.beginning != [] ->
        for from <- state.beginning, do: GenServer.reply(from, {:ok, state.epoch})
        {:noreply, %{state | beginning: []}}

      {:ok, last} ->
        {:noreply, settled(done(operations, last, began, state))}

      {:error, {reason, sentence}} when reason in [:full, :io] ->
        {:noreply, failed(operations, reason, sentence, state)}

      {:error, {reason, sentence}} ->
        Logger.error("the event log of #{state.id} cannot be gone on with (#{reason}): #{sentence}")
        {:stop, {:shutdown, {:log, reason, sentence}}, state}
    end
  end

  def handle_info(:again, %{under_way: {nil, _, _}} = state), do: {:noreply, resend(state)}

  def handle_info(:probe, %{refusing: nil} = state), do: {:noreply, state}
  def handle_info(:probe, state), do: {:noreply, probe(state)}
  def handle_info(_, state), do: {:noreply, state}

  # A process of this name before this one may have something under way, too.
  defp barrier(%{target: target, under_way: nil, beginning: [_ | _]} = state) when target != nil,
    do: commit(state, [])

  defp barrier(state), do: state

  defp settled(%{settling: []} = state), do: state

  defp settled(state) do
    under_way = if state.under_way, do: elem(state.under_way, 1), else: []

    if Enum.any?(under_way ++ state.queue, &match?({:unmark, _}, &1)) do
      state
    else
      for from <- state.settling, do: GenServer.reply(from, :ok)
      %{state | settling: []}
    end
  end

  defp write(%{refusing: nil} = state, operation), do: flush(%{state | queue: [operation | state.queue]})
  # The one thing that must not be forgotten.
  defp write(state, {:unmark, _} = operation), do: %{state | queue: [operation | state.queue]}
  defp write(state, _), do: state

  defp flush(%{under_way: nil, target: target, queue: [_ | _]} = state) when target != nil do
    {operations, queue} = take(Enum.reverse(state.queue))
    commit(%{state | queue: queue}, operations)
  end

  defp flush(state), do: state

  # As many as make a request of reasonable size; the rest, the last one first.
  defp take(operations), do: take(operations, [], 0)
  defp take([], taken, _), do: {Enum.reverse(taken), []}
  defp take(rest, taken, bytes) when bytes > @most_bytes, do: {Enum.reverse(taken), Enum.reverse(rest)}
  defp take([operation | rest], taken, bytes), do: take(rest, [operation | taken], bytes + bytes(operation))

  defp bytes({:entries, entries}),
    do: Enum.reduce(entries, 0, fn {_, bytes}, sum -> sum + byte_size(bytes) + 16 end)

  defp bytes(_), do: 16

  defp commit(state, operations), do: resend(%{state | under_way: {nil, operations, System.monotonic_time()}})

  defp resend(%{target: nil} = state), do: state
  defp resend(%{under_way: nil} = state), do: flush(state)

  defp resend(%{under_way: {_, operations, began}} = state) do
    case Link.request(state.target, {:commit, state.id, operations}) do
      {:ok, ref} ->
        %{state | under_way: {ref, operations, began}}

      # A link that takes nothing is not to hold this process.
      :busy ->
        Process.send_after(self(), :again, @again_ms)
        %{state | under_way: {nil, operations, began}}

      # Soon it is said that it is down.
      :down ->
        state
    end
  end

  defp done(operations, last, began, state) do
    duration = System.monotonic_time() - began
    entries = Enum.reduce(operations, 0, fn operation, sum -> sum + count(operation) end)
    Telemetry.execute([:log, :commit], %{duration: duration, entries: entries}, %{world: state.id})

    state = recovered(%{state | durable: max(last, state.durable), waiting: max(state.waiting - entries, 0)})
    for operation <- operations, do: confirm(state.world, operation)
    us = System.convert_time_unit(duration, :native, :microsecond)
    flush(%{state | commits: state.commits + 1, commit_us: us})
  end

  defp failed(operations, reason, sentence, state) do
    kept = Enum.filter(state.queue ++ Enum.reverse(operations), &match?({:unmark, _}, &1))
    Process.send_after(self(), :probe, state.probe_ms)
    state = %{state | failures: state.failures + 1, queue: kept, waiting: 0}

    if state.refusing do
      state
    else
      Logger.error("the event log of #{state.id} cannot be written, actions are refused: #{sentence}")
      refuse(state, if(reason == :full, do: :log_full, else: :log_down))
    end
  end

  defp refuse(state, code) do
    epoch = state.epoch + 1
    if state.world, do: send(state.world, {:journal, self(), {:failed, code, epoch}})
    %{state | refusing: code, epoch: epoch}
  end

  defp recovered(%{refusing: nil} = state), do: state

  defp recovered(state) do
    Logger.warning("the event log of #{state.id} is written again")
    if state.world, do: send(state.world, {:journal, self(), :recovered})
    %{state | refusing: nil}
  end

  # Writes little, to see whether it can be.
  defp probe(%{target: nil} = state) do
    Process.send_after(self(), :probe, state.probe_ms)
    state
  end

  defp probe(%{under_way: nil} = state),
    do: commit(%{state | queue: []}, Enum.reverse(state.queue) ++ [{:reached, state.reached}])

  defp probe(state), do: state

  defp count({:entries, entries}), do: length(entries)
  defp count(_), do: 0

  defp confirm(nil, _), do: :ok

  defp confirm(world, {:entries, entries}) do
    {seq, _} = List.last(entries)
    send(world, {:journal, self(), {:durable, seq}})
  end

  defp confirm(world, {:mark, tick, _}), do: send(world, {:journal, self(), {:marked, tick}})
  defp confirm(_, _), do: :ok
end
