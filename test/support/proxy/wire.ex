defmodule GamePlatform.Proxy.Wire do
  @moduledoc false
  # One connection through the proxy. What comes from each side is kept in order until it may go to the other, the end
  # of it too, so that a stall hides from a server that its client has gone.

  @connect_ms 1_000
  # A side of which more than this waits is no longer read.
  @most_bytes 1_048_576
  @other %{up: :down, down: :up}

  # `up` has what the client sends, `down` what the server does: pieces with the time at which each may go, in order.
  defstruct [:client, :server, delay_ms: 0, stalled: %{up: 0, down: 0}, queues: %{}, bytes: %{up: 0, down: 0}] ++
              [armed: %{up: false, down: false}, ended: []]

  def start_link(client, to, how) do
    pid = spawn_link(fn -> receive(do: (:go -> begin(client, to, how))) end)
    :ok = :gen_tcp.controlling_process(client, pid)
    send(pid, :go)
    pid
  end

  defp begin(client, to, how) do
    options = [:binary, active: false, nodelay: true, exit_on_close: false]

    case :gen_tcp.connect({127, 0, 0, 1}, to, options, @connect_ms) do
      {:ok, server} ->
        :ok = :inet.setopts(client, exit_on_close: false)
        wire = %__MODULE__{client: client, server: server, queues: %{up: :queue.new(), down: :queue.new()}}
        wire |> set(how) |> read(:up) |> read(:down) |> loop()

      {:error, _} ->
        :gen_tcp.close(client)
    end
  end

  defp loop(%{ended: [_, _]} = wire), do: close(wire)

  defp loop(%{client: client, server: server} = wire) do
    receive do
      {:tcp, ^client, data} -> wire |> take(:up, data) |> loop()
      {:tcp, ^server, data} -> wire |> take(:down, data) |> loop()
      {:tcp_closed, ^client} -> wire |> take(:up, :fin) |> loop()
      {:tcp_closed, ^server} -> wire |> take(:down, :fin) |> loop()
      # A reset has no order.
      {:tcp_error, _, _} -> reset(wire)
      {:flow, direction} -> put_in(wire.armed[direction], false) |> flow(direction) |> loop()
      {:cut, :fin} -> close(wire)
      {:cut, :rst} -> reset(wire)
      {:set, how} -> wire |> set(how) |> loop()
      {:stall, direction, ms} -> wire |> stall(direction, ms) |> loop()
      {:go_on, directions} -> wire |> go_on(directions) |> loop()
    end
  end

  defp set(wire, {:delay, ms}), do: %{set(wire, :pass) | delay_ms: ms}
  defp set(wire, {:stall, direction}), do: Enum.reduce(directions(direction), wire, &held(&2, &1, 1))
  # What is refused is for the others.
  defp set(wire, :refuse), do: wire

  defp set(wire, :pass),
    do: go_on(%{wire | delay_ms: 0}, for({direction, n} <- wire.stalled, n > 0, do: direction))

  defp stall(wire, direction, ms) do
    directions = directions(direction)
    Process.send_after(self(), {:go_on, directions}, ms)
    Enum.reduce(directions, wire, &held(&2, &1, 1))
  end

  defp directions(:both), do: [:up, :down]
  defp directions(direction), do: [direction]

  # Stalls may overlap.
  defp held(wire, direction, n), do: update_in(wire.stalled[direction], &max(&1 + n, 0))

  defp go_on(wire, directions),
    do:
      Enum.reduce(directions, wire, fn direction, wire -> wire |> held(direction, -1) |> flow(direction) end)

  defp take(wire, direction, piece) do
    wire = update_in(wire.queues[direction], &:queue.in({now_ms() + wire.delay_ms, piece}, &1))
    wire = update_in(wire.bytes[direction], &(&1 + size(piece)))
    wire = flow(wire, direction)
    if piece == :fin or wire.bytes[direction] >= @most_bytes, do: wire, else: read(wire, direction)
  end

  # Sends what may go. Nothing overtakes what waits longer.
  defp flow(wire, direction) do
    with 0 <- wire.stalled[direction],
         {:value, {due, piece}} <- :queue.peek(wire.queues[direction]) do
      left = due - now_ms()

      cond do
        left <= 0 -> wire |> give(direction, piece) |> flow(direction)
        wire.armed[direction] -> wire
        true -> arm(wire, direction, left)
      end
    else
      _ -> wire
    end
  end

  defp arm(wire, direction, ms) do
    Process.send_after(self(), {:flow, direction}, ms)
    put_in(wire.armed[direction], true)
  end

  defp give(wire, direction, piece) do
    full? = wire.bytes[direction] >= @most_bytes
    wire = update_in(wire.queues[direction], &:queue.drop/1)
    wire = update_in(wire.bytes[direction], &(&1 - size(piece)))

    if piece == :fin do
      :gen_tcp.shutdown(to(wire, direction), :write)
      %{wire | ended: Enum.uniq([direction | wire.ended])}
    else
      # One who has gone is noticed as an end of the other direction.
      :gen_tcp.send(to(wire, direction), piece)
      if full?, do: read(wire, direction), else: wire
    end
  end

  defp size(:fin), do: 0
  defp size(piece), do: byte_size(piece)

  defp read(wire, direction) do
    :inet.setopts(from(wire, direction), active: :once)
    wire
  end

  defp from(wire, :up), do: wire.client
  defp from(wire, :down), do: wire.server
  defp to(wire, direction), do: from(wire, @other[direction])

  defp close(wire) do
    :gen_tcp.close(wire.client)
    :gen_tcp.close(wire.server)
  end

  defp reset(wire) do
    for socket <- [wire.client, wire.server], do: :inet.setopts(socket, linger: {true, 0})
    close(wire)
  end

  defp now_ms, do: System.monotonic_time(:millisecond)
end
