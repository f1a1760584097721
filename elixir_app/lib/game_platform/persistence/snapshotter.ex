defmodule GamePlatform.Persistence.Snapshotter do
  @moduledoc false
  # Takes a snapshot of a world every so often, and one when it is stopped. After each, the old files are removed, and
  # then what the log has of the time before the oldest file that is left.
  #
  # The work is done by a process of its own, one at a time. What fails is logged and done again at the next turn. A
  # stop waits for the work that is under way, and takes the last snapshot itself.

  use GenServer, shutdown: 30_000

  require Logger

  alias GamePlatform.Compute
  alias GamePlatform.Compute.WorldProcess
  alias GamePlatform.Game.Simulation.WorldServer
  alias GamePlatform.Persistence.{Link, Snapshots}
  alias GamePlatform.Telemetry

  # How long the log may take to be rid of marks that were taken back.
  @settle_ms 10_000
  # The longest that a stop waits for a snapshot that is under way.
  @finish_ms 10_000

  @typedoc """
    * `world_server`: who has the world
    * `dir`, `world`: the data directory, and the world's id in it
    * `every_s`: seconds from one snapshot to the next; `keep`: how many files are kept
    * `link`: the link to the log, which is pruned; or `prune`, a function that does it, of the tick before which
      nothing is needed any more
  """
  @type options :: %{
          required(:world_server) => GenServer.server(),
          required(:dir) => Path.t(),
          required(:world) => Snapshots.id(),
          required(:every_s) => pos_integer,
          required(:keep) => pos_integer,
          optional(:link) => GenServer.server(),
          optional(:prune) => (non_neg_integer -> {:ok, term} | {:error, term})
        }

  @doc "`name` may be nil."
  @spec start_link({GenServer.name() | nil, options}) :: GenServer.on_start()
  def start_link({name, options}),
    do: GenServer.start_link(__MODULE__, options, if(name, do: [name: name], else: []))

  @doc """
  How it is doing: `tick`, `bytes` and `duration_us` of the last snapshot and `age_s` since then, all nil before the
  first; `taken`; `failures`, and `error`, a sentence while the last turn failed.
  """
  @spec info(GenServer.server()) :: %{atom => term}
  def info(server), do: GenServer.call(server, :info)

  @doc "Takes a snapshot now, after one that is under way, and waits until it is on the disk."
  @spec take(GenServer.server(), timeout) :: {:ok, tick :: non_neg_integer} | {:error, term}
  def take(server, timeout \\ :infinity), do: GenServer.call(server, :take, timeout)

  @impl true
  def init(options) do
    Process.flag(:trap_exit, true)
    Telemetry.prepare()

    {:ok,
     later(%{
       options: options,
       work: nil,
       waiting: [],
       next: [],
       last: %{tick: nil, bytes: nil, duration_us: nil, at: nil},
       taken: 0,
       failures: 0,
       error: nil
     })}
  end

  defp later(state) do
    Process.send_after(self(), :turn, state.options.every_s * 1000)
    state
  end

  @impl true
  def handle_call(:take, from, %{work: nil} = state), do: {:noreply, work(%{state | waiting: [from]})}
  # What is under way may have begun before what the caller wants to be in it.
  def handle_call(:take, from, state), do: {:noreply, %{state | next: [from | state.next]}}

  def handle_call(:info, _, %{last: last} = state) do
    age = if last.at, do: System.monotonic_time(:second) - last.at
    about = last |> Map.delete(:at) |> Map.put(:age_s, age)
    {:reply, Map.merge(about, Map.take(state, [:taken, :failures, :error])), state}
  end

  @impl true
  def handle_info(:turn, %{work: nil} = state), do: {:noreply, later(work(state))}
  # It takes longer than a turn: then one turn is left out.
  def handle_info(:turn, state), do: {:noreply, later(state)}

  def handle_info({:EXIT, pid, result}, %{work: pid} = state) do
    state = done(state, result)

    if state.next == [],
      do: {:noreply, state},
      else: {:noreply, work(%{state | waiting: state.next, next: []})}
  end

  def handle_info(_, state), do: {:noreply, state}

  @impl true
  def terminate(_, state) do
    state = if state.work, do: finish(state), else: state
    done(%{state | waiting: state.next}, take_one(state.options, state.last.tick))
  end

  # What it removes can be removed the next time; a whole snapshot takes less.
  defp finish(%{work: pid} = state) do
    receive do
      {:EXIT, ^pid, result} -> done(state, result)
    after
      @finish_ms ->
        Process.exit(pid, :kill)
        state
    end
  end

  # Linked, so that nothing writes any more when this process is killed.
  defp work(%{options: options} = state),
    do: %{state | work: spawn_link(fn -> exit(take_one(options, nil)) end)}

  defp done(state, {:shutdown, {:taken, last, warning}}) do
    if warning, do: Logger.warning("snapshot of world #{state.options.world}: #{warning}")
    answered(%{state | last: last, taken: state.taken + 1, error: warning}, {:ok, last.tick})
  end

  defp done(state, {:shutdown, :same}), do: answered(state, {:ok, state.last.tick})

  defp done(state, reason) do
    sentence =
      case reason do
        {:shutdown, {:failed, reason}} -> sentence(reason)
        reason -> "the process that takes it ended: #{inspect(reason, limit: 10, printable_limit: 200)}"
      end

    # A world that is gone takes its server and this process with it.
    unless reason == {:shutdown, {:failed, :closed}},
      do: Logger.error("no snapshot of world #{state.options.world}: #{sentence}")

    answered(%{state | failures: state.failures + 1, error: sentence}, {:error, {:no_snapshot, sentence}})
  end

  defp answered(%{waiting: waiting} = state, answer) do
    for from <- waiting, do: GenServer.reply(from, answer)
    %{state | work: nil, waiting: []}
  end

  defp sentence({_, %{hint: hint}}), do: hint
  defp sentence({_, sentence}) when is_binary(sentence), do: sentence
  defp sentence(reason), do: inspect(reason)

  # As a reason to exit with. Nothing is done if the world is still at the tick `last`.
  defp take_one(options, last) do
    began = System.monotonic_time()

    with {:ok, world} <- world(options.world_server),
         {:ok, tick} when tick != last <- Compute.tick(world),
         {:ok, binary} <- Compute.snapshot(world),
         # A restart would take a mark before the snapshot's tick for executed.
         :ok <- WorldProcess.settle(world.pid, @settle_ms),
         {:ok, tick} <- Snapshots.write(options.dir, options.world, binary) do
      duration = System.monotonic_time() - began
      bytes = byte_size(binary)
      metadata = %{world: options.world, tick: tick}
      Telemetry.execute([:snapshot, :stop], %{duration: duration, bytes: bytes}, metadata)
      us = System.convert_time_unit(duration, :native, :microsecond)
      last = %{tick: tick, bytes: bytes, duration_us: us, at: System.monotonic_time(:second)}
      {:shutdown, {:taken, last, make_room(options, world, tick)}}
    else
      {:ok, ^last} -> {:shutdown, :same}
      {:error, reason} -> {:shutdown, {:failed, reason}}
    end
  end

  defp world(server) do
    WorldServer.world(server)
  catch
    :exit, _ -> {:error, :closed}
  end

  # The snapshot is there: what is now too much can go. What cannot, goes next time.
  defp make_room(%{dir: dir, world: id} = options, world, tick) do
    WorldProcess.rebase(world.pid, tick, fn -> Snapshots.read(dir, id, tick) end)

    with {:ok, oldest} <- Snapshots.prune(dir, id, options.keep, tick),
         {:ok, _} <- if(oldest, do: prune(options, oldest), else: {:ok, nil}) do
      nil
    else
      {:error, reason} -> "what is old was not removed: #{sentence(reason)}"
    end
  end

  defp prune(%{prune: prune}, tick), do: prune.(tick)
  defp prune(%{link: link, world: id}, tick), do: Link.call(link, {:prune, id, tick})
end
