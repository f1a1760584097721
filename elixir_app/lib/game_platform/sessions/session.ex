defmodule GamePlatform.Sessions.Session do
  @moduledoc false
  # The session of a player, whatever devices and transports there are: how far each device has got, which of them waits,
  # and whether the player is seen in the world. It is made by whoever comes with a valid token, and ends when no device
  # has been heard of for a while; all that it knows is in the tokens and the mailbox, so nothing is lost with it.
  #
  # Presence of sockets is their channels'; this process is there for what comes over HTTP.

  use GenServer, restart: :temporary

  alias GamePlatform.{Instance, Mail}
  alias GamePlatform.Sessions.{Devices, Seen, Settings}
  alias GamePlatform.Sessions.Supervisor, as: SessionsSupervisor

  # How long a player is seen after the last request.
  @present_s 60
  @hibernate_ms 1_000
  @again_ms 10

  @type answer :: {:ok, acked :: non_neg_integer} | {:error, :not_running | :too_many_sessions}

  def start_link({game, player, player_is}) do
    name = {:via, Registry, {Instance.registry(game), {:session, player}, 0}}
    GenServer.start_link(__MODULE__, {game, player, player_is}, name: name, hibernate_after: @hibernate_ms)
  end

  @doc """
  A new device, which begins after `start`; its player stands at `position`, and is `:new` if nobody had that name before.
  """
  @spec connect(atom, String.t(), String.t(), non_neg_integer, non_neg_integer | nil, :new | :known) ::
          answer
  def connect(game, player, id, start, position, player_is),
    do: call(game, player, {:connect, id, start, position}, player_is)

  @doc "A device was heard of over HTTP, and has all up to `acked` if that is a number."
  @spec heard(atom, String.t(), String.t(), non_neg_integer, non_neg_integer | nil) :: answer
  def heard(game, player, id, start, acked), do: call(game, player, {:heard, id, start, acked}, :known)

  @doc """
  The calling process waits for the device from now on, and is sent `{ref, :replaced}` when another one does, and
  `{ref, :ended}` when the session id is revoked. `waited/4` when it does not wait any more.
  """
  @spec waits(atom, String.t(), String.t(), non_neg_integer, reference) :: answer
  def waits(game, player, id, start, ref), do: call(game, player, {:waits, id, start, ref, self()}, :known)

  @spec waited(atom, String.t(), String.t(), reference) :: :ok
  def waited(game, player, id, ref), do: cast(game, player, {:waited, id, ref})

  @doc "The device belongs to a socket, of which `pid` is the channel, as long as that lives."
  @spec socket(atom, String.t(), String.t(), non_neg_integer, pid) :: answer
  def socket(game, player, id, start, pid), do: call(game, player, {:socket, id, start, pid}, :known)

  @doc "The device of that channel has everything up to `seq`. A session that is new gets to know it by that."
  @spec acked(atom, String.t(), String.t(), non_neg_integer, pid) :: answer
  def acked(game, player, id, seq, pid), do: call(game, player, {:acked, id, seq, pid}, :known)

  @doc "Forgets a device, or all of them with `:all`; tells the ids. None if there is no session."
  @spec forget(atom, String.t(), String.t() | :all) :: [String.t()]
  def forget(game, player, id), do: look(game, player, {:forget, id}, [])

  @doc "The devices, as `GamePlatform.Sessions.devices/2` gives them."
  @spec devices(atom, String.t()) :: [map]
  def devices(game, player), do: look(game, player, :devices, [])

  defp look(game, player, request, none) do
    case whereis(game, player) do
      nil -> none
      pid -> GenServer.call(pid, request)
    end
  catch
    :exit, _ -> none
  end

  defp cast(game, player, message) do
    if pid = whereis(game, player), do: GenServer.cast(pid, message)
    :ok
  end

  # One that ends at this moment is made again.
  defp call(game, player, request, player_is, tries \\ 5)
  defp call(_, _, _, _, 0), do: {:error, :not_running}

  defp call(game, player, request, player_is, tries) do
    with {:ok, pid} <- ensure(game, player, player_is), do: GenServer.call(pid, request)
  catch
    :exit, _ ->
      # One that was killed is there for others a little longer.
      Process.sleep(@again_ms)
      call(game, player, request, player_is, tries - 1)
  end

  defp ensure(game, player, player_is) do
    with nil <- whereis(game, player),
         {:error, reason} <-
           DynamicSupervisor.start_child(
             SessionsSupervisor.sessions(game),
             {__MODULE__, {game, player, player_is}}
           ) do
      case reason do
        {:already_started, pid} -> {:ok, pid}
        :max_children -> {:error, :too_many_sessions}
        _ -> {:error, :not_running}
      end
    else
      pid when is_pid(pid) -> {:ok, pid}
      {:ok, pid} -> {:ok, pid}
    end
  end

  defp whereis(game, player) do
    case Registry.lookup(Instance.registry(game), {:session, player}) do
      [{pid, _}] -> pid
      [] -> nil
    end
  rescue
    # The registry is gone with the instance.
    ArgumentError -> nil
  end

  @impl true
  def init({game, player, player_is}) do
    %{session_s: session_s, endpoint: endpoint, topic: topic} = Settings.get(game)
    # Other devices may be there that this process has not heard of yet, unless the player is new.
    quiet_until = if player_is == :new, do: now_s(), else: now_s() + session_s

    {:ok,
     sweep_later(%{
       game: game,
       player: player,
       session_s: session_s,
       devices: %{},
       counted: 0,
       # Device id => {pid, ref, monitor} of what waits for it.
       waiting: %{},
       seen: Seen.new(game, player, endpoint, topic),
       quiet_until: quiet_until,
       # What the mailbox was told that nobody needs any more.
       told: 0,
       sweep: nil
     })}
  end

  @impl true
  def handle_call({:connect, id, start, position}, _, state),
    do: reply(acked_of(id, heard(%{state | seen: Seen.at(state.seen, position)}, id, start, :http)), id)

  def handle_call({:heard, id, start, acked}, _, state) do
    state = heard(state, id, start, :http)
    state = if acked, do: %{state | devices: Devices.acked(state.devices, id, acked)}, else: state
    reply(acked_of(id, state), id)
  end

  def handle_call({:waits, id, start, ref, pid}, _, state) do
    state = state |> dismiss(id, :replaced) |> heard(id, start, :http)
    waiting = Map.put(state.waiting, id, {pid, ref, Process.monitor(pid)})
    reply(acked_of(id, %{state | waiting: waiting}), id)
  end

  def handle_call({:socket, id, start, pid}, _, state),
    do: reply(acked_of(id, joined(state, id, start, pid)), id)

  def handle_call({:acked, id, seq, pid}, _, state) do
    state = joined(state, id, seq, pid)
    reply(acked_of(id, %{state | devices: Devices.acked(state.devices, id, seq)}), id)
  end

  def handle_call(:devices, _, state) do
    now = now_s()

    devices =
      for {id, device} <- Enum.sort(state.devices) do
        via = if device.sockets == %{}, do: "http", else: "socket"
        %{session_id: id, via: via, acked: device.acked, seen_s: max(now - device.seen, 0)}
      end

    {:reply, devices, state}
  end

  def handle_call({:forget, :all}, _, state) do
    ids = Map.keys(state.devices)
    forgotten(ids, Enum.reduce(ids, state, &without(&2, &1)))
  end

  def handle_call({:forget, id}, _, state) do
    known = if is_map_key(state.devices, id), do: [id], else: []
    forgotten(known, without(state, id))
  end

  defp forgotten(ids, state) do
    state = absent_unless_seen(state)
    if state.devices == %{}, do: {:stop, :normal, ids, state}, else: {:reply, ids, state}
  end

  defp reply({acked, state}, id) do
    # To be seen is not waited for.
    continue = if state.devices[id].http && not state.seen.present?, do: {:continue, :present}
    state = count(state)
    if continue, do: {:reply, {:ok, acked}, state, continue}, else: {:reply, {:ok, acked}, tell(state)}
  end

  defp acked_of(id, state), do: {state.devices[id].acked, state}

  @impl true
  def handle_continue(:present, state),
    do: {:noreply, tell(sweep_later(%{state | seen: Seen.come(state.seen)}))}

  @impl true
  def handle_cast({:waited, id, ref}, state) do
    case state.waiting do
      %{^id => {_, ^ref, monitor}} ->
        Process.demonitor(monitor, [:flush])
        state = %{state | waiting: Map.delete(state.waiting, id)}
        {:noreply, if(is_map_key(state.devices, id), do: heard(state, id, 0, :http), else: state)}

      _ ->
        {:noreply, state}
    end
  end

  @impl true
  def handle_info(:sweep, state) do
    now = now_s()

    if Devices.any?(state.devices, now - state.session_s) do
      {:noreply, state |> absent_unless_seen() |> tell() |> sweep_later()}
    else
      {:stop, :normal, state}
    end
  end

  # Something has been done, perhaps a step.
  def handle_info({:outcomes, _, _}, state), do: {:noreply, %{state | seen: Seen.later(state.seen)}}
  def handle_info(:where, state), do: {:noreply, %{state | seen: Seen.moved(state.seen)}}

  def handle_info({:DOWN, monitor, :process, pid, _}, state) do
    case Enum.find(state.waiting, fn {_, {_, _, waiting}} -> waiting == monitor end) do
      {id, _} -> {:noreply, %{state | waiting: Map.delete(state.waiting, id)}}
      nil -> {:noreply, count(%{state | devices: Devices.socket_down(state.devices, pid, now_s())})}
    end
  end

  def handle_info(_, state), do: {:noreply, state}

  defp heard(state, id, start, via),
    do: %{state | devices: Devices.heard(state.devices, id, start, now_s(), via)}

  # Known already, unless this process is younger than the channel.
  defp joined(state, id, start, pid) do
    case state.devices do
      %{^id => %{sockets: %{^pid => _}}} -> state
      _ -> heard(state, id, start, {pid, Process.monitor(pid)})
    end
  end

  defp without(state, id) do
    for {_, monitor} <- Map.get(state.devices, id, %{sockets: %{}}).sockets,
        do: Process.demonitor(monitor, [:flush])

    state = dismiss(state, id, :ended)
    count(%{state | devices: Map.delete(state.devices, id)})
  end

  defp dismiss(state, id, why) do
    case Map.pop(state.waiting, id) do
      {nil, _} ->
        state

      {{pid, ref, monitor}, waiting} ->
        Process.demonitor(monitor, [:flush])
        send(pid, {ref, why})
        %{state | waiting: waiting}
    end
  end

  # Others read it without asking.
  defp count(%{devices: devices, counted: counted} = state) when map_size(devices) == counted, do: state

  defp count(state) do
    counted = map_size(state.devices)
    Registry.update_value(Instance.registry(state.game), {:session, state.player}, fn _ -> counted end)
    %{state | counted: counted}
  end

  # What all devices have need not be kept.
  defp tell(state) do
    now = now_s()

    with true <- now >= state.quiet_until,
         seq when is_integer(seq) and seq > state.told <-
           Devices.all_have(state.devices, now - state.session_s) do
      Mail.acked(state.game, {:player, state.player}, seq)
      %{state | told: seq}
    else
      _ -> state
    end
  end

  defp absent_unless_seen(state) do
    if Devices.http?(state.devices, now_s() - @present_s),
      do: %{state | seen: Seen.still(state.seen)},
      else: %{state | seen: Seen.leave(state.seen)}
  end

  # When there may be something to do: thousands of sessions are not to wake up for nothing.
  defp sweep_later(state) do
    if state.sweep, do: Process.cancel_timer(state.sweep)
    now = now_s()
    all = Map.values(state.devices)
    heard = for device <- all, do: if(device.sockets == %{}, do: device.seen, else: now)
    over = Enum.max(heard, fn -> now end) + state.session_s
    unseen = for %{http: http} when http != nil <- all, state.seen.present?, do: http + @present_s
    due_s = min(over, Enum.max(unseen, fn -> over end)) - now
    %{state | sweep: Process.send_after(self(), :sweep, 1_000 * max(due_s, 1))}
  end

  defp now_s, do: System.monotonic_time(:second)
end
