# The library that a host application has; here it hands every event to whoever asked.
defmodule :telemetry do
  def execute(event, measurements, metadata) do
    case :persistent_term.get(__MODULE__, nil) do
      nil -> :ok
      pid -> send(pid, {event, measurements, metadata})
    end
  end
end

defmodule GamePlatform.TelemetryTest do
  use ExUnit.Case, async: false

  alias GamePlatform.{Compute, HTTPClient, Instance, NativeNode, NativePeer, Telemetry, WSClient}
  alias GamePlatform.Persistence.{DataDir, Snapshotter}

  @moduletag :capture_log

  setup do
    :persistent_term.put(:telemetry, self())
    on_exit(fn -> :persistent_term.erase(:telemetry) end)
  end

  # Of the world of the instance above; it writes one when it is stopped.
  defp snapshotter(dir) do
    {:ok, _} = DataDir.open(dir)
    server = Instance.via(__MODULE__.Game, :world_server)
    options = %{world_server: server, dir: dir, world: "main", every_s: 60, keep: 1, prune: &{:ok, &1}}
    {:ok, snapshotter} = Snapshotter.start_link({nil, options})
    GenServer.stop(snapshotter)
  end

  @tag :tmp_dir
  test "each event comes with exactly the keys that are listed", %{tmp_dir: dir} do
    {:ok, world} = Compute.new_world(frequency: 100)
    # Longer than a second of work, so that progress is reported.
    # An advance that gives up has ended too.
    assert {:error, :timeout} = Compute.advance(world, 1_000_000_000, timeout_ms: 1_500)
    {:ok, [_]} = Compute.submit(world, [%{action: "move"}])
    start_supervised!({GamePlatform, name: __MODULE__.Game, frequency: 2, ups: 100, edge: [port: 0]})
    {:ok, port} = GamePlatform.port(__MODULE__.Game)
    {:ok, client} = WSClient.connect(port, "/socket/websocket?vsn=2.0.0")
    WSClient.join(client, "world:main")
    WSClient.push(client, "1", "2", "world:main", "ping", %{})
    {200, _, _} = HTTPClient.request(port, "GET", "/api/v1/worlds")
    native = start_supervised!({NativeNode, NativePeer.options()})
    assert {:ok, _} = NativeNode.await_up(native)
    NativeNode.stop(native)
    snapshotter(Path.join(dir, "data"))

    for %{event: event, measurements: measurements, metadata: metadata} <- Telemetry.events() do
      assert_receive {^event, measured, about}, 5_000
      assert Enum.sort(Map.keys(measured)) == measurements
      assert Enum.sort(Map.keys(about)) == metadata
    end
  end
end
