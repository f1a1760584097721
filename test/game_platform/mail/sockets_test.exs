defmodule GamePlatform.Mail.SocketsTest do
  # Clients of an edge that are told of messages by the sequencer itself.
  use ExUnit.Case, async: true

  import GamePlatform.{Eventually, WSClient}

  alias GamePlatform.{Mail, MailRoom, Transport}

  @moduletag :capture_log

  defmodule MailChannel do
    use GamePlatform.Channel

    @impl true
    def join("mail:" <> _, _, socket), do: {:ok, socket}

    @impl true
    def handle_in("attach", %{"after" => from, "name" => name}, socket) do
      case Mail.attach(
             socket.assigns.game,
             {:socket, socket},
             [{:player, name}, {:topic, socket.topic}],
             from
           ) do
        {:ok, _} -> {:reply, {:ok, %{}}, socket}
        other -> {:reply, {:error, %{reason: inspect(other)}}, socket}
      end
    end

    def handle_in("detach", _, socket) do
      :ok = Mail.detach(socket.assigns.game, self())
      {:reply, :ok, socket}
    end
  end

  defmodule MailSocket do
    use GamePlatform.Socket
    channel("mail:*", MailChannel)

    @impl true
    def connect(_, socket, _), do: {:ok, socket}

    @impl true
    def id(_), do: nil
  end

  setup %{line: line} do
    [game, edge] = for part <- ~w(Game Edge), do: Module.concat(__MODULE__, "#{part}#{line}")
    start_supervised!({MailRoom, {game, %{}}})
    start_supervised!({Transport, name: edge, port: 0, sockets: [{"/socket", MailSocket, %{game: game}}]})
    {:ok, port} = Transport.port(edge)
    {:ok, game: game, port: port}
  end

  defp client(port) do
    {:ok, client} = connect(port, "/socket/websocket?vsn=2.0.0")
    ["1", "1", "mail:1", "phx_reply", %{"status" => "ok"}] = join(client, "mail:1")
    client
  end

  defp ask(client, event, payload) do
    push(client, "1", "9", "mail:1", event, payload)
    ["1", "9", "mail:1", "phx_reply", %{"status" => status, "response" => response}] = recv_json(client)
    {status, response}
  end

  defp attach(client, name, from), do: ask(client, "attach", %{"after" => from, "name" => name})

  test "messages come in order, with their numbers", %{game: game, port: port} do
    [ann, bob] = for _ <- 1..2, do: client(port)
    assert {"ok", _} = attach(ann, "ann", 0)
    assert {"ok", _} = attach(bob, "bob", 0)
    {:ok, 1} = Mail.post(game, {:player, "ann"}, "e", %{})
    {:ok, 2} = Mail.post(game, {:topic, "mail:1"}, "news", %{a: 1})
    {:ok, 3} = Mail.post(game, {:player, "bob"}, "e", %{b: "ü"})
    {:ok, 4} = Mail.post(game, {:player, "ann"}, "e", %{c: nil})
    {:ok, 5} = Mail.post(game, {:topic, "mail:2"}, "news", %{})
    assert recv(ann) == {:text, ~s(["1",null,"mail:1","e",{"seq":1}])}
    assert recv(ann) == {:text, ~s([null,null,"mail:1","news",{"seq":2,"a":1}])}
    assert recv(ann) == {:text, ~s(["1",null,"mail:1","e",{"seq":4,"c":null}])}
    assert recv(bob) == {:text, ~s([null,null,"mail:1","news",{"seq":2,"a":1}])}
    assert recv(bob) == {:text, ~s(["1",null,"mail:1","e",{"seq":3,"b":"ü"}])}

    assert {"ok", _} = ask(bob, "detach", %{})
    {:ok, 6} = Mail.post(game, {:topic, "mail:1"}, "news", %{})
    {:ok, 7} = Mail.post(game, {:player, "bob"}, "e", %{})
    assert recv(ann) == {:text, ~s([null,null,"mail:1","news",{"seq":6}])}
    assert {"error", %{"reason" => ":behind"}} = attach(bob, "bob", 5)
    assert {"ok", _} = attach(bob, "bob", 7)
  end

  test "who was attached to a sequencer that died is told nothing until it is again", %{
    game: game,
    port: port
  } do
    [ann, bob] = for _ <- 1..2, do: client(port)
    assert {"ok", _} = attach(ann, "ann", 0)
    assert {"ok", _} = attach(bob, "bob", 0)
    pid = MailRoom.sequencer(game)
    Process.exit(pid, :kill)
    wait_until(fn -> MailRoom.sequencer(game) not in [nil, pid] end)
    assert {"ok", _} = attach(ann, "ann", 0)
    {:ok, 1} = Mail.post(game, {:topic, "mail:1"}, "news", %{})
    assert recv(ann) == {:text, ~s([null,null,"mail:1","news",{"seq":1}])}
    # The next that it gets is the answer.
    assert {"error", %{"reason" => ":behind"}} = attach(bob, "bob", 0)
    assert {"ok", _} = attach(bob, "bob", 1)
    {:ok, 2} = Mail.post(game, {:topic, "mail:1"}, "news", %{})
    assert recv(bob) == {:text, ~s([null,null,"mail:1","news",{"seq":2}])}
  end

  test "a channel that is left ends it, and the next one begins anew", %{game: game, port: port} do
    ann = client(port)
    assert {"ok", _} = attach(ann, "ann", 0)
    push(ann, "2", "2", "mail:1", "phx_join", %{})
    assert ["2", "2", "mail:1", "phx_reply", %{"status" => "ok"}] = recv_json(ann)
    assert ["1", "1", "mail:1", "phx_close", %{}] = recv_json(ann)
    wait_until(fn -> Mail.info(game).attached == 0 end)
    {:ok, 1} = Mail.post(game, {:topic, "mail:1"}, "news", %{})
    push(ann, "2", "3", "mail:1", "attach", %{"after" => 1, "name" => "ann"})
    assert ["2", "3", "mail:1", "phx_reply", %{"status" => "ok"}] = recv_json(ann)
    {:ok, 2} = Mail.post(game, {:topic, "mail:1"}, "news", %{})
    assert recv(ann) == {:text, ~s([null,null,"mail:1","news",{"seq":2}])}
  end
end
