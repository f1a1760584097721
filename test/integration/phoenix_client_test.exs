defmodule GamePlatform.PhoenixClientTest do
  # The official client, in Node and in a browser, over WebSocket and long poll.
  use ExUnit.Case, async: true

  import GamePlatform.{Eventually, Harm}

  alias GamePlatform.{Instance, JSON, Sessions, Transport}
  alias GamePlatform.Test.RoomSocket

  @moduletag timeout: 180_000, capture_log: true
  @line_ms 30_000

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

  for version <- ["1.7", "1.8"] do
    @tag :tmp_dir
    test "phoenix #{version} goes on where it was when the edge is killed", %{tmp_dir: dir} do
      name = Module.concat(__MODULE__, "Game#{String.replace(unquote(version), ".", "")}")

      start_supervised!(
        {GamePlatform,
         name: name, frequency: 12, ups: 50, data_dir: dir, edge: [port: 0, native: [backoff: {1, 1}]]}
      )

      {:ok, port} = GamePlatform.port(name)
      node = System.find_executable("node")
      args = ["conformance/resume.mjs", "http://127.0.0.1:#{port}", unquote(version)]
      clients = Port.open({:spawn_executable, node}, [:binary, {:line, 100_000}, args: args, cd: "web"])
      assert %{"joined" => 2} = line(clients)

      # Some come while nobody is there.
      for round <- 0..9 do
        for n <- 1..10, do: assert({:ok, _} = Sessions.publish(name, "beat", %{n: 10 * round + n}))
        signal(edge(name), "KILL")
        for n <- 101..103, do: assert({:ok, _} = Sessions.publish(name, "beat", %{n: 1000 * round + n}))
        joined(clients)
      end

      beats =
        for round <- 0..9,
            n <- Enum.concat(1..10, 101..103),
            do: if(n > 100, do: 1000 * round + n, else: 10 * round + n)

      ask(clients, "rest")

      wait_until(fn ->
        Enum.all?(ask(clients, "tell"), fn client ->
          length(client["beats"]) >= length(beats) and client["accepted"] -- client["outcomes"] == []
        end)
      end)

      for client <- ask(clients, "tell") do
        assert client["wrong"] == [] and client["beats"] == beats
        assert client["outcomes"] == Enum.uniq(client["outcomes"])
        assert length(client["accepted"]) > 5 and client["joins"] > 5
      end

      Port.close(clients)
    end
  end

  defp edge(name) do
    transport = Instance.transport(name)
    wait_until(fn -> Transport.stats(transport).edge != nil end)
    Transport.stats(transport).edge.os_pid
  end

  defp line(port) do
    receive do
      {^port, {:data, {:eol, line}}} -> line |> JSON.decode() |> elem(1)
    after
      @line_ms -> flunk("the clients do not come back")
    end
  end

  defp joined(port), do: with(%{"clients" => _} <- line(port), do: joined(port))

  defp ask(port, what) do
    Port.command(port, what <> "\n")
    told(port)
  end

  defp told(port) do
    case line(port) do
      %{"clients" => clients} -> clients
      %{"joined" => _} -> told(port)
    end
  end
end
