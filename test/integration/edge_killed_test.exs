defmodule GamePlatform.EdgeKilledTest do
  # Clients of the official library come back without help, whatever happens to the edge.
  use ExUnit.Case, async: false

  import GamePlatform.{Eventually, Harm}

  alias GamePlatform.{Instance, JSON, Transport}

  @moduletag timeout: 180_000, capture_log: true
  @clients 20
  @line_ms 30_000

  setup context do
    name = Module.concat(__MODULE__, "Game#{context.line}")

    start_supervised!(
      {GamePlatform, name: name, frequency: 24, ups: 20, edge: [port: 0, native: [backoff: {1, 1}]]}
    )

    {:ok, port} = GamePlatform.port(name)
    args = ["conformance/survive.mjs", "http://127.0.0.1:#{port}", "#{@clients}"]
    node = System.find_executable("node")
    clients = Port.open({:spawn_executable, node}, [:binary, {:line, 4096}, args: args, cd: "web"])
    assert live(clients) == %{"live" => @clients, "round" => 1, "gaps" => 0}
    %{name: name, transport: Instance.transport(name), port: port, clients: clients}
  end

  # All of them have been told of the world anew.
  defp live(clients) do
    receive do
      {^clients, {:data, {:eol, line}}} -> line |> JSON.decode() |> elem(1)
    after
      @line_ms -> flunk("the clients did not come back")
    end
  end

  # Clients may be there a moment before the edge is known to be up.
  defp os_pid(transport) do
    wait_until(fn -> Transport.stats(transport).edge != nil end)
    Transport.stats(transport).edge.os_pid
  end

  test "killed twenty times", %{transport: transport, clients: clients, port: port} do
    for round <- 2..21 do
      signal(os_pid(transport), "KILL")
      assert live(clients) == %{"live" => @clients, "round" => round, "gaps" => 0}
      assert {:ok, ^port} = Transport.port(transport)
    end

    # Nothing is left of the sockets that were killed.
    wait_until(fn -> match?(%{connections: @clients, channels: @clients}, Transport.stats(transport)) end)
    assert map_size(GamePlatform.Presence.list(transport, "world:main")) == @clients
  end

  test "stopped under load: the world ticks on, what waits is bounded, and the clients come back", context do
    %{name: name, transport: transport, clients: clients} = context
    stop(%{os_pid: os_pid(transport)})
    tick = GamePlatform.stats(name).tick

    # More than the channel and the egress hold.
    load =
      Task.async(fn ->
        payload = %{text: String.duplicate("x", 10_000)}

        for _ <- 1..10_000 do
          :ok = Transport.broadcast(transport, "world:main", "noise", payload)
          assert Transport.Egress.stats(Transport.egress(transport)).bytes < 32 * 1_048_576
        end
      end)

    wait_until(fn -> GamePlatform.stats(name).tick > tick + 10 end)
    assert %{"live" => @clients, "round" => 2, "gaps" => 0} = live(clients)
    Task.await(load, 60_000)

    wait_until(fn -> match?(%{edge: %{restarts: n}} when n > 0, Transport.stats(transport)) end)
  end
end
