# The rival of the suite `edge`: the channel of `bench/edge/server.exs` as a Phoenix application, with defaults.

defmodule BenchPhoenix.Application do
  use Application

  @impl true
  def start(_type, _args) do
    children = [{Phoenix.PubSub, name: BenchPhoenix.PubSub}, BenchPhoenix.Endpoint]
    Supervisor.start_link(children, strategy: :one_for_one)
  end
end

defmodule BenchPhoenix.Endpoint do
  use Phoenix.Endpoint, otp_app: :bench_phoenix

  socket("/socket", BenchPhoenix.Socket, websocket: true, longpoll: false)
end

defmodule BenchPhoenix.Socket do
  use Phoenix.Socket

  channel("bench:*", BenchPhoenix.Channel)

  @impl true
  def connect(_params, socket, _connect_info), do: {:ok, socket}

  @impl true
  def id(_socket), do: nil
end

defmodule BenchPhoenix.Channel do
  use Phoenix.Channel

  @impl true
  def join("bench:" <> _, _params, socket), do: {:ok, socket}

  @impl true
  def handle_in("echo", payload, socket), do: {:reply, {:ok, payload}, socket}

  def handle_in("start", %{"rate" => rate, "count" => count, "bytes" => bytes}, socket) do
    spawn(fn -> broadcasts(socket, rate, count, bytes, now()) end)
    {:reply, :ok, socket}
  end

  defp broadcasts(socket, rate, count, bytes, start) do
    for n <- 0..(count - 1)//1 do
      if rate > 0, do: wait(start + div(n * 1_000_000_000, rate))
      at = now()
      pad = String.duplicate("x", max(bytes - 16 - length(Integer.digits(at)), 0))
      :ok = socket.endpoint.broadcast(socket.topic, "tick", %{at: at, pad: pad})
    end
  end

  defp wait(until) do
    ms = div(until - now(), 1_000_000)
    if ms > 0, do: Process.sleep(ms)
  end

  defp now, do: :os.perf_counter(:nanosecond)
end
