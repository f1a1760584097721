defmodule GamePlatform.EdgeSoakTest do
  # The edge killed, stopped and abused for long, while clients of the official library and by hand use it.
  use ExUnit.Case, async: false

  import GamePlatform.{Eventually, Harm, SoakReport}
  import GamePlatform.WSClient

  alias GamePlatform.{Instance, JSON, Transport, WSClient}
  alias GamePlatform.Test.RoomSocket

  @moduletag :soak
  @moduletag capture_log: true
  @moduletag timeout: :infinity

  @kills String.to_integer(System.get_env("SOAK_EDGE_KILLS", "200"))
  @seconds String.to_integer(System.get_env("SOAK_EDGE_SECONDS", "20"))
  @clients 50
  @path "/socket/websocket?vsn=2.0.0"

  setup_all do
    begin()
  end

  defp game(name, native) do
    start_supervised!({GamePlatform, name: name, frequency: 64, ups: 20, edge: [port: 0, native: native]})
    {:ok, port} = GamePlatform.port(name)
    args = ["conformance/survive.mjs", "http://127.0.0.1:#{port}", "#{@clients}"]

    clients =
      Port.open({:spawn_executable, System.find_executable("node")}, [
        :binary,
        {:line, 4096},
        args: args,
        cd: "web"
      ])

    assert %{"round" => 1} = live(clients)
    {Instance.transport(name), clients}
  end

  defp live(clients) do
    receive do
      {^clients, {:data, {:eol, line}}} -> line |> JSON.decode() |> elem(1)
    after
      60_000 -> flunk("the clients did not come back")
    end
  end

  # Clients may be there a moment before the edge is known to be up.
  defp os_pid(transport) do
    wait_until(fn -> Transport.stats(transport).edge != nil end)
    Transport.stats(transport).edge.os_pid
  end

  test "kills" do
    note(11, "kills of the edge: failed")
    {transport, clients} = game(__MODULE__.Kills, backoff: {1, 1})

    times =
      for round <- 2..(@kills + 1) do
        started = System.monotonic_time(:millisecond)
        signal(os_pid(transport), "KILL")
        assert %{"round" => ^round, "gaps" => 0} = live(clients)
        System.monotonic_time(:millisecond) - started
      end

    note(
      11,
      "#{@kills} kills of the edge with #{@clients} clients of the official library: each time all came back by " <>
        "themselves, #{percentile(times, 50)} ms (median), at most #{Enum.max(times)} ms; no step of the world was missing"
    )
  end

  test "stopped for ten seconds, and never replaced" do
    note(12, "stops of the edge: failed")
    name = __MODULE__.Stopped
    {transport, clients} = game(name, hang_checks: 10_000)
    before = GamePlatform.stats(name)
    stop(%{os_pid: os_pid(transport)})

    most =
      for second <- 1..10 do
        Transport.broadcast(transport, "world:main", "noise", %{text: String.duplicate("x", 50_000)})
        wait_until(fn -> GamePlatform.stats(name).tick >= before.tick + second * 20 end)
        Transport.Egress.stats(Transport.egress(transport)).bytes
      end
      |> Enum.max()

    missed = GamePlatform.stats(name).missed - before.missed
    signal(os_pid_of(transport), "CONT")
    # They have what they missed, and are served as before; none had to connect anew.
    reached = GamePlatform.stats(name).tick
    wait_until(fn -> GamePlatform.stats(name).tick > reached + 40 end)
    refute_receive {^clients, {:data, _}}, 100
    assert %{connections: @clients, edge: %{restarts: 0}} = Transport.stats(transport)

    note(
      12,
      "edge stopped (SIGSTOP) for 10 s under load, #{@clients} clients: #{missed} of 200 ticks missed, at most " <>
        "#{div(most, 1024)} KiB waited in the egress, no client had to connect anew"
    )
  end

  defp os_pid_of(transport), do: GamePlatform.NativeNode.info(Transport.part(transport, "Edge")).os_pid

  test "abuse beside a client that behaves" do
    note(13, "abuse of the edge: failed")
    name = __MODULE__.Abused
    limits = %{header_ms: 1_000, per_ip: 10_000}
    start_supervised!({Transport, name: name, port: 0, sockets: [{"/socket", RoomSocket}], limits: limits})
    {:ok, port} = Transport.port(name)
    quiet = round_trips(port, 5_000)

    abusers =
      for abuse <- abuses(),
          _ <- 1..2,
          do: Task.async(fn -> abuse(port, abuse, System.monotonic_time(:second) + @seconds) end)

    loud = round_trips(port, @seconds * 1_000 - 1_000)
    times = abusers |> Task.await_many(:infinity) |> Enum.sum()
    %{edge: %{refused: refused, closed: closed, restarts: 0}} = Transport.stats(name)
    wait_until(fn -> Transport.stats(name).connections == 0 end)

    counted =
      for {reason, n} <- Enum.sort(Map.to_list(refused) ++ Map.to_list(closed)), n > 100, do: "#{reason} #{n}"

    note(
      13,
      "#{times} abuses in #{@seconds} s (#{Enum.map_join(abuses(), ", ", &elem(&1, 0))}) on the same two cores: a client that " <>
        "behaves waited #{percentile(loud, 50)} µs (median) and #{percentile(loud, 99)} µs (99th percentile) for an answer, " <>
        "#{percentile(quiet, 50)} and #{percentile(quiet, 99)} µs without them; counted: #{Enum.join(counted, ", ")}"
    )
  end

  # Answers for so long, in microseconds each.
  defp round_trips(port, ms) do
    {:ok, client} = connect(port, @path)
    WSClient.join(client, "room:good")
    until = System.monotonic_time(:millisecond) + ms
    times = round_trips(client, until, [])
    WSClient.close(client)
    times
  end

  defp round_trips(client, until, times) do
    # Within the limit of messages a second.
    Process.sleep(6)
    started = System.monotonic_time(:microsecond)
    push(client, "1", "2", "room:good", "echo", %{a: 1})
    [_, "2", _, "phx_reply", _] = recv_json(client)
    times = [System.monotonic_time(:microsecond) - started | times]
    if System.monotonic_time(:millisecond) < until, do: round_trips(client, until, times), else: times
  end

  # What is done, and how it must end.
  defp abuses do
    deep = String.duplicate("[", 5_000)

    [
      {"oversize", fn client -> send_frame(client, :text, String.duplicate("x", 70_000)) end, 1009},
      {"bad UTF-8", fn client -> send_frame(client, :text, <<0xC3, 0x28>>) end, 1007},
      {"no envelope", fn client -> send_text(client, "{}") end, 1011},
      {"deep JSON", fn client -> send_text(client, ~s(["1","1","room:1","phx_join",#{deep}])) end, 1011},
      {"flood",
       fn client -> for _ <- 1..1_000, do: send_text(client, ~s([null,"1","phoenix","heartbeat",{}])) end,
       1008},
      {"header bomb", 431},
      {"slow head", 408},
      {"traversal", 404}
    ]
  end

  defp abuse(port, abuse, until, n \\ 0) do
    if System.monotonic_time(:second) >= until do
      n
    else
      once(port, abuse)
      abuse(port, abuse, until, n + 1)
    end
  end

  defp once(port, {name, act, code}) do
    {:ok, client} = connect(port, @path)
    act.(client)
    assert closing(client) in [code, :closed], name
    WSClient.close(client)
  end

  defp once(port, {"header bomb", status}) do
    headers = for n <- 1..300, do: {"X-#{n}", String.duplicate("y", 100)}
    assert {^status, _, _} = request(port, "GET", "/", headers)
  end

  defp once(port, {"traversal", status}),
    do: assert({^status, _, _} = request(port, "GET", "/..%2f..%2fetc/passwd"))

  defp once(port, {"slow head", status}) do
    {:ok, tcp} = :gen_tcp.connect(~c"127.0.0.1", port, [:binary, active: false])
    answer = drip(tcp, "GET / HTTP/1.1\r\nHost: " <> String.duplicate("x", 1_000))
    assert answer =~ "#{status}" or answer == :closed
    :gen_tcp.close(tcp)
  end

  # A byte at a time, until there is an answer.
  defp drip(tcp, <<byte, rest::binary>>) do
    with :ok <- :gen_tcp.send(tcp, <<byte>>),
         {:error, :timeout} <- :gen_tcp.recv(tcp, 0, 100) do
      drip(tcp, rest)
    else
      {:ok, answer} -> answer
      {:error, _} -> :closed
    end
  end

  defp closing(client) do
    case recv(client) do
      {:close, code, _} -> code
      :closed -> :closed
      _ -> closing(client)
    end
  end

  defp percentile(values, percent) do
    sorted = Enum.sort(values)
    Enum.at(sorted, div((length(sorted) - 1) * percent, 100))
  end
end
