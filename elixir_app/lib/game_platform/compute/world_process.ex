defmodule GamePlatform.Compute.WorldProcess do
  @moduledoc false
  # Owns one world of any backend. Advances are jobs, done one after another in slices; between two
  # slices the process answers everybody else. A job ends early when its deadline passes or its caller
  # dies. The process ends with the owner of the world.

  use GenServer

  alias GamePlatform.{Compute.World, Config, Telemetry}
  alias GamePlatform.Compute.Beam.Topology

  @slice_us 4_000
  @progress_ms 1_000

  defmodule Job do
    @moduledoc false
    # An advance: `goal` is {:by, n} until it begins, then `target` is set.
    defstruct [:from, :goal, :target, :monitor, :timer, :started, :reported]
  end

  def start(module, options, owner) do
    name = if options.name, do: [name: options.name], else: []
    GenServer.start(__MODULE__, {module, options, owner}, name)
  end

  # True for a local process of this module.
  def world?(pid) when is_pid(pid) and node(pid) == node(),
    do: :proc_lib.translate_initial_call(pid) == {__MODULE__, :init, 1}

  def world?(_), do: false

  # Asks for an advance without waiting; `answer/2` tells whether a message is the answer.
  def request_advance_to(pid, tick), do: :gen_server.send_request(pid, {:advance, {:to, tick}, :infinity})

  def answer(message, request) do
    case :gen_server.check_response(message, request) do
      {:reply, answer} -> answer
      {:error, {_reason, _server}} -> {:error, :closed}
      :no_reply -> :no_reply
    end
  end

  @impl true
  def init({module, options, owner}) do
    owner = Process.monitor(owner)
    Telemetry.prepare()

    with {:ok, backend} <- module.new(options),
         {:ok, backend} <- fill(module, backend, options.cells) do
      world = %World{
        pid: self(),
        backend: options.backend,
        module: module,
        reader: module.reader(backend),
        frequency: options.frequency,
        seed: options.seed,
        cells: Topology.cells(options.frequency),
        kinds: Enum.map(options.ruleset.terms["kinds"], & &1["name"]),
        name: options.name
      }

      {:ok,
       %{
         world: world,
         module: module,
         backend: backend,
         owner: owner,
         ready: options.cells != nil,
         waiting: [],
         tick: 0,
         jobs: :queue.new(),
         slicing: false
       }, {:continue, :generate}}
    else
      {:error, reason} -> {:stop, {:shutdown, reason}}
    end
  end

  defp fill(_, backend, nil), do: {:ok, backend}
  defp fill(module, backend, {kinds, amounts}), do: module.fill(backend, kinds, amounts)

  @impl true
  def handle_continue(:generate, state), do: {:noreply, slice(state)}

  @impl true
  def handle_call(:world, from, %{ready: false} = state) do
    {:noreply, %{state | waiting: [from | state.waiting]}}
  end

  def handle_call(:world, _, state), do: {:reply, {:ok, state.world}, state}
  def handle_call(:tick, _, state), do: {:reply, {:ok, state.tick}, state}

  def handle_call(:digest, _, state) do
    case state.module.digest(state.backend) do
      {:ok, digest, backend} -> {:reply, {:ok, digest}, %{state | backend: backend}}
      error -> {:reply, error, state}
    end
  end

  def handle_call(:planes, _, state), do: read(state, & &1.module.planes(&1.backend))
  def handle_call({:cells, ids}, _, state), do: read(state, & &1.module.cells(&1.backend, ids))
  def handle_call({:diff, since}, _, state), do: read(state, & &1.module.diff(&1.backend, since))

  def handle_call(:close, _, state), do: {:stop, :normal, :ok, state}

  def handle_call({:advance, goal, timeout_ms}, {caller, _} = from, state) do
    monitor = Process.monitor(caller)
    timer = if timeout_ms != :infinity, do: Process.send_after(self(), {:late, monitor}, timeout_ms)
    job = %Job{from: from, goal: goal, monitor: monitor, timer: timer}
    {:noreply, slice(%{state | jobs: :queue.in(job, state.jobs)})}
  end

  @impl true
  def handle_info(:slice, state), do: run(%{state | slicing: false})
  def handle_info({:DOWN, owner, _, _, _}, %{owner: owner} = state), do: {:stop, :normal, state}
  def handle_info({:DOWN, monitor, _, _, _}, state), do: {:noreply, drop(state, monitor, nil)}
  def handle_info({:late, monitor}, state), do: {:noreply, drop(state, monitor, {:error, :timeout})}
  def handle_info(_, state), do: {:noreply, state}

  @impl true
  def terminate(_, state), do: state.module.close(state.backend)

  # Once more after a repair, if the memory of the world turns out to be broken.
  defp read(state, fun) do
    with {:error, :corrupt_peer} <- fun.(state),
         {:ok, backend} <- state.module.repair(state.backend) do
      state = %{state | backend: backend}
      {:reply, fun.(state), state}
    else
      answer -> {:reply, answer, state}
    end
  end

  # Asks for a slice, once.
  defp slice(%{slicing: true} = state), do: state

  defp slice(%{ready: true} = state) do
    if :queue.is_empty(state.jobs), do: state, else: request(state)
  end

  defp slice(state), do: request(state)

  defp request(state) do
    send(self(), :slice)
    %{state | slicing: true}
  end

  defp run(%{ready: false} = state) do
    case state.module.generate(state.backend, @slice_us) do
      {:ok, true, backend} ->
        for from <- state.waiting, do: GenServer.reply(from, {:ok, state.world})
        {:noreply, slice(%{state | backend: backend, ready: true, waiting: []})}

      {:ok, false, backend} ->
        {:noreply, slice(%{state | backend: backend})}

      {:error, reason} ->
        {:stop, {:shutdown, reason}, state}
    end
  end

  defp run(state) do
    case :queue.out(state.jobs) do
      {:empty, _} -> {:noreply, state}
      {{:value, job}, rest} -> work(job, %{state | jobs: rest})
    end
  end

  defp work(%Job{target: nil} = job, state) do
    target =
      case job.goal do
        {:by, n} -> now(state) + n
        {:to, tick} -> tick
      end

    if target <= Config.max_tick() do
      job |> begin(target, state) |> advance(state)
    else
      left = Config.max_tick() - now(state)
      finish(job, Config.invalid(:n, target - now(state), "at most #{left} ticks more"), state)

      {:noreply, slice(state)}
    end
  end

  defp work(job, state), do: advance(job, state)

  # An advance that ended with an error may have come further than it was answered.
  defp now(state) do
    case state.module.tick(state.backend) do
      {:ok, tick} -> max(tick, state.tick)
      {:error, _} -> state.tick
    end
  end

  defp begin(job, target, state) do
    now = System.monotonic_time()
    Telemetry.execute([:compute, :advance, :start], %{monotonic_time: now}, metadata(state, target))
    %{job | target: target, started: now, reported: now}
  end

  defp advance(job, state) do
    case state.module.advance(state.backend, job.target, @slice_us) do
      {:ok, tick, true, backend} ->
        state = %{state | tick: tick, backend: backend}
        finish(job, {:ok, tick}, state)
        {:noreply, slice(state)}

      {:ok, tick, false, backend} ->
        state = %{state | tick: tick, backend: backend}
        {:noreply, slice(%{state | jobs: :queue.in_r(report(job, state), state.jobs)})}

      {:error, reason, backend} ->
        finish(job, {:error, reason}, state)
        {:noreply, slice(%{state | backend: backend})}

      {:error, reason} ->
        finish(job, {:error, reason}, state)
        {:noreply, slice(state)}
    end
  end

  defp report(job, state) do
    now = System.monotonic_time()

    if System.convert_time_unit(now - job.reported, :native, :millisecond) >= @progress_ms do
      duration = now - job.started
      Telemetry.execute([:compute, :advance, :progress], %{duration: duration}, metadata(state, job.target))
      %{job | reported: now}
    else
      job
    end
  end

  defp metadata(state, target) do
    %{backend: state.world.backend, frequency: state.world.frequency, tick: state.tick, target: target}
  end

  # Takes the job of `monitor` out of the queue; the next advance goes on where it stopped.
  defp drop(state, monitor, answer) do
    {gone, left} = state.jobs |> :queue.to_list() |> Enum.split_with(&(&1.monitor == monitor))
    for job <- gone, do: finish(job, answer, state)
    %{state | jobs: :queue.from_list(left)}
  end

  defp finish(job, answer, state) do
    Process.demonitor(job.monitor, [:flush])
    if job.timer, do: Process.cancel_timer(job.timer)
    if answer, do: GenServer.reply(job.from, answer)

    if job.started do
      duration = System.monotonic_time() - job.started
      Telemetry.execute([:compute, :advance, :stop], %{duration: duration}, metadata(state, job.target))
    end
  end
end
