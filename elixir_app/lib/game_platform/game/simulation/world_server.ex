defmodule GamePlatform.Game.Simulation.WorldServer do
  @moduledoc false
  # Makes a world, or brings it back from where it is kept, advances it at a steady number of updates per second, and
  # tells what becomes of the actions that it was given. Who acts waits for the world itself: this server is not between them, so that it ticks on.

  use GenServer

  alias GamePlatform.{Compute, Config, Mail, Telemetry}
  alias GamePlatform.Compute.WorldProcess
  alias GamePlatform.Game.Simulation.Schedule

  # Ticks of the last second are kept for the statistics.
  @window_us 1_000_000
  # The body's actions may take longer than was foreseen; after so many ticks more nobody waits for the outcome.
  @late_ticks 4_000
  # What was answered with a tick that is over by now may have been put off.
  @put_off_ticks 256
  @opened_us 30_000_000
  @again_ms 20

  def start_link({name, options}), do: GenServer.start_link(__MODULE__, options, name: name)

  def stats(server), do: GenServer.call(server, :stats)
  def world(server), do: GenServer.call(server, :world)

  # As `Compute.submit/2`. What becomes of the actions is told to `options.devices`, a registry: to the player as
  # `{:outcomes, player, outcomes}`, and to `:all`; refusals with a `message`. They are told even if the process that acts
  # ends before it is answered, so the server hears of them first.
  def submit(server, actions) do
    with {:ok, world} <- world(server) do
      asked = make_ref()
      GenServer.cast(server, {:asked, asked})
      answer = Compute.submit(world, actions)
      replies = with {:error, _} <- answer, do: [], else: ({:ok, replies} -> replies)

      under_way =
        for {action, %{status: :accepted} = reply} <- Enum.zip(actions, replies),
            do: {{action[:by] || action["by"], reply.action_id}, reply.tick, action[:cell] || action["cell"]}

      GenServer.cast(server, {:under_way, asked, under_way})
      answer
    end
  end

  # Tells what there is to tell at this moment.
  def tell(server), do: GenServer.call(server, :tell)

  @impl true
  def init(%{ups: ups} = options) do
    with {:ok, world, recovered?, told} <- world(options, options[:data]),
         {:ok, tick} <- Compute.tick(world) do
      # What is told already is not told again, and what a restart has left is.
      told = if recovered?, do: min(told || tick, tick), else: tick
      if mail = options[:mail], do: opened(mail, told, now_us() + @opened_us)

      {:ok,
       schedule(%{
         world: world,
         monitor: Process.monitor(world.pid),
         schedule: Schedule.new(now_us(), ups),
         tick: tick,
         request: nil,
         began: nil,
         done: :queue.new(),
         devices: options[:devices],
         mail: options[:mail],
         # {player, action_id} => {the tick after which it is given up, cell}. Of what was accepted before a restart
         # the outcomes are yet to be told, too.
         under_way: if(recovered?, do: %{recovered: {tick + @late_ticks, nil}}, else: %{}),
         # {player, action_id} of what was told since then, by submission that has not been answered yet.
         asked: %{},
         # The tick up to which outcomes have been told, and up to which they have been given to be kept.
         told: told,
         given: told
       })}
    else
      {:error, reason} -> {:stop, {:no_world, reason}}
    end
  end

  defp world(options, nil) do
    if options[:mail], do: begun(options.mail, now_us() + @opened_us)
    options = options |> Map.take(Config.options(:world)) |> Map.to_list()
    with {:ok, world} <- Compute.new_world(options), do: {:ok, world, false, nil}
  end

  defp world(options, data), do: data.module.open(options, data)

  defp begun(mail, until) do
    if not match?({:ok, _}, Mail.begin(mail)) and now_us() < until do
      Process.sleep(@again_ms)
      begun(mail, until)
    end
  end

  # It may be being started again.
  defp opened(mail, tick, until) do
    if Mail.opened(mail, tick, self()) != :ok and now_us() < until do
      Process.sleep(@again_ms)
      opened(mail, tick, until)
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

  def handle_info({:retell, tick}, state), do: {:noreply, tell_all(%{state | given: min(tick, state.given)})}

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
    if state.mail, do: Mail.ticked(state.mail, tick)
    state |> tell_due() |> remember(finish, duration) |> schedule()
  end

  defp tell_due(%{told: told, given: told, under_way: under_way, asked: asked} = state)
       when under_way == %{} and asked == %{},
       do: state

  defp tell_due(state), do: tell_all(state)

  defp tell_all(state) do
    since = min(state.told, state.given)

    # First the tick: all outcomes up to it are seen then.
    with {:ok, tick} <- Compute.tick(state.world),
         {:ok, outcomes} <- Compute.outcomes(state.world, since) do
      outcomes = Enum.map(outcomes, &explain(&1, state))
      told = Enum.reduce(outcomes, max(tick, since), &max(&1.tick, &2))
      if state.mail, do: Mail.outcomes(state.mail, since, told, outcomes)
      new = Enum.filter(outcomes, &(&1.tick > state.told))
      for {player, outcomes} <- Enum.group_by(new, & &1.player), do: dispatch(state.devices, player, outcomes)
      if new != [], do: dispatch(state.devices, :all, new)
      over = for %{player: player, action_id: id} <- new, do: {player, id}
      asked = :maps.map(fn _, {at, keys} -> {at, over ++ keys} end, state.asked)
      under_way = Map.drop(state.under_way, over)
      late(%{state | under_way: under_way, asked: asked, told: told, given: told})
    else
      # It cannot be read at this moment: later there are more.
      {:error, _} -> state
    end
  end

  defp explain(%{outcome: :applied} = outcome, _), do: outcome

  defp explain(%{code: code} = outcome, state) do
    about =
      with {_, cell} when is_integer(cell) <- state.under_way[{outcome.player, outcome.action_id}],
           {:ok, %{owner: owner}} <- Compute.cell(state.world, cell) do
        %{cell: cell, owner: owner}
      else
        _ -> %{}
      end

    Map.put(outcome, :message, Compute.refusal(code, about))
  end

  defp late(%{told: tick} = state) when rem(tick, 64) > 0, do: state

  # Who has not said what it was answered may have ended: then any outcome may be one of its own.
  defp late(%{told: tick} = state) do
    {silent, asked} = Enum.split_with(state.asked, fn {_, {at, _}} -> at + @put_off_ticks < tick end)
    under_way = for {ref, _} <- silent, into: state.under_way, do: {ref, {tick + @late_ticks, nil}}
    under_way = :maps.filter(fn _, {until, _} -> until > tick end, under_way)
    %{state | under_way: under_way, asked: Map.new(asked)}
  end

  defp dispatch(nil, _, _), do: :ok

  defp dispatch(devices, key, outcomes) do
    Registry.dispatch(devices, key, fn subscribers ->
      for {pid, _} <- subscribers, do: send(pid, {:outcomes, key, outcomes})
    end)
  end

  @impl true
  def handle_cast({:asked, ref}, state),
    do: {:noreply, %{state | asked: Map.put(state.asked, ref, {state.told, []})}}

  # What has been told before it is heard of here is not waited for.
  def handle_cast({:under_way, ref, actions}, state) do
    {{_, over}, asked} = Map.pop(state.asked, ref, {state.told, []})

    new =
      for {key, tick, cell} <- actions, key not in over, into: %{} do
        {key, {if(tick > state.told, do: tick + @late_ticks, else: state.told + @put_off_ticks), cell}}
      end

    {:noreply, %{state | asked: asked, under_way: Map.merge(state.under_way, new)}}
  end

  @impl true
  def handle_call(:tell, _, state), do: {:reply, :ok, tell_all(state)}
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
