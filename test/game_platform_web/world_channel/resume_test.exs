defmodule GamePlatformWeb.WorldChannel.ResumeTest do
  # What has a seq comes exactly once and in order, through the edge, to whoever says what it has seen.
  use ExUnit.Case, async: true

  import GamePlatform.Eventually
  import GamePlatform.WSClient

  alias GamePlatform.{Instance, JSON, Mail, Multiplayer, Sessions}
  alias GamePlatform.Transport.Token

  @moduletag :capture_log
  @secret String.duplicate("s", 32)
  @path "/socket/websocket?vsn=2.0.0"
  @topic "world:main"

  setup context do
    game = Module.concat(__MODULE__, "Game#{context.line}")
    edge = [port: 0, jwt_secret: @secret, hz: 20]
    opts = [name: game, frequency: 8, ups: 50, backend: :nif] ++ (context[:opts] || [])
    start_supervised!({GamePlatform, opts ++ [edge: edge]})
    {:ok, port} = GamePlatform.port(game)
    %{game: game, port: port}
  end

  defp token(name, ttl_s \\ 60), do: elem(Token.sign(%{sub: name}, @secret, ttl_s: ttl_s), 1)

  defp socket(port, token, params \\ %{}) do
    {:ok, client} = connect(port, @path <> "&" <> URI.encode_query(Map.put(params, "token", token)))
    client
  end

  # Joined, with the answer.
  defp joined(client, topic \\ @topic, params \\ %{}) do
    push(client, "1", "1", topic, "phx_join", params)
    {["1", "1", ^topic, "phx_reply", %{"status" => "ok", "response" => response}], _} = next(client)
    {client, response}
  end

  defp next(client) do
    case recv(client) do
      {:text, text} ->
        {:ok, [_, _, _, event, _] = frame} = JSON.decode(text)
        if event in ~w(diff presence_diff presence_state), do: next(client), else: {frame, client}

      other ->
        {other, client}
    end
  end

  # The next with a seq, keyframes passed over.
  defp message(client) do
    case next(client) do
      {[_, _, _, "keyframe", _], client} -> message(client)
      {[_, _, _, event, %{"seq" => seq} = payload], _} -> {seq, event, Map.delete(payload, "seq")}
      {other, _} -> other
    end
  end

  defp ask(client, ref, event, payload, topic \\ @topic) do
    push(client, "1", ref, topic, event, payload)
    answer(client, ref, [])
  end

  # With what else came before the answer.
  defp answer(client, ref, others) do
    case next(client) do
      {[_, ^ref, _, "phx_reply", %{"status" => status, "response" => response}], _} ->
        {status, response, others}

      {other, client} ->
        answer(client, ref, others ++ [other])
    end
  end

  defp publish(game, n) do
    {:ok, seq} = Sessions.publish(game, "event", %{n: n})
    seq
  end

  test "events and outcomes come in order, live and after a while away", %{game: game, port: port} do
    {client, %{"seq" => start, "home" => home}} = port |> socket(token("ann")) |> joined()
    first = publish(game, 1)
    assert first > start
    assert message(client) == {first, "event", %{"n" => 1}}
    close(client)

    [second, third] = for n <- 2..3, do: publish(game, n)

    {:ok, [%{status: :accepted}]} =
      Multiplayer.submit(game, "ann", [%{action_id: "a", action: "claim", cell: home}])

    # Somebody else's is not for her.
    {:ok, _} = Sessions.tell(game, "ben", "event", %{n: 0})
    wait_until(fn -> Mail.answered(game, "ann", "a") != nil end)
    last = publish(game, 4)

    # By the parameter of the socket, and by that of the join, which counts.
    for {socket_params, join_params} <- [{%{resume: first}, %{}}, {%{resume: 1}, %{resume: first}}] do
      {client, %{"seq" => ^first}} =
        port |> socket(token("ann"), socket_params) |> joined(@topic, join_params)

      assert {^second, "event", %{"n" => 2}} = message(client)
      assert {^third, "event", %{"n" => 3}} = message(client)
      assert {seq, "outcome", %{"action_id" => "a", "outcome" => "applied"}} = message(client)
      assert seq > third and seq < last
      assert {^last, "event", %{"n" => 4}} = message(client)
      close(client)
    end

    # Who says nothing begins now, and so does a script that knows nothing yet.
    for nothing <- ["", "undefined", "null"] do
      assert {_, %{"seq" => now}} = port |> socket(token("ann"), %{resume: nothing}) |> joined()
      assert now >= last
    end

    {client, %{"seq" => now}} = port |> socket(token("ann")) |> joined()
    assert now >= last
    live = publish(game, 5)
    assert message(client) == {live, "event", %{"n" => 5}}
  end

  test "a session goes on where it acknowledged, on any transport", %{game: game, port: port} do
    {:ok, %{token: token, session_id: id}} = Sessions.connect(game, %{token: token("ann")})
    {client, _} = port |> socket(token) |> joined()
    [first, second] = for n <- 1..2, do: publish(game, n)
    assert {^first, _, _} = message(client)
    assert {^second, _, _} = message(client)
    assert {"ok", _, []} = ask(client, "2", "ack", %{seq: first})
    close(client)
    assert {client, %{"seq" => ^first}} = port |> socket(token) |> joined()
    assert {^second, "event", %{"n" => 2}} = message(client)

    for bad <- [%{}, %{seq: -1}, %{seq: "x"}, %{seq: 1.5}, %{seq: second + 1_000_000}, []] do
      assert {"error", %{"field" => "seq"}, _} = ask(client, "3", "ack", bad)
    end

    # Logging out ends its sockets, and the token is worth nothing.
    {:ok, _} = Sessions.logout(game, token)
    assert {{:close, 1000, "disconnect"}, _} = next(client)
    assert {:refused, 403, body} = connect(port, @path <> "&token=#{token}")
    assert body =~ "revoked"
    refute body =~ id
  end

  @tag opts: [mail: %{player_messages: 4}]
  test "who stayed away too long is told of the gap, then of the world as it is", %{game: game, port: port} do
    {client, %{"seq" => start}} = port |> socket(token("ann")) |> joined()
    close(client)
    seqs = for n <- 1..10, do: elem(Sessions.tell(game, "ann", "event", %{n: n}), 1)
    # The keyframe of the join is in its answer, as there are no binary messages.
    {client, _} = port |> socket(token("ann")) |> joined(@topic, %{resume: start})
    from = start + 1
    to = Enum.at(seqs, 5)
    assert {[_, _, _, "gap", %{"from" => ^from, "to" => ^to, "seq" => ^to}], client} = next(client)
    rest = for _ <- 1..5, do: elem(next(client), 0)
    assert [[_, _, _, "keyframe", _]] = Enum.filter(rest, &match?([_, _, _, "keyframe", _], &1))
    assert for([_, _, _, "event", %{"n" => n}] <- rest, do: n) == [7, 8, 9, 10]
  end

  test "what cannot be resumed from is said", %{game: game, port: port} do
    client = socket(port, token("ann"))

    for bad <- [-1, 1.5, "x", "12x", %{}] do
      push(client, "1", "1", @topic, "phx_join", %{resume: bad})
      assert {[_, "1", _, "phx_reply", %{"status" => "error", "response" => response}], _} = next(client)
      assert %{"field" => "resume", "reason" => _} = response
    end

    last = publish(game, 1)
    # What was seen of a server before, which kept nothing.
    assert {client, %{"seq" => ^last}} = joined(client, @topic, %{resume: last + 1_000_000})
    assert {last, "gap", %{"from" => 1, "to" => last}} == message(client)
    assert {[_, _, _, "keyframe", _], client} = next(client)
    seq = publish(game, 2)
    assert {seq, "event", %{"n" => 2}} == message(client)
  end

  test "the sequencer dies: channels are joined again, and nothing is lost or twice", %{
    game: game,
    port: port
  } do
    {client, _} = port |> socket(token("ann")) |> joined()
    first = publish(game, 1)
    assert {^first, _, _} = message(client)
    pid = GenServer.whereis(Instance.via(game, :mail))
    Process.exit(pid, :kill)
    assert {["1", "1", @topic, "phx_error", _], _} = next(client)
    wait_until(fn -> match?({:ok, _}, Sessions.publish(game, "event", %{n: 2})) end)
    push(client, "2", "2", @topic, "phx_join", %{resume: first})
    assert {["2", "2", _, "phx_reply", %{"status" => "ok"}], _} = next(client)
    assert {second, "event", %{"n" => 2}} = message(client)
    third = publish(game, 3)
    assert message(client) == {third, "event", %{"n" => 3}}
    assert third > second
  end

  test "a token ends, and is renewed in time", %{port: port, game: game} do
    {:ok, %{token: token}} = Sessions.connect(game, %{token: token("ann")})
    {client, _} = port |> socket(token) |> joined()
    assert {"ok", %{"token" => newer, "expires_at" => _}, _} = ask(client, "2", "refresh", %{})
    assert {_, _} = port |> socket(newer) |> joined()

    {short, _} = port |> socket(token("ben", 1)) |> joined()
    assert {{:close, 1008, "token_expired"}, _} = next(short)
    assert {:refused, 403, body} = connect(port, @path <> "&token=#{token("ben", 1) |> expired()}")
    assert body =~ "expired"
  end

  defp expired(_), do: elem(Token.sign(%{sub: "ben", exp: System.os_time(:second) - 1}, @secret), 1)

  test "what a channel asked for that was replaced meanwhile is not told twice", %{game: game, port: port} do
    client = socket(port, token("ann"))
    sequencer = Instance.whereis(game, :mail)
    :ok = :sys.suspend(sequencer)

    waits = fn n ->
      wait_until(fn -> Process.info(sequencer, :message_queue_len) == {:message_queue_len, n} end)
    end

    {client, _} = joined(client)
    waits.(1)
    public = Task.async(fn -> publish(game, 1) end)
    waits.(2)
    private = Task.async(fn -> Sessions.tell(game, "ann", "event", %{n: 2}) end)
    waits.(3)
    push(client, "2", "2", @topic, "phx_join", %{})
    # The first one has ended, and the second one asks.
    waits.(4)
    :ok = :sys.resume(sequencer)
    public = Task.await(public)
    {:ok, private} = Task.await(private)
    last = publish(game, 3)

    events = fn events, client ->
      case next(client) do
        {[join_ref, _, _, "event", %{"seq" => ^last}], _} -> Enum.reverse([{join_ref, last} | events])
        {[join_ref, _, _, "event", %{"seq" => seq}], client} -> {:more, [{join_ref, seq} | events], client}
        {_, client} -> {:more, events, client}
      end
    end

    told = Stream.iterate({:more, [], client}, fn {:more, told, client} -> events.(told, client) end)
    told = Enum.find(told, &is_list/1)
    assert for({join_ref, seq} <- told, join_ref != "1", do: seq) == [public, private, last]
  end

  test "a socket that has not heard of the end of its token joins nothing", %{game: game, port: port} do
    {:ok, %{token: token, session_id: id}} = Sessions.connect(game, %{token: token("ann")})
    {:ok, %{token: bens}} = Sessions.connect(game, %{token: token("ben")})
    until = System.os_time(:second) + 100

    for {client, player, key} <- [
          {socket(port, token), "ann", id},
          {socket(port, bens), "ben", Sessions.Tokens.player_key("ben")}
        ] do
      {:ok, _} = Mail.revoke(game, key, until)

      for topic <- [@topic, "player:" <> player] do
        push(client, "1", "1", topic, "phx_join", %{watch: true})

        assert {[_, "1", ^topic, "phx_reply", %{"status" => "error", "response" => response}], _} =
                 next(client)

        assert response["reason"] =~ "revoked"
      end
    end
  end

  test "a player may have what is private without the field", %{game: game, port: port} do
    client = socket(port, token("ann"))
    push(client, "9", "9", "player:ben", "phx_join", %{})
    assert {[_, "9", _, "phx_reply", %{"status" => "error"}], _} = next(client)
    {client, %{"player" => "ann", "home" => home}} = joined(client, "player:ann")
    _ = publish(game, 1)
    {:ok, private} = Sessions.tell(game, "ann", "event", %{n: 2})
    assert {^private, "event", %{"n" => 2}} = message(client)
    claim = %{action_id: "c", action: "claim", cell: home}
    {"ok", %{"status" => "accepted"}, _} = ask(client, "2", "action", claim, "player:ann")
    assert {_, "outcome", %{"action_id" => "c", "outcome" => "applied"}} = message(client)
    assert {"ok", %{"claims" => 1}, _} = ask(client, "3", "player", %{}, "player:ann")
    assert {"ok", %{}, _} = ask(client, "4", "ack", %{seq: private}, "player:ann")
    assert {"error", %{"field" => "event"}, _} = ask(client, "5", "look", %{}, "player:ann")

    # A world that keeps nothing is started anew, and does not know her.
    {:ok, world} = GamePlatform.world(game)
    Process.exit(world.pid, :kill)
    wait_until(fn -> match?({:ok, %{pid: pid}} when pid != world.pid, GamePlatform.world(game)) end)

    wait_until(fn ->
      match?({"ok", _, _}, ask(client, "6", "action", %{claim | action_id: "d"}, "player:ann"))
    end)
  end
end
