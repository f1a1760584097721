# What is measured: sockets that join one topic, events that are answered, and broadcasts to all.
# `phoenix_app/` has the same channel for Phoenix.

defmodule GamePlatform.Bench.Edge.Channel do
  use GamePlatform.Channel

  alias GamePlatform.Transport

  @impl true
  def join("bench:" <> _, _params, socket), do: {:ok, socket}

  @impl true
  def handle_in("echo", payload, socket), do: {:reply, {:ok, payload}, socket}

  # `rate` broadcasts a second, or all at once if it is 0, from a process that does nothing else.
  def handle_in("start", %{"rate" => rate, "count" => count, "bytes" => bytes}, socket) do
    spawn(fn -> broadcasts(socket, rate, count, bytes, now()) end)
    {:reply, :ok, socket}
  end

  defp broadcasts(socket, rate, count, bytes, start) do
    for n <- 0..(count - 1)//1 do
      if rate > 0, do: wait(start + div(n * 1_000_000_000, rate))
      at = now()
      # `{"at":…,"pad":"…"}` is so long without the padding and the digits.
      pad = String.duplicate("x", max(bytes - 16 - length(Integer.digits(at)), 0))
      :ok = Transport.broadcast(socket.endpoint, socket.topic, "tick", %{at: at, pad: pad})
    end
  end

  defp wait(until) do
    ms = div(until - now(), 1_000_000)
    if ms > 0, do: Process.sleep(ms)
  end

  # CLOCK_MONOTONIC, which the load client reads too.
  defp now, do: :os.perf_counter(:nanosecond)
end

defmodule GamePlatform.Bench.Edge.Socket do
  use GamePlatform.Socket

  channel("bench:*", GamePlatform.Bench.Edge.Channel)

  @impl true
  def connect(_params, socket, _info), do: {:ok, socket}

  @impl true
  def id(_socket), do: nil
end
