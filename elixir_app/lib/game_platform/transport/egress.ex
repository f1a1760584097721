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
  # Answers to requests wait beside that: thousands come at once when what all waited for happens, which says nothing
  # about the edge. They go on while so little else waits that nothing is dropped for them.
  @answer_bytes 64 * 1_048_576
  @little_bytes 262_144
  # What a command costs beside its payload.
  @overhead 128

  @type payload :: {:json, binary} | {:binary, binary}

  def start_link(opts), do: GenServer.start_link(__MODULE__, opts, name: opts[:name])

  # Commands, as docs/edge.md lists them. `n` is the number of a socket: the next edge counts anew, so what is for a
  # socket bears the run of its edge, and never reaches a client of another one.

  def accept(socket, connection), do: command(socket, {:accept, n(socket), connection})
  def refuse(socket, status, body), do: command(socket, {:refuse, n(socket), status, body})
  def close(socket, code, reason), do: command(socket, {:close, n(socket), code, reason})

  def push(%Socket{topic: topic} = socket, join_ref, ref, event, payload),
    do: command(socket, {:push, n(socket), join_ref, ref, topic, event, payload})

  def reply(socket, join_ref, ref, topic, status, payload),
    do: command(socket, {:reply, n(socket), join_ref, ref, topic, status, payload})

  # What a topic is subscribed to by. Streams are its key, `#` and a part, and end with it: so a topic in which there
  # is a `#` has another byte there, which no text has.
  def key(topic, part \\ nil)
  def key(topic, nil), do: :binary.replace(topic, "#", <<0xFF>>, [:global])
  def key(topic, part), do: key(topic) <> "#" <> part

  def topic_and_part(key) do
    [topic | part] = :binary.split(key, "#")
    {:binary.replace(topic, <<0xFF>>, "#", [:global]), List.first(part) || ""}
  end

  # `at`: the tick that the client is at, for a stream.
  def subscribe(socket, key, at \\ nil), do: command(socket, {:subscribe, n(socket), key, at})
  def unsubscribe(socket, key), do: command(socket, {:unsubscribe, n(socket), key})

  # So much of what the client sent has been handled; as long as too much has not, its socket is closed.
  def handled(socket, messages, bytes), do: command(socket, {:handled, n(socket), messages, bytes})

  # The answer to a request of a run of the edge.
  def respond(egress, run, n, status, headers, body),
    do: command(egress, run, {:respond, n, status, headers, body})

  # `stream`: nil, or `{since, tick}` of a frame that may be dropped.
  def broadcast(egress, key, topic, event, payload, stream \\ nil),
    do: command(egress, nil, {:broadcast, key, topic, event, payload, nil, stream})

  # To all but a socket.
  def broadcast_from(socket, key, topic, event, payload),
    do: command(socket, {:broadcast, key, topic, event, payload, n(socket), nil})

  # For what is large, and not needed at once: pushes it, or answers `:crowded` if much waits for the edge already.
  # Thousands of keyframes at a time would look like an edge that takes nothing.
  def offer(%Socket{private: %{egress: egress, run: run}} = socket, join_ref, event, payload) do
    GenServer.call(egress, {:offer, run, {:push, n(socket), join_ref, nil, socket.topic, event, payload}})
  catch
    :exit, _ -> :crowded
  end

  # Whether there is room for what is large.
  def room?(%Socket{private: %{egress: egress}}) do
    GenServer.call(egress, :room?)
  catch
    :exit, _ -> false
  end

  # What tells one run of the edge from the others: the creation in the pids of its processes.
  def run(pid) do
    pid = :erlang.term_to_binary(pid)
    :binary.part(pid, byte_size(pid), -4)
  end

  # The edge is up; from now on commands of its run go there. `replace` is called if it must be replaced.
  def up(egress, server, run, replace), do: GenServer.call(egress, {:up, server, run, replace})
  def down(egress), do: GenServer.call(egress, :down)
  def stats(egress), do: GenServer.call(egress, :stats)

  defp n(%Socket{private: %{n: n}}), do: n

  defp command(%Socket{private: %{egress: egress, run: run}}, command), do: command(egress, run, command)

  # While it is being started anew there is nobody to send to.
  defp command(egress, run, command) do
    with pid when is_pid(pid) <- Process.whereis(egress), do: send(pid, {:egress, run, command})
    :ok
  end

  @impl true
  def init(_) do
    Telemetry.prepare()
    state = empty(%{server: nil, run: nil, replace: nil})
    {:ok, Map.merge(state, %{dropped: 0, sent: 0, stalls: 0})}
  end

  @impl true
  def handle_call({:up, server, run, replace}, _, state),
    do: {:reply, :ok, %{empty(state) | server: server, run: run, replace: replace}}

  def handle_call(:down, _, state),
    do: {:reply, :ok, %{empty(state) | server: nil, run: nil, replace: nil}}

  def handle_call({:offer, run, command}, _, state) do
    if takes_more?(state),
      do: {:reply, :ok, add(state, fresh(run, command, state))},
      else: {:reply, :crowded, state}
  end

  def handle_call(:room?, _, state), do: {:reply, takes_more?(state), state}

  def handle_call(:stats, _, state) do
    stats = Map.take(state, [:dropped, :sent, :stalls])
    waiting = :queue.len(state.waiting) + :queue.len(state.answers)
    {:reply, Map.merge(stats, %{waiting: waiting, bytes: state.bytes + state.answer_bytes}), state}
  end

  @impl true
  def handle_info({:egress, run, command}, state) do
    first = fresh(run, command, state)
    {:noreply, add(state, first ++ more(@batch - 1, @batch_bytes - size(command), state))}
  end

  def handle_info(:retry, state), do: {:noreply, retry(state)}
  def handle_info(_, state), do: {:noreply, state}

  # What else is there already.
  defp more(n, bytes, _) when n == 0 or bytes <= 0, do: []

  defp more(n, bytes, state) do
    receive do
      {:egress, run, command} -> fresh(run, command, state) ++ more(n - 1, bytes - size(command), state)
    after
      0 -> []
    end
  end

  # Nothing, if it is for a socket of another run; a broadcast then leaves nobody out.
  defp fresh(run, command, %{run: current}) when run == nil or run == current, do: [command]
  defp fresh(_, command, _) when elem(command, 0) == :broadcast, do: [put_elem(command, 5, nil)]
  defp fresh(_, _, _), do: []

  defp takes_more?(state), do: state.bytes <= @stream_bytes

  defp add(state, []), do: state
  # Its sockets are gone with it.
  defp add(%{server: nil} = state, _), do: state

  defp add(state, batch),
    do: if(state.bytes + state.answer_bytes == 0, do: deliver(state, batch), else: keep(state, batch))

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
    state = with_answers(state)
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

  defp with_answers(%{bytes: bytes} = state) when bytes > @little_bytes, do: state

  defp with_answers(state) do
    case :queue.out(state.answers) do
      {{:value, {_, size} = answer}, rest} ->
        state = %{state | answers: rest, answer_bytes: state.answer_bytes - size}
        with_answers(%{state | waiting: :queue.in(answer, state.waiting), bytes: state.bytes + size})

      {:empty, _} ->
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

  defp keep_one({:respond, n, _, _, _} = answer, state) do
    size = size(answer)

    if state.answer_bytes + size > @answer_bytes and size > size(busy(n)),
      do: keep_one(busy(n), state),
      else: %{
        state
        | answers: :queue.in({answer, size}, state.answers),
          answer_bytes: state.answer_bytes + size
      }
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

  defp empty(state),
    do: Map.merge(state, %{waiting: :queue.new(), bytes: 0, answers: :queue.new(), answer_bytes: 0})

  # In the place of an answer for which there is no room.
  defp busy(n) do
    headers = [{"content-type", "application/json"}, {"retry-after", "1"}]
    message = "more answers wait than there is room for: try again after the seconds in Retry-After"
    {:respond, n, 503, headers, ~s({"error":{"code":"unavailable","message":"#{message}"}})}
  end

  defp stream?({:broadcast, _, _, _, _, _, {_, _}}), do: true
  defp stream?(_), do: false

  defp size({:push, _, _, _, _, _, {_, payload}}), do: byte_size(payload) + @overhead
  defp size({:reply, _, _, _, _, _, {_, payload}}), do: byte_size(payload) + @overhead
  defp size({:broadcast, _, _, _, {_, payload}, _, _}), do: byte_size(payload) + @overhead

  defp size({:respond, _, _, headers, body}) do
    headers = for {name, value} <- headers, do: byte_size(name) + byte_size(value)
    Enum.sum(headers) + byte_size(body) + @overhead
  end

  defp size(_), do: @overhead
end
