defmodule GamePlatform.Game.Simulation.WorldServer do
  @moduledoc false
  # Makes a world and advances it at a steady number of updates per second.

  use GenServer

  alias GamePlatform.{Compute, Telemetry}
  alias GamePlatform.Compute.WorldProcess
  alias GamePlatform.Game.Simulation.Schedule

  # Ticks of the last second are kept for the statistics.
  @window_us 1_000_000

  def start_link({name, options}), do: GenServer.start_link(__MODULE__, options, name: name)

  def stats(server), do: GenServer.call(server, :stats)
  def world(server), do: GenServer.call(server, :world)

  @impl true
  def init(%{ups: ups} = options) do
    case options |> Map.delete(:ups) |> Map.to_list() |> Compute.new_world() do
      {:ok, world} ->
        {:ok,
         schedule(%{
           world: world,
           monitor: Process.monitor(world.pid),
           schedule: Schedule.new(now_us(), ups),
           tick: 0,
           request: nil,
           began: nil,
           done: :queue.new()
         })}

      {:error, reason} ->
        {:stop, {:no_world, reason}}
    end
  end

  @impl true
  def handle_info(:tick, state) do
    request = WorldProcess.request_advance_to(state.world.pid, state.tick + 1)
    {:noreply, %{state | request: request, began: now_us()}}
  end

  # The world is gone: so is its state, and the supervisor starts anew.
  def handle_info({:DOWN, world, :process, _, reason}, %{monitor: world} = state),
    do: {:stop, {:world_down, reason}, state}

  # While a tick is under way, anything may be its answer; meanwhile the server answers others.
  def handle_info(message, %{request: request} = state) when request != nil do
    case WorldProcess.answer(message, request) do
      {:ok, tick} -> {:noreply, ticked(%{state | request: nil}, tick)}
      {:error, reason} -> {:stop, {:world_down, reason}, state}
      :no_reply -> {:noreply, state}
    end
  end

  def handle_info(_, state), do: {:noreply, state}

  defp ticked(state, tick) do
    finish = now_us()
    missed = state.schedule.missed
    duration = finish - state.began
    state = %{state | tick: tick, schedule: Schedule.next(state.schedule, finish)}

    measurements = %{
      duration: System.convert_time_unit(duration, :microsecond, :native),
      missed: state.schedule.missed - missed
    }

    %{backend: backend, frequency: frequency} = state.world
    metadata = %{backend: backend, frequency: frequency, server: self(), tick: tick}
    Telemetry.execute([:world, :tick, :stop], measurements, metadata)
    state |> remember(finish, duration) |> schedule()
  end

  @impl true
  def handle_call(:world, _, state), do: {:reply, {:ok, state.world}, state}

  def handle_call(:stats, _, state) do
    now = now_us()
    state = if :queue.is_empty(state.done), do: state, else: forget(state, now)
    durations = state.done |> :queue.to_list() |> Enum.map(&elem(&1, 1)) |> Enum.sort()
    ups = rate(state.done, now, 2_000_000 / state.schedule.ups)

    stats = %{
      tick: state.tick,
      ups: ups,
      target_ups: state.schedule.ups,
      missed: state.schedule.missed,
      cells: state.world.cells,
      cells_per_s: round(ups * state.world.cells),
      tick_p50_us: percentile(durations, 50),
      tick_p99_us: percentile(durations, 99),
      backend: state.world.backend,
      frequency: state.world.frequency,
      seed: state.world.seed
    }

    {:reply, stats, state}
  end

  defp schedule(state) do
    Process.send_after(self(), :tick, Schedule.due_ms(state.schedule), abs: true)
    state
  end

  defp remember(state, finish, duration) do
    forget(%{state | done: :queue.in({finish, duration}, state.done)}, finish)
  end

  # Two are kept however old, so that a rate below one a second can be told.
  defp forget(state, now) do
    {:value, {finish, _}} = :queue.peek(state.done)

    if finish <= now - @window_us and :queue.len(state.done) > 2,
      do: forget(%{state | done: :queue.drop(state.done)}, now),
      else: state
  end

  # Updates per second between the first and the last tick of the window, or until now if the next is overdue.
  defp rate(done, now, overdue_us) do
    with {:value, {first, _}} <- :queue.peek(done),
         {:value, {last, _}} when last > first <- :queue.peek_r(done) do
      until = if now - last > overdue_us, do: now, else: last
      Float.round((:queue.len(done) - 1) * 1_000_000 / (until - first), 1)
    else
      _ -> 0.0
    end
  end

  defp percentile([], _), do: 0
  defp percentile(sorted, p), do: Enum.at(sorted, div((length(sorted) - 1) * p, 100))

  defp now_us, do: System.monotonic_time(:microsecond)
end
