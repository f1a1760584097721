defmodule GamePlatform.PhoenixClientTest do
  # The official client, in Node and in a browser, over WebSocket and long poll.
  use ExUnit.Case, async: true

  alias GamePlatform.Test.RoomSocket
  alias GamePlatform.Transport

  @moduletag timeout: 180_000, capture_log: true

  for version <- ["1.7", "1.8"], where <- ["node", "browser"] do
    test "phoenix #{version} in #{where}" do
      name = Module.concat(__MODULE__, "Edge#{unquote(where)}#{String.replace(unquote(version), ".", "")}")
      # The page of the browser comes from elsewhere.
      start_supervised!({Transport, name: name, port: 0, origins: :any, sockets: [{"/socket", RoomSocket}]})
      {:ok, port} = Transport.port(name)

      args = [
        "conformance/run.mjs",
        "--url",
        "http://127.0.0.1:#{port}",
        "--phoenix",
        unquote(version),
        "--in",
        unquote(where)
      ]

      {output, status} = System.cmd("node", args, cd: "web", stderr_to_stdout: true)
      assert status == 0, output
      # Every case, over both transports.
      assert output =~ ~r/websocket/ and output =~ ~r/longpoll/
    end
  end
end
