defmodule GamePlatform.Transport.ChannelServer do
  @moduledoc false
  # The process of a channel: calls the channel module and sends what it answers.

  use GenServer, restart: :temporary

  require Logger

  alias GamePlatform.{Channel, JSON, Socket, Telemetry, Transport}
  alias GamePlatform.Transport.Egress

  # Most clients say nothing most of the time: without a heap to spare they cost a third.
  @hibernate_ms 15_000
  @told_messages 8
  @told_bytes 8_192

  # Starts the channel and waits for its `join/3`. The caller is the connection.
  @spec join(Supervisor.supervisor(), Socket.t(), term) :: {:ok, pid} | :refused | :crashed
  def join(supervisor, socket, params) do
    ref = make_ref()
    {:ok, pid} = DynamicSupervisor.start_child(supervisor, {__MODULE__, {ref, socket, params}})
    monitor = Process.monitor(pid)

    receive do
      {^ref, answer} ->
        Process.demonitor(monitor, [:flush])
        if answer == :ok, do: {:ok, pid}, else: :refused

      {:DOWN, ^monitor, _, _, _} ->
        :crashed
    end
  end

  def start_link(arg), do: GenServer.start_link(__MODULE__, arg, hibernate_after: @hibernate_ms)

  # What the client sent, as a channel takes it.
  @spec decode(Egress.payload()) :: {:ok, term} | {:error, term}
  def decode({:json, text}), do: JSON.decode(text)
  def decode({:binary, _} = payload), do: {:ok, payload}

  @impl true
  def init(arg), do: {:ok, arg, {:continue, :join}}

  @impl true
  def handle_continue(:join, {ref, %{private: %{connection: connection}} = socket, params}) do
    Process.monitor(connection)
    Logger.metadata(topic: socket.topic, request_id: socket.private.request_id)
    socket = %{socket | channel_pid: self()}
    started = System.monotonic_time()
    result = socket.channel.join(socket.topic, params, socket)
    telemetry(:join, started, socket, is_tuple(result) and elem(result, 0))

    # The answer is sent here, so that nothing that this process sends later overtakes it.
    case result do
      {:ok, socket} ->
        joined(socket, ref, %{})

      {:ok, payload, socket} ->
        joined(socket, ref, payload)

      {:error, payload} ->
        refused(socket, ref, payload)

      other ->
        raise "join/3 of #{inspect(socket.channel)} is to answer as Phoenix.Channel says: #{inspect(other)}"
    end
  end

  defp joined(socket, ref, payload) do
    payload = Channel.encode!(payload)
    subscribe(socket)
    Egress.reply(socket, socket.join_ref, socket.ref, socket.topic, "ok", payload)
    send(socket.private.connection, {ref, :ok})
    {:noreply, %{socket | joined: true, ref: nil}, :hibernate}
  end

  defp refused(socket, ref, payload) do
    Egress.reply(socket, socket.join_ref, socket.ref, socket.topic, "error", Channel.encode!(payload))
    send(socket.private.connection, {ref, :refused})
    {:stop, :shutdown, socket}
  end

  # A channel that looks at broadcasts takes them here, all others leave them to the edge.
  defp subscribe(%{channel: channel} = socket) do
    if channel.__intercepts__() == [],
      do: Egress.subscribe(socket, Egress.key(socket.topic)),
      else: Transport.subscribe(socket.endpoint, socket.topic)
  end

  @impl true
  def handle_info({:channel_in, ref, "phx_leave", _}, socket),
    do: handle({:stop, {:shutdown, :left}, :ok, %{socket | ref: ref}})

  def handle_info({:channel_in, ref, event, payload}, socket) do
    started = System.monotonic_time()
    socket = %{socket | ref: ref}

    result =
      case decode(payload) do
        {:ok, payload} -> socket.channel.handle_in(event, payload, socket)
        {:error, {:invalid_json, reason}} -> {:reply, {:error, %{reason: "invalid JSON: #{reason}"}}, socket}
      end

    telemetry(:handle_in, started, socket, event)
    handled(socket, payload)
    handle(result)
  end

  def handle_info(%Socket.Broadcast{topic: topic} = broadcast, %{topic: topic} = socket) do
    %{event: event, payload: payload} = broadcast

    if event in socket.channel.__intercepts__() do
      handle(socket.channel.handle_out(event, payload, socket))
    else
      Egress.push(socket, nil, nil, event, Channel.encode!(payload))
      {:noreply, socket}
    end
  end

  # The client is gone.
  def handle_info({:DOWN, _, :process, pid, reason}, %{private: %{connection: pid}} = socket),
    do: {:stop, closed(reason), socket}

  def handle_info(message, socket), do: info(message, socket)

  # The client may send more. It is told of several messages at once, which is cheaper, and few enough for a hundred
  # channels of one client. What a channel that ends leaves behind is counted by its connection.
  defp handled(%{private: %{waiting: waiting}} = socket, {_, payload}) do
    size = byte_size(payload)
    for {index, n} <- [{1, -1}, {2, -size}, {3, 1}, {4, size}], do: :counters.add(waiting, index, n)
    {messages, bytes} = {:counters.get(waiting, 3), :counters.get(waiting, 4)}

    if messages >= @told_messages or bytes >= @told_bytes do
      Egress.handled(socket, messages, bytes)
      for index <- [3, 4], do: :counters.put(waiting, index, 0)
    end
  end

  defp closed(reason) when reason in [:normal, :shutdown, :noconnection], do: {:shutdown, :closed}
  defp closed({:shutdown, _}), do: {:shutdown, :closed}
  defp closed(reason), do: {:shutdown, {:connection, reason}}

  defp info(message, %{channel: channel} = socket) do
    if function_exported?(channel, :handle_info, 2) do
      handle(channel.handle_info(message, socket))
    else
      Logger.debug("#{inspect(channel)} has no handle_info/2 for #{inspect(message, limit: 5)}")
      {:noreply, socket}
    end
  end

  defp handle({:noreply, %Socket{} = socket}), do: {:noreply, answered(socket)}
  defp handle({:noreply, %Socket{} = socket, then}), do: {:noreply, answered(socket), then}

  defp handle({:reply, reply, %Socket{} = socket}) do
    reply(socket, reply)
    {:noreply, answered(socket)}
  end

  defp handle({:stop, reason, %Socket{} = socket}), do: stop(reason, socket)

  defp handle({:stop, reason, reply, %Socket{} = socket}) do
    # Nothing is to come after the answer to a leave.
    if reason == {:shutdown, :left}, do: Egress.unsubscribe(socket, Egress.key(socket.topic))
    reply(socket, reply)
    stop(reason, socket)
  end

  defp handle(other), do: raise("a channel is to answer as Phoenix.Channel says, got: #{inspect(other)}")

  # Its client joins again unless it is told that this is the end.
  defp stop(reason, socket) do
    if over?(reason), do: send(socket.private.connection, {:channel_closed, self(), socket.topic})
    {:stop, reason, socket}
  end

  # What cannot be gone on with here, and by a new channel can: no fault, so nothing is logged.
  defp over?({:shutdown, :rejoin}), do: false
  defp over?(reason), do: reason in [:normal, :shutdown] or match?({:shutdown, _}, reason)

  defp answered(socket), do: %{socket | ref: nil}

  # An event without a ref asks for no answer.
  defp reply(%{ref: nil}, _), do: :ok

  defp reply(socket, reply) do
    {status, payload} = Channel.status(reply)
    Egress.reply(socket, socket.join_ref, socket.ref, socket.topic, status, Channel.encode!(payload))
  end

  @impl true
  def terminate(reason, %Socket{joined: joined, channel: channel} = socket) do
    if joined and function_exported?(channel, :terminate, 2), do: channel.terminate(reason, socket)
  end

  def terminate(_, _), do: :ok

  defp telemetry(event, started, socket, what) do
    Telemetry.execute([:channel, event], %{duration: System.monotonic_time() - started}, %{
      channel: socket.channel,
      topic: socket.topic,
      what: what
    })
  end
end
