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

  alias GamePlatform.{Compute, NativeNode, NativePeer, Telemetry, WSClient}

  @moduletag :capture_log

  setup do
    :persistent_term.put(:telemetry, self())
    on_exit(fn -> :persistent_term.erase(:telemetry) end)
  end

  test "each event comes with exactly the keys that are listed" do
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
    native = start_supervised!({NativeNode, NativePeer.options()})
    assert {:ok, _} = NativeNode.await_up(native)
    NativeNode.stop(native)

    for %{event: event, measurements: measurements, metadata: metadata} <- Telemetry.events() do
      assert_receive {^event, measured, about}, 5_000
      assert Enum.sort(Map.keys(measured)) == measurements
      assert Enum.sort(Map.keys(about)) == metadata
    end
  end
end
