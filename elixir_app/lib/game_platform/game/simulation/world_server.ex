defmodule GamePlatform.Game.Simulation.WorldServer do
  @moduledoc false
  # Makes a world and advances it at a steady number of updates per second.

  use GenServer

  alias GamePlatform.{Compute, Telemetry}
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
        Process.monitor(world.pid)
        {:ok, schedule(%{world: world, schedule: Schedule.new(now_us(), ups), tick: 0, done: :queue.new()})}

      {:error, reason} ->
        {:stop, {:no_world, reason}}
    end
  end

  @impl true
  def handle_info(:tick, state) do
    start = now_us()
    {:ok, tick} = Compute.advance_to(state.world, state.tick + 1)
    finish = now_us()
    missed = state.schedule.missed
    state = %{state | tick: tick, schedule: Schedule.next(state.schedule, finish)}

    measurements = %{
      duration: System.convert_time_unit(finish - start, :microsecond, :native),
      missed: state.schedule.missed - missed
    }

    %{backend: backend, frequency: frequency} = state.world
    metadata = %{backend: backend, frequency: frequency, server: self(), tick: tick}
    Telemetry.execute([:world, :tick, :stop], measurements, metadata)
    {:noreply, state |> remember(finish, finish - start) |> schedule()}
  end

  # The world is gone: so is its state, and the supervisor starts anew.
  def handle_info({:DOWN, _, :process, _, reason}, state), do: {:stop, {:world_down, reason}, state}
  def handle_info(_, state), do: {:noreply, state}

  @impl true
  def handle_call(:world, _, state), do: {:reply, {:ok, state.world}, state}

  def handle_call(:stats, _, state) do
    state = forget(state, now_us())
    durations = state.done |> :queue.to_list() |> Enum.map(&elem(&1, 1)) |> Enum.sort()
    ups = rate(state.done)

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
    # Rounded up: a timer that fires early would start a slot before it is due.
    due_ms = div(Schedule.due_us(state.schedule) + 999, 1000)
    Process.send_after(self(), :tick, due_ms, abs: true)
    state
  end

  defp remember(state, finish, duration) do
    forget(%{state | done: :queue.in({finish, duration}, state.done)}, finish)
  end

  defp forget(state, now) do
    case :queue.peek(state.done) do
      {:value, {finish, _}} when finish <= now - @window_us ->
        forget(%{state | done: :queue.drop(state.done)}, now)

      _ ->
        state
    end
  end

  # Updates per second between the first and the last tick of the window.
  defp rate(done) do
    with {:value, {first, _}} <- :queue.peek(done),
         {:value, {last, _}} when last > first <- :queue.peek_r(done) do
      Float.round((:queue.len(done) - 1) * 1_000_000 / (last - first), 1)
    else
      _ -> 0.0
    end
  end

  defp percentile([], _), do: 0
  defp percentile(sorted, p), do: Enum.at(sorted, div((length(sorted) - 1) * p, 100))

  defp now_us, do: System.monotonic_time(:microsecond)
end
