defmodule GamePlatform.Transport.Egress do
  @moduledoc false
  # The one process that sends to the edge. A process that sends over a full distribution channel is suspended, so
  # worlds and channels send here, and this one never waits either: what does not go is kept, up to a limit.
  #
  # While the edge takes nothing, frames of streams are dropped first: a client that misses one is told later,
  # in one step. If the rest reaches its limit the edge is replaced, and its clients connect anew.

  use GenServer

  require Logger

  alias GamePlatform.{Socket, Telemetry}

  # One message to the edge: so many commands, and bytes, which the last one may exceed.
  @batch 256
  @batch_bytes 262_144
  # How soon a full channel is tried again.
  @retry_ms 2
  # What waits for a full channel, beside a megabyte in the channel itself.
  @stream_bytes 1_048_576
  @max_bytes 16 * 1_048_576
  # What a command costs beside its payload.
  @overhead 128

  @type payload :: {:json, binary} | {:binary, binary}

  def start_link(opts), do: GenServer.start_link(__MODULE__, opts, name: opts[:name])

  # Commands, as docs/edge.md lists them. `n` is the number of a socket.

  def accept(egress, n, connection), do: command(egress, {:accept, n, connection})
  def refuse(egress, n, status, body), do: command(egress, {:refuse, n, status, body})
  def close(egress, n, code, reason), do: command(egress, {:close, n, code, reason})

  def push(%Socket{private: %{egress: egress, n: n}, topic: topic}, join_ref, ref, event, payload),
    do: command(egress, {:push, n, join_ref, ref, topic, event, payload})

  def reply(%Socket{private: %{egress: egress, n: n}}, join_ref, ref, topic, status, payload),
    do: command(egress, {:reply, n, join_ref, ref, topic, status, payload})

  # `at`: the tick that the client is at, for a stream.
  def subscribe(%Socket{private: %{egress: egress, n: n}}, key, at \\ nil),
    do: command(egress, {:subscribe, n, key, at})

  def unsubscribe(%Socket{private: %{egress: egress, n: n}}, key), do: command(egress, {:unsubscribe, n, key})

  # `stream`: nil, or `{since, tick}` of a frame that may be dropped.
  def broadcast(egress, key, topic, event, payload, except \\ nil, stream \\ nil),
    do: command(egress, {:broadcast, key, topic, event, payload, except, stream})

  # The edge is up; from now on commands go there. `replace` is called if it must be replaced.
  def up(egress, server, replace), do: GenServer.call(egress, {:up, server, replace})
  def down(egress), do: GenServer.call(egress, :down)
  def stats(egress), do: GenServer.call(egress, :stats)

  # While it is being started anew there is nobody to send to.
  defp command(egress, command) do
    with pid when is_pid(pid) <- Process.whereis(egress), do: send(pid, {:egress, command})
    :ok
  end

  @impl true
  def init(_) do
    Telemetry.prepare()
    {:ok, %{server: nil, replace: nil, waiting: :queue.new(), bytes: 0, dropped: 0, sent: 0, stalls: 0}}
  end

  @impl true
  def handle_call({:up, server, replace}, _, state),
    do: {:reply, :ok, %{empty(state) | server: server, replace: replace}}

  def handle_call(:down, _, state), do: {:reply, :ok, %{empty(state) | server: nil, replace: nil}}

  def handle_call(:stats, _, state) do
    stats = Map.take(state, [:bytes, :dropped, :sent, :stalls])
    {:reply, Map.put(stats, :waiting, :queue.len(state.waiting)), state}
  end

  @impl true
  def handle_info({:egress, command}, state) do
    batch = [command | more(@batch - 1, @batch_bytes - size(command))]

    cond do
      # Its sockets are gone with it.
      state.server == nil -> {:noreply, state}
      :queue.is_empty(state.waiting) -> {:noreply, deliver(state, batch)}
      true -> {:noreply, keep(state, batch)}
    end
  end

  def handle_info(:retry, state), do: {:noreply, retry(state)}
  def handle_info(_, state), do: {:noreply, state}

  # What else is there already.
  defp more(n, bytes) when n == 0 or bytes <= 0, do: []

  defp more(n, bytes) do
    receive do
      {:egress, command} -> [command | more(n - 1, bytes - size(command))]
    after
      0 -> []
    end
  end

  defp deliver(state, batch) do
    case :erlang.send(state.server, {:gp, batch}, [:nosuspend, :noconnect]) do
      :ok ->
        %{state | sent: state.sent + length(batch)}

      :nosuspend ->
        Process.send_after(self(), :retry, @retry_ms)
        keep(%{state | stalls: state.stalls + 1}, batch)

      :noconnect ->
        %{empty(state) | server: nil}
    end
  end

  defp retry(%{server: nil} = state), do: state

  defp retry(state) do
    {batch, rest, bytes} = take(state.waiting, @batch, [], 0)

    cond do
      batch == [] ->
        state

      :erlang.send(state.server, {:gp, batch}, [:nosuspend, :noconnect]) == :ok ->
        retry(%{state | waiting: rest, bytes: state.bytes - bytes, sent: state.sent + length(batch)})

      true ->
        Process.send_after(self(), :retry, @retry_ms)
        state
    end
  end

  defp take(waiting, n, batch, bytes) when n == 0 or bytes >= @batch_bytes,
    do: {Enum.reverse(batch), waiting, bytes}

  defp take(waiting, n, batch, bytes) do
    case :queue.out(waiting) do
      {{:value, {command, size}}, rest} -> take(rest, n - 1, [command | batch], bytes + size)
      {:empty, rest} -> {Enum.reverse(batch), rest, bytes}
    end
  end

  defp keep(state, batch) do
    state = Enum.reduce(batch, state, &keep_one/2)
    if state.bytes > @max_bytes, do: overflow(state), else: state
  end

  defp keep_one(command, state) do
    size = size(command)

    if stream?(command) and state.bytes + size > @stream_bytes,
      do: %{state | dropped: state.dropped + 1},
      else: %{state | waiting: :queue.in({command, size}, state.waiting), bytes: state.bytes + size}
  end

  defp overflow(state) do
    Logger.warning("the edge has taken nothing while #{div(state.bytes, 1_048_576)} MiB wait: it is replaced")
    state.replace.("it takes nothing while #{state.bytes} bytes wait")
    %{empty(state) | server: nil, dropped: state.dropped + :queue.len(state.waiting)}
  end

  defp empty(state), do: %{state | waiting: :queue.new(), bytes: 0}

  defp stream?({:broadcast, _, _, _, _, _, {_, _}}), do: true
  defp stream?(_), do: false

  defp size({:push, _, _, _, _, _, {_, payload}}), do: byte_size(payload) + @overhead
  defp size({:reply, _, _, _, _, _, {_, payload}}), do: byte_size(payload) + @overhead
  defp size({:broadcast, _, _, _, {_, payload}, _, _}), do: byte_size(payload) + @overhead
  defp size(_), do: @overhead
end
