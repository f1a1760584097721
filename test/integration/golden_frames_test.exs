defmodule GamePlatform.GoldenFramesTest do
  # The frames that the Rust side builds its golden files of, on a real connection: the same bytes.
  use ExUnit.Case, async: true

  import GamePlatform.WSClient

  alias GamePlatform.Transport

  @dir "test/fixtures/wire/phoenix"
  @bytes <<0, 1, 254, 255, "xyz">>

  defmodule Channel do
    use GamePlatform.Channel

    @impl true
    def join("room:x", _, _), do: {:error, %{reason: "unauthorized"}}
    def join(_, %{"crash" => _}, _), do: raise("as asked")
    def join("room:" <> room, _, socket), do: {:ok, %{room: room}, socket}
    def join(_, _, socket), do: {:ok, socket}

    @impl true
    def handle_in("ping", {:binary, _}, socket),
      do: {:reply, {:ok, {:binary, <<0, 1, 254, 255, "xyz">>}}, socket}

    def handle_in("ping", _, socket), do: {:reply, {:ok, %{pong: 1}}, socket}
    def handle_in("crash", _, _), do: raise("as asked")

    @impl true
    def handle_info({:push, payload}, socket) do
      push(socket, "pushed", payload)
      {:noreply, socket}
    end
  end

  defmodule UserSocket do
    use GamePlatform.Socket
    channel("room:*", Channel)
    channel("röom:*", Channel)

    @impl true
    def connect(_, socket, _), do: {:ok, socket}
    @impl true
    def id(_), do: nil
  end

  @moduletag :capture_log

  setup context do
    name = Module.concat(__MODULE__, "Edge#{context.line}")
    start_supervised!({Transport, name: name, port: 0, sockets: [{"/socket", UserSocket}]})
    {:ok, port} = Transport.port(name)
    {:ok, client} = connect(port, "/socket/websocket" <> (context[:vsn] || ""))
    %{name: name, client: client}
  end

  defp golden(file), do: @dir |> Path.join(file) |> File.read!()
  defp give(client, file), do: send_frame(client, kind(file), golden(file))
  defp kind(file), do: if(Path.extname(file) == ".bin", do: :binary, else: :text)
  defp assert_next(client, file), do: assert(recv(client) == {kind(file), golden(file)}, file)

  defp channel(name) do
    [{_, pid, _, _}] = DynamicSupervisor.which_children(Transport.part(name, "Channels"))
    pid
  end

  @tag vsn: "?vsn=2.0.0"
  test "V2", %{name: name, client: client} do
    give(client, "v2_client_heartbeat.json")
    assert_next(client, "v2_reply_heartbeat.json")
    give(client, "v2_client_join.json")
    assert_next(client, "v2_reply_join.json")
    give(client, "v2_client_push.json")
    assert_next(client, "v2_reply_ok.json")
    give(client, "v2_client_push_binary.bin")
    assert {:binary, <<1, 1, 2, 6, 2, "415room:1ok", @bytes::binary>>} = recv(client)
    push_binary(client, "4", "5", "room:1", "ping", "")
    assert_next(client, "v2_reply_binary.bin")

    send(channel(name), {:push, %{z: 1}})
    assert_next(client, "v2_push.json")
    send(channel(name), {:push, {:binary, @bytes}})
    assert_next(client, "v2_push_binary.bin")
    Transport.broadcast(name, "room:1", "shout", %{m: "hi"})
    assert_next(client, "v2_broadcast.json")
    Transport.broadcast(name, "room:1", "shout", {:binary, @bytes})
    assert_next(client, "v2_broadcast_binary.bin")

    push(client, "4", nil, "room:1", "crash", %{})
    assert_next(client, "v2_error.json")
    give(client, "v2_client_join.json")
    assert_next(client, "v2_reply_join.json")
    give(client, "v2_client_leave.json")
    {:text, ~s(["4","9","room:1","phx_reply") <> _} = recv(client)
    assert_next(client, "v2_close.json")

    push(client, "15", "15", "nope:1", "phx_join", %{})
    assert_next(client, "v2_reply_unmatched.json")
    push(client, "19", "19", "room:x", "phx_join", %{})
    assert_next(client, "v2_reply_refused.json")
    push(client, "7", "7", "room:1", "phx_join", %{crash: true})
    assert_next(client, "v2_reply_crashed.json")

    join(client, "röom:\"1\"")
    Transport.broadcast(name, "röom:\"1\"", "a\\b\n", %{"é" => "\0"})
    assert_next(client, "v2_broadcast_escaped.json")
  end

  test "V1", %{name: name, client: client} do
    give(client, "v1_client_heartbeat.json")
    assert_next(client, "v1_reply_heartbeat.json")
    give(client, "v1_client_join.json")
    {:text, _} = recv(client)
    give(client, "v1_client_push.json")
    assert_next(client, "v1_reply_ok.json")
    send(channel(name), {:push, %{z: 1}})
    assert_next(client, "v1_push.json")
    Transport.broadcast(name, "room:1", "shout", %{m: "hi"})
    assert_next(client, "v1_broadcast.json")
    send_text(client, ~s({"topic":"room:1","event":"phx_leave","payload":{},"ref":"6","join_ref":"4"}))
    {:text, _} = recv(client)
    assert_next(client, "v1_close.json")
  end
end
