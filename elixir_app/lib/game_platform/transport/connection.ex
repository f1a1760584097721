defmodule GamePlatform.Transport.Connection do
  @moduledoc false
  # A client's connection, the counterpart of a process of the edge: asks the socket module whether it may be, starts
  # its channels, and routes to them. What it answers and when is that of `Phoenix.Socket`.

  use GenServer, restart: :temporary

  require Logger

  alias GamePlatform.{JSON, Socket, Telemetry, Transport}
  alias GamePlatform.Transport.{ChannelServer, Egress}

  # Most clients say nothing most of the time: without a heap to spare they cost a third.
  @hibernate_ms 15_000
  # How long a channel may take to end when its client joins the topic again.
  @leave_ms 5_000
  # Topics of one client at a time, as in Phoenix: each costs a process.
  @most_channels 100
  # How often the clock is looked at until a socket expires.
  @expiry_ms 3_600_000

  # `channels`: topic => {pid, monitor, join_ref, waiting}, the last a counter of messages, and bytes, that the channel
  # has not handled yet, and of those it has, without having said so. `topics`: monitor => topic.
  defstruct [:n, :edge, :socket, :channel_supervisor, expiry: nil, channels: %{}, topics: %{}]

  def start_link(arg), do: GenServer.start_link(__MODULE__, arg, hibernate_after: @hibernate_ms)

  @impl true
  def init({pid, n, info, config}) do
    {:ok, {pid, n, info, config}, {:continue, :connect}}
  end

  @impl true
  def handle_continue(:connect, {pid, n, info, config}) do
    monitor = Process.monitor(pid)
    Logger.metadata(request_id: info.request_id)
    path = info.path |> String.replace_suffix("/websocket", "") |> String.replace_suffix("/longpoll", "")
    {handler, assigns} = Map.fetch!(config.sockets, path)

    socket = %Socket{
      endpoint: config.name,
      handler: handler,
      transport: info.transport,
      transport_pid: pid,
      assigns: assigns,
      private: %{
        connection: self(),
        egress: config.egress,
        n: n,
        run: Egress.run(pid),
        vsn: info.vsn,
        request_id: info.request_id
      }
    }

    case connect(handler, socket, info) do
      {:ok, socket} ->
        if socket.id, do: Transport.subscribe(config.name, socket.id)
        Egress.accept(socket, self())
        telemetry(info, handler, :accepted)
        Logger.debug(fn -> "#{info.transport} of #{info.peer} on #{path} connected" end)
        {:noreply, %__MODULE__{n: n, edge: monitor, socket: socket, channel_supervisor: config.channels}}

      {:error, reason} ->
        Egress.refuse(socket, 403, refusal(reason))
        telemetry(info, handler, :refused)
        Logger.info(fn -> "#{info.transport} of #{info.peer} on #{path} refused: #{inspect(reason)}" end)
        {:stop, :normal, nil}
    end
  end

  defp connect(handler, socket, info) do
    info = Map.take(info, [:peer, :headers, :request_id, :transport, :vsn, :query])
    {query, info} = Map.pop!(info, :query)

    case handler.connect(params(query), socket, info) do
      {:ok, %Socket{} = socket} ->
        {:ok, %{socket | id: id!(handler, socket)}}

      :error ->
        {:error, nil}

      {:error, _} = error ->
        error

      # Not shown, as it may hold what only the client is to know.
      _ ->
        raise "connect/3 is to answer as Phoenix.Socket says"
    end
  catch
    # However it fails, the client is waiting.
    kind, reason ->
      stack = without_arguments(__STACKTRACE__)
      Logger.error("#{inspect(handler)} failed in connect: " <> Exception.format(kind, reason, stack))
      {:error, nil}
  end

  defp id!(handler, socket) do
    case handler.id(socket) do
      id when is_binary(id) or id == nil -> id
      other -> raise "id/1 is to give a string or nil, got: #{inspect(other, limit: 5)}"
    end
  end

  # Where no clause fits, these are the parameters and headers of the client, with its token.
  defp without_arguments(stack) do
    for {module, function, arguments, location} <- stack,
        do: {module, function, if(is_list(arguments), do: length(arguments), else: arguments), location}
  end

  # Each name once, as strings; what is no UTF-8 is left out.
  defp params(query) do
    for {name, value} <- URI.query_decoder(query), String.valid?(name), String.valid?(value), into: %{} do
      {name, value}
    end
  rescue
    # A stray percent sign.
    ArgumentError -> %{}
  end

  defp refusal(reason) do
    message = if is_binary(reason), do: reason, else: "this socket may not connect"
    JSON.encode!(%{error: %{code: "refused", message: message}})
  end

  defp telemetry(info, handler, result) do
    Telemetry.execute([:socket, :connect], %{count: 1}, %{
      handler: handler,
      result: result,
      transport: info.transport
    })
  end

  @impl true
  def handle_info({:gp_in, n, join_ref, ref, topic, "phx_join" = event, payload}, %{n: n} = state) do
    state = receive_event(event, topic, join_ref, ref, payload, state)
    {:noreply, handled(state, payload), :hibernate}
  end

  def handle_info({:gp_in, n, join_ref, ref, topic, event, payload}, %{n: n} = state),
    do: {:noreply, receive_event(event, topic, join_ref, ref, payload, state)}

  def handle_info({:gp_lagged, n, key, at}, %{n: n} = state) do
    {topic, part} = Egress.topic_and_part(key)

    case state.channels do
      %{^topic => {pid, _, _, _}} -> send(pid, {:lagged, part, at})
      _ -> :ok
    end

    {:noreply, state}
  end

  # The client is gone, and its channels see that this process is too.
  def handle_info({:DOWN, edge, :process, _, _}, %{edge: edge} = state), do: {:stop, :normal, state}

  # A channel that has not said that it closes: its client is to join again, so that one which was shut down by
  # another process comes back.
  def handle_info({:DOWN, monitor, :process, _, _}, state) when is_map_key(state.topics, monitor),
    do: {:noreply, ended(state, state.topics[monitor], "phx_error")}

  def handle_info({:channel_closed, pid, topic}, state) do
    case state.channels do
      %{^topic => {^pid, monitor, _, _}} ->
        Process.demonitor(monitor, [:flush])
        {:noreply, ended(state, topic, "phx_close")}

      # It has been replaced.
      _ ->
        {:noreply, state}
    end
  end

  # A channel that has been replaced on its topic.
  def handle_info({:replaced, topic, join_ref}, state) do
    push(state, join_ref, join_ref, topic, "phx_close")
    {:noreply, state}
  end

  def handle_info({:expire, at_s}, state) do
    if state.expiry, do: Process.cancel_timer(state.expiry)
    {:noreply, expire_later(state, at_s)}
  end

  def handle_info({:expired, at_s}, state) do
    if System.os_time(:second) >= at_s do
      Egress.close(state.socket, 1008, "token_expired")
      {:noreply, state}
    else
      {:noreply, expire_later(state, at_s)}
    end
  end

  def handle_info(%Socket.Broadcast{event: "disconnect"}, state) do
    Egress.close(state.socket, 1000, "disconnect")
    {:noreply, state}
  end

  def handle_info(_, state), do: {:noreply, state}

  # Clocks are set, and a timer is not for years.
  defp expire_later(state, at_s) do
    ms = min(max(at_s - System.os_time(:second), 0) * 1000, @expiry_ms)
    %{state | expiry: Process.send_after(self(), {:expired, at_s}, ms)}
  end

  defp receive_event("phx_join", topic, join_ref, ref, payload, state) do
    case state.channels do
      %{^topic => {pid, monitor, old_ref, _}} ->
        Process.exit(pid, {:shutdown, :duplicate_join})
        await_end(pid, monitor)
        # After the answer to the new one.
        send(self(), {:replaced, topic, old_ref})
        join(topic, join_ref, ref, payload, forget(state, topic))

      channels when map_size(channels) >= @most_channels ->
        reply(state, join_ref, ref, topic, "error", %{reason: "too many channels joined"})

      _ ->
        join(topic, join_ref, ref, payload, state)
    end
  end

  defp receive_event(event, topic, join_ref, ref, payload, state) do
    case {state.channels, event} do
      # Clients of V1 may name no join.
      {%{^topic => {_, _, current, _}}, "phx_leave"} when join_ref not in [nil, current] ->
        handled(state, payload)

      {%{^topic => {pid, _, _, waiting}}, _} ->
        :counters.add(waiting, 1, 1)
        :counters.add(waiting, 2, bytes(payload))
        send(pid, {:channel_in, ref, event, payload})
        state

      {_, "phx_leave"} ->
        state |> handled(payload) |> reply(join_ref, ref, topic, "ok", %{})

      _ ->
        state |> handled(payload) |> reply(nil, ref, topic, "error", %{reason: "unmatched topic"})
    end
  end

  defp handled(state, payload) do
    Egress.handled(state.socket, 1, bytes(payload))
    state
  end

  defp bytes({_, payload}), do: byte_size(payload)

  defp await_end(pid, monitor) do
    receive do
      {:DOWN, ^monitor, _, _, _} -> :ok
    after
      @leave_ms ->
        Process.exit(pid, :kill)
        receive(do: ({:DOWN, ^monitor, _, _, _} -> :ok))
    end
  end

  defp join(topic, join_ref, ref, payload, state) do
    with {channel, opts} <- Socket.channel_of(state.socket.handler, topic),
         {:ok, params} <- ChannelServer.decode(payload) do
      assigns = Map.merge(state.socket.assigns, Map.new(opts[:assigns] || %{}))

      socket = %{
        state.socket
        | topic: topic,
          channel: channel,
          join_ref: join_ref,
          ref: ref,
          assigns: assigns,
          private: Map.put(state.socket.private, :waiting, :counters.new(4, []))
      }

      case ChannelServer.join(state.channel_supervisor, socket, params) do
        {:ok, pid} ->
          monitor = Process.monitor(pid)
          channels = Map.put(state.channels, topic, {pid, monitor, join_ref, socket.private.waiting})
          %{state | channels: channels, topics: Map.put(state.topics, monitor, topic)}

        :refused ->
          state

        :crashed ->
          unsubscribe(state, topic)
          reply(state, join_ref, ref, topic, "error", %{reason: "join crashed"})
      end
    else
      nil ->
        reply(state, nil, ref, topic, "error", %{reason: "unmatched topic"})

      {:error, _} ->
        Egress.close(state.socket, 1011, "malformed payload")
        state
    end
  end

  defp ended(state, topic, event) do
    {_, _, join_ref, _} = state.channels[topic]
    push(state, join_ref, join_ref, topic, event)
    forget(state, topic)
  end

  defp forget(state, topic) do
    {{_, monitor, _, waiting}, channels} = Map.pop!(state.channels, topic)
    # What it will not handle any more waits for nothing.
    [messages, bytes, done, done_bytes] = for index <- 1..4, do: :counters.get(waiting, index)
    Egress.handled(state.socket, messages + done, bytes + done_bytes)
    # Its own may never have been sent.
    unsubscribe(state, topic)
    %{state | channels: channels, topics: Map.delete(state.topics, monitor)}
  end

  # The streams of the topic go with it.
  defp unsubscribe(state, topic), do: Egress.unsubscribe(state.socket, Egress.key(topic))

  defp push(state, join_ref, ref, topic, event),
    do: Egress.push(%{state.socket | topic: topic}, join_ref, ref, event, {:json, "{}"})

  defp reply(state, join_ref, ref, topic, status, payload) do
    Egress.reply(state.socket, join_ref, ref, topic, status, {:json, JSON.encode!(payload)})
    state
  end
end
