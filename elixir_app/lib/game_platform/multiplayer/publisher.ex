defmodule GamePlatform.Multiplayer.Publisher do
  @moduledoc false
  # Tells clients what changes in a world, at a rate of its own: reads one diff from the world's memory, and sends it
  # to everybody at once through the edge. Those who look at a part of the world share the parts of it.
  #
  # A step is a *stream* frame: one that leads from a tick to another. The edge knows the tick of each client and
  # drops steps for slow ones; their channels then tell them the rest in one larger step.

  use GenServer

  alias GamePlatform.{Compute, JSON, Telemetry, Transport}
  alias GamePlatform.Game.Simulation.{Schedule, WorldServer}
  alias GamePlatform.Transport.Egress

  # Keyframes of one tick, which may last: areas are chosen by clients.
  @kept 16

  @type area :: :all | [Compute.chunk()]
  @type form :: :binary | :json

  def start_link({name, options}), do: GenServer.start_link(__MODULE__, options, name: name)

  # The calling process is told of the area from now on: `keys` are the streams to subscribe to, at `tick`.
  def watch(publisher, area, form), do: GenServer.call(publisher, {:watch, area, form}, 30_000)

  # The stream of a part of the world, as the edge knows it: `part` comes back with `{:lagged, part, at}`.
  def key(topic, part, form), do: Egress.key(topic, "#{part}#{if form == :json, do: "/json"}")

  def parts(:all), do: ["all"]
  def parts(chunks), do: Enum.map(chunks, &Integer.to_string/1)

  # What a channel pushes: bytes as they are, or in JSON.
  def payload(bytes, :binary), do: {:binary, bytes}
  def payload(bytes, :json), do: %{data: Base.encode64(bytes)}

  @impl true
  def init(%{world_server: world_server, transport: transport, topic: topic, hz: hz}) do
    {:ok, world} = WorldServer.world(world_server)
    {:ok, tick} = Compute.tick(world)

    {:ok,
     schedule(%{
       world: world,
       egress: Transport.egress(transport),
       topic: topic,
       schedule: Schedule.new(now_us(), hz),
       tick: tick,
       # {part, form} => the tick that was last told.
       told: %{},
       # pid => {monitor, [{part, form}]}
       watchers: %{},
       # {part, form} => how many watch it
       counts: %{},
       # {tick, area} => bytes, of the newest tick that somebody asked for.
       keyframes: {nil, %{}}
     })}
  end

  @impl true
  def handle_call({:watch, area, form}, {pid, _}, state) do
    state = unwatch(state, pid)
    watched = for part <- parts(area), do: {part, form}
    counts = Enum.reduce(watched, state.counts, &Map.update(&2, &1, 1, fn n -> n + 1 end))
    watchers = Map.put(state.watchers, pid, {Process.monitor(pid), watched})
    with_keyframe(area, %{state | counts: counts, watchers: watchers})
  end

  @impl true
  def handle_info(:publish, state) do
    state = if state.counts == %{}, do: skip(state), else: publish(state)
    {:noreply, schedule(%{state | schedule: Schedule.next(state.schedule, now_us())})}
  end

  def handle_info({:DOWN, _, :process, pid, _}, state), do: {:noreply, unwatch(state, pid)}
  def handle_info(_, state), do: {:noreply, state}

  defp unwatch(state, pid) do
    case Map.pop(state.watchers, pid) do
      {nil, _} ->
        state

      {{monitor, watched}, watchers} ->
        Process.demonitor(monitor, [:flush])
        counts = Enum.reduce(watched, state.counts, &drop/2)
        %{state | watchers: watchers, counts: counts, told: Map.take(state.told, Map.keys(counts))}
    end
  end

  defp drop(key, counts) do
    case counts do
      %{^key => 1} -> Map.delete(counts, key)
      %{^key => n} -> Map.put(counts, key, n - 1)
    end
  end

  # Many may ask for the same one.
  defp with_keyframe(area, %{keyframes: {cached, keyframes}} = state) do
    case Compute.tick(state.world) do
      {:ok, ^cached} when is_map_key(keyframes, area) ->
        {:reply, {:ok, cached, keyframes[area]}, state}

      _ ->
        chunks = if area == :all, do: nil, else: area

        with {:ok, tick, keyframe} <- Compute.keyframe(state.world, chunks: chunks) do
          kept? = tick == cached and map_size(keyframes) < @kept
          keyframes = if kept?, do: Map.put(keyframes, area, keyframe), else: %{area => keyframe}
          {:reply, {:ok, tick, keyframe}, %{state | keyframes: {tick, keyframes}}}
        else
          error -> {:reply, error, state}
        end
    end
  end

  # Nobody watches: who comes next is not told of this.
  defp skip(state) do
    case Compute.tick(state.world) do
      {:ok, tick} -> %{state | tick: tick}
      _ -> state
    end
  end

  defp publish(%{tick: since} = state) do
    started = System.monotonic_time()

    with {:ok, tick} when tick > since <- Compute.tick(state.world),
         {:ok, <<"gpd1", _::32, _::64, tick::64-little, _::binary>> = diff} <-
           Compute.diff(state.world, since) do
      told = state |> parts_of(diff) |> Enum.reduce(state.told, &tell(state, &1, tick, &2))
      duration = System.monotonic_time() - started

      Telemetry.execute([:world, :publish], %{bytes: byte_size(diff), duration: duration}, %{
        tick: tick,
        topic: state.topic
      })

      %{state | tick: tick, told: told}
    else
      # It has not ticked, or cannot be read at this moment: the next step is the larger.
      _ -> state
    end
  end

  defp parts_of(state, diff) do
    watched = for {{part, _}, _} <- state.counts, uniq: true, do: part
    whole = if "all" in watched, do: [{"all", diff}], else: []
    chunks = for part <- watched, part != "all", do: String.to_integer(part)
    {:ok, split} = if chunks == [], do: {:ok, []}, else: Compute.split_diff(diff, chunks)
    whole ++ for({chunk, diff} <- split, do: {Integer.to_string(chunk), diff})
  end

  # A part in which nothing changed was not told of it, so its step begins where it was told of last.
  defp tell(state, {part, diff}, tick, told) do
    for form <- [:binary, :json], is_map_key(state.counts, {part, form}), reduce: told do
      told ->
        since = Map.get(told, {part, form}, state.tick)
        <<head::binary-size(8), _::64, rest::binary>> = diff
        diff = <<head::binary, since::64-little, rest::binary>>

        payload =
          case payload(diff, form) do
            {:binary, _} = payload -> payload
            json -> {:json, JSON.encode!(json)}
          end

        key = key(state.topic, part, form)
        Egress.broadcast(state.egress, key, state.topic, "diff", payload, {since, tick})
        Map.put(told, {part, form}, tick)
    end
  end

  defp schedule(state) do
    Process.send_after(self(), :publish, Schedule.due_ms(state.schedule), abs: true)
    state
  end

  defp now_us, do: System.monotonic_time(:microsecond)
end
