defmodule GamePlatform.TransportCase do
  @moduledoc """
  Tests of clients that talk to `GamePlatform.Test.RoomSocket`: each has a `GamePlatform.Transport` of its own, with the
  options of `@tag transport: […]`, and is given its `name` and `port`.
  """

  use ExUnit.CaseTemplate

  import GamePlatform.WSClient, only: [connect: 2, join: 3, recv: 1]

  alias GamePlatform.Test.RoomSocket
  alias GamePlatform.Transport

  @path "/socket/websocket?vsn=2.0.0"

  using do
    quote do
      import ExUnit.CaptureLog, only: [with_log: 1]
      import GamePlatform.{Eventually, TransportCase, WSClient}

      @moduletag :capture_log
      @path "/socket/websocket?vsn=2.0.0"
    end
  end

  setup context do
    name = Module.concat(context.module, "Edge#{context.line}")
    opts = [name: name, port: 0, sockets: [{"/socket", RoomSocket, %{given: 1}}]]
    start_supervised!({Transport, opts ++ (context[:transport] || [])})
    {:ok, port} = Transport.port(name)
    %{name: name, port: port}
  end

  def client(port, params \\ "") do
    {:ok, client} = connect(port, @path <> params)
    client
  end

  def joined(port, topic, join_params \\ %{}, params \\ "") do
    client = client(port, params)
    [_, _, ^topic, "phx_reply", %{"status" => "ok"}] = join(client, topic, join_params)
    client
  end

  # What comes is exactly this text.
  def assert_text(client, text), do: assert(recv(client) == {:text, text})
end
