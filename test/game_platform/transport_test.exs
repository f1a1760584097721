defmodule GamePlatform.TransportTest do
  use GamePlatform.TransportCase, async: true

  alias GamePlatform.{JSON, Transport, WSClient}
  alias GamePlatform.Test.RoomSocket

  describe "the frames of ARCHITECTURE" do
    test "join, push and its answer", %{port: port} do
      client = client(port)
      send_text(client, ~s(["4","4","room:1","phx_join",{"p":1}]))

      assert_text(
        client,
        ~s(["4","4","room:1","phx_reply",{"response":{"params":{"p":1},"room":"1"},"status":"ok"}])
      )

      send_text(client, ~s(["4","5","room:1","echo",{"b":[1,2.5,null]}]))
      assert_text(client, ~s(["4","5","room:1","phx_reply",{"response":{"b":[1,2.5,null]},"status":"ok"}]))
      send_text(client, ~s(["4","6","room:1","fail",{}]))
      assert_text(client, ~s(["4","6","room:1","phx_reply",{"response":{"reason":"no"},"status":"error"}]))
      send_text(client, ~s(["4","7","room:1","status",{}]))
      assert_text(client, ~s(["4","7","room:1","phx_reply",{"response":{},"status":"ok"}]))
      send_text(client, ~s(["4","8","room:1","later",{"n":1}]))
      assert_text(client, ~s(["4","8","room:1","phx_reply",{"response":{"n":1},"status":"ok"}]))
      send_text(client, ~s(["4","9","room:1","push_me",{"z":1}]))
      assert_text(client, ~s(["4",null,"room:1","pushed",{"z":1}]))
      send_text(client, ~s(["4","10","room:1","shout",{"m":"hi"}]))
      assert_text(client, ~s([null,null,"room:1","shout",{"m":"hi"}]))
    end

    test "heartbeat, unknown topics, refused and crashed joins", %{port: port} do
      client = client(port)
      send_text(client, ~s([null,"3","phoenix","heartbeat",{}]))
      assert_text(client, ~s([null,"3","phoenix","phx_reply",{"response":{},"status":"ok"}]))

      unmatched = ~s({"response":{"reason":"unmatched topic"},"status":"error"})
      send_text(client, ~s(["15","15","nope:1","phx_join",{}]))
      assert_text(client, ~s([null,"15","nope:1","phx_reply",#{unmatched}]))
      send_text(client, ~s(["15","16","room:1","echo",{}]))
      assert_text(client, ~s([null,"16","room:1","phx_reply",#{unmatched}]))

      send_text(client, ~s(["19","19","room:refused","phx_join",{}]))

      assert_text(
        client,
        ~s(["19","19","room:refused","phx_reply",{"response":{"reason":"unauthorized"},"status":"error"}])
      )

      {_, log} =
        with_log(fn ->
          send_text(client, ~s(["20","20","room:crash","phx_join",{}]))

          assert_text(
            client,
            ~s(["20","20","room:crash","phx_reply",{"response":{"reason":"join crashed"},"status":"error"}])
          )
        end)

      assert log =~ "as asked"
    end

    test "leave, stop and crash", %{port: port} do
      client = joined(port, "room:1")
      send_text(client, ~s(["1","2","room:1","phx_leave",{}]))
      assert_text(client, ~s(["1","2","room:1","phx_reply",{"response":{},"status":"ok"}]))
      assert_text(client, ~s(["1","1","room:1","phx_close",{}]))

      # Leaving what was not joined is fine.
      send_text(client, ~s(["1","3","room:1","phx_leave",{}]))
      assert_text(client, ~s(["1","3","room:1","phx_reply",{"response":{},"status":"ok"}]))

      ["4", "4" | _] = join(client, "room:1", %{}, "4")
      send_text(client, ~s(["4","5","room:1","stop_reply",{"a":1}]))
      assert_text(client, ~s(["4","5","room:1","phx_reply",{"response":{"a":1},"status":"ok"}]))
      assert_text(client, ~s(["4","4","room:1","phx_close",{}]))

      ["6", "6" | _] = join(client, "room:1", %{}, "6")

      with_log(fn ->
        send_text(client, ~s(["6","7","room:1","crash",{}]))
        assert_text(client, ~s(["6","6","room:1","phx_error",{}]))
      end)

      assert ["8", "8", _, "phx_reply", %{"status" => "ok"}] = join(client, "room:1", %{}, "8")
    end

    test "a second join, and a stale join_ref", %{port: port} do
      client = joined(port, "room:1")
      send_text(client, ~s(["2","2","room:1","phx_join",{}]))

      assert_text(
        client,
        ~s(["2","2","room:1","phx_reply",{"response":{"params":{},"room":"1"},"status":"ok"}])
      )

      assert_text(client, ~s(["1","1","room:1","phx_close",{}]))

      # A stale push is answered with the present join_ref, a stale leave is not heard.
      send_text(client, ~s(["1","3","room:1","echo",{}]))
      assert_text(client, ~s(["2","3","room:1","phx_reply",{"response":{},"status":"ok"}]))
      send_text(client, ~s(["1","4","room:1","phx_leave",{}]))
      send_text(client, ~s(["2","5","room:1","echo",{}]))
      assert_text(client, ~s(["2","5","room:1","phx_reply",{"response":{},"status":"ok"}]))
    end

    test "binary both ways and to all", %{port: port} do
      client = joined(port, "room:1")
      push_binary(client, "1", "2", "room:1", "echo", <<0, 255, 1>>)
      assert recv(client) == {:binary, <<1, 1, 1, 6, 2, "1", "2", "room:1", "ok", 0, 255, 1>>}
      push_binary(client, "1", "3", "room:1", "shout", <<7>>)
      assert recv(client) == {:binary, <<2, 6, 5, "room:1", "shout", 7>>}
      push_binary(client, "1", "4", "room:1", "push_me", <<8>>)
      assert recv(client) == {:binary, <<0, 1, 6, 6, "1", "room:1", "pushed", 8>>}
    end

    test "V1 where no vsn is given", %{port: port} do
      {:ok, client} = connect(port, "/socket/websocket")
      send_text(client, ~s({"topic":"room:1","event":"phx_join","payload":{},"ref":"1","join_ref":"1"}))
      {:text, text} = recv(client)

      assert {:ok,
              %{"event" => "phx_reply", "ref" => "1", "topic" => "room:1", "payload" => %{"status" => "ok"}}} =
               JSON.decode(text)

      send_text(client, ~s({"topic":"room:1","event":"shout","payload":{"a":1},"ref":"2","join_ref":"1"}))
      {:text, text} = recv(client)
      assert {:ok, %{"event" => "shout", "payload" => %{"a" => 1}, "ref" => nil}} = JSON.decode(text)
    end
  end

  test "who may connect", %{port: port} do
    assert {:refused, 403, _} = connect(port, @path <> "&refuse=1")
    assert {:refused, 403, body} = connect(port, @path <> "&refuse=not%20you")
    assert {:ok, %{"error" => %{"code" => "refused", "message" => "not you"}}} = JSON.decode(body)
    assert {:refused, 403, _} = connect(port, "/socket/websocket?vsn=9.0.0")
    assert {{:refused, 403, _}, log} = with_log(fn -> connect(port, @path <> "&raise=1") end)
    assert log =~ "as asked"

    # However it fails the client is told so, and the log has no secret of it.
    for how <- ["throw", "exit", "id", "odd", "clause"] do
      {result, log} = with_log(fn -> connect(port, @path <> "&token=s3cret&fail=#{how}") end)
      assert {:refused, 403, _} = result
      assert log =~ "RoomSocket"
      refute log =~ "s3cret"
    end

    assert {:refused, 404, _} = connect(port, "/nowhere/websocket?vsn=2.0.0")
    # A stray percent sign is no reason to fail.
    assert {:ok, _} = connect(port, @path <> "&a=%zz")
  end

  test "a broadcast reaches all who joined, and processes that subscribed", %{port: port, name: name} do
    [a, b] = for _ <- 1..2, do: joined(port, "room:1")
    other = joined(port, "room:2")
    :ok = Transport.subscribe(name, "room:1")
    :ok = Transport.broadcast(name, "room:1", "news", %{n: 1})
    for client <- [a, b], do: assert_text(client, ~s([null,null,"room:1","news",{"n":1}]))
    assert_receive %GamePlatform.Socket.Broadcast{topic: "room:1", event: "news", payload: %{n: 1}}

    send_text(a, ~s(["1","2","room:1","whisper",{"n":2}]))
    assert_text(b, ~s([null,null,"room:1","shout",{"n":2}]))
    # Nothing came to these two before.
    for client <- [a, other] do
      send_text(client, ~s([null,"9","phoenix","heartbeat",{}]))
      assert_text(client, ~s([null,"9","phoenix","phx_reply",{"response":{},"status":"ok"}]))
    end

    assert {:error, reason} = Transport.broadcast(name, "room:1", "news", %{n: {1}})
    assert reason =~ "no JSON form"
  end

  test "a channel that intercepts sees broadcasts before its client", %{port: port} do
    client = client(port)
    join(client, "watched:1")
    send_text(client, ~s(["1","2","watched:1","shout",{"a":1}]))
    # Its own answer comes first: the broadcast is a message to itself.
    assert_text(client, ~s(["1","2","watched:1","phx_reply",{"response":{"watched":true},"status":"ok"}]))
    assert_text(client, ~s(["1",null,"watched:1","shout",{"a":1,"seen":true}]))
    send_text(client, ~s(["1","3","watched:1","other",{}]))
    recv(client)
    assert_text(client, ~s([null,null,"watched:1","other",{}]))
  end

  test "a socket is a process: it is monitored, linked, sent to and ended", %{port: port, name: name} do
    client = joined(port, "room:1", %{}, "&user=ann")
    [{_, connection, _, _}] = DynamicSupervisor.which_children(Transport.part(name, "Connections"))
    %{socket: %{transport_pid: pid}} = :sys.get_state(connection)
    assert is_pid(pid) and node(pid) != node()

    send(pid, {:push, nil, nil, "room:1", "direct", {:json, ~s({"a":1})}})
    assert_text(client, ~s([null,null,"room:1","direct",{"a":1}]))

    monitor = Process.monitor(pid)
    # What comes back has passed where the monitor went.
    push(client, "1", "2", "room:1", "echo", %{})
    recv_json(client)
    WSClient.close(client)
    assert_receive {:DOWN, ^monitor, :process, ^pid, {:closed, 1006}}
    wait_until(fn -> not Process.alive?(connection) end)

    client = joined(port, "room:1")
    [{_, connection, _, _}] = DynamicSupervisor.which_children(Transport.part(name, "Connections"))
    %{socket: %{transport_pid: pid}} = :sys.get_state(connection)
    Process.exit(pid, :shutdown)
    assert {:close, 1000, _} = recv(client)
  end

  test "disconnect closes all sockets of a client", %{port: port, name: name} do
    clients = for _ <- 1..2, do: joined(port, "room:1", %{}, "&user=ann")
    other = joined(port, "room:1", %{}, "&user=bob")
    :ok = Transport.broadcast(name, "user:ann", "disconnect", %{})
    for client <- clients, do: assert({:close, 1000, _} = recv(client))
    push(other, "1", "2", "room:1", "whoami", %{})
    assert [_, _, _, _, %{"response" => %{"id" => "user:bob", "transport" => "websocket"}}] = recv_json(other)
  end

  test "a connection that crashes takes its socket with it, and its channels end", %{port: port, name: name} do
    :persistent_term.put(GamePlatform.Test.RoomChannel, self())
    on_exit(fn -> :persistent_term.erase(GamePlatform.Test.RoomChannel) end)
    client = joined(port, "room:crashing")
    [{_, connection, _, _}] = DynamicSupervisor.which_children(Transport.part(name, "Connections"))
    Process.exit(connection, :kill)
    assert {:close, 1011, _} = recv(client)
    assert_receive {:terminated, "room:crashing", {:shutdown, {:connection, :killed}}}
    wait_until(fn -> Transport.stats(name).channels == 0 end)
  end

  test "a client joins so many topics", %{port: port, name: name} do
    client = client(port)
    for n <- 1..100, do: assert([_, _, _, _, %{"status" => "ok"}] = join(client, "room:#{n}", %{}, "#{n}"))

    assert ["101", "101", "room:101", "phx_reply", %{"status" => "error", "response" => response}] =
             join(client, "room:101", %{}, "101")

    assert response == %{"reason" => "too many channels joined"}
    assert Transport.stats(name).channels == 100
    # One of them again is no more than before.
    assert [_, "102", _, "phx_reply", %{"status" => "ok"}] = join(client, "room:7", %{}, "102")
    assert ["7", "7", "room:7", "phx_close", _] = recv_json(client)
    send_text(client, ~s(["102","103","room:7","phx_leave",{}]))
    recv_json(client)
    recv_json(client)
    assert [_, _, _, _, %{"status" => "ok"}] = join(client, "room:101", %{}, "104")
  end

  test "a channel that is ended from without is joined again, however orderly its end", %{
    port: port,
    name: name
  } do
    client = joined(port, "room:1")
    [{_, channel, _, _}] = DynamicSupervisor.which_children(Transport.part(name, "Channels"))
    # As if a process that it is linked to were shut down.
    Process.exit(channel, :shutdown)
    assert_text(client, ~s(["1","1","room:1","phx_error",{}]))
    assert ["2", "2", _, "phx_reply", %{"status" => "ok"}] = join(client, "room:1", %{}, "2")
    push(client, "2", "3", "room:1", "stop", %{})
    assert_text(client, ~s(["2","2","room:1","phx_close",{}]))
  end

  test "a topic ends without those whose names begin with it", %{port: port, name: name} do
    client = client(port)

    for {topic, ref} <- [{"room:1", "1"}, {"room:1#2", "2"}, {"room:1##", "3"}],
        do: join(client, topic, %{}, ref)

    send_text(client, ~s(["1","4","room:1","phx_leave",{}]))
    for _ <- 1..2, do: recv(client)

    for topic <- ["room:1", "room:1#2", "room:1##", "room:1#2#"],
        do: :ok = Transport.broadcast(name, topic, "news", %{})

    assert_text(client, ~s([null,null,"room:1#2","news",{}]))
    assert_text(client, ~s([null,null,"room:1##","news",{}]))
  end

  test "a client that names no join leaves all the same", %{port: port, name: name} do
    client = joined(port, "room:1")
    send_text(client, ~s([null,"2","room:1","phx_leave",{}]))
    assert_text(client, ~s(["1","2","room:1","phx_reply",{"response":{},"status":"ok"}]))
    assert_text(client, ~s(["1","1","room:1","phx_close",{}]))
    assert Transport.stats(name).channels == 0
  end

  @tag transport: [limits: %{input_messages: 20, input_bytes: 10_000}]
  test "what waits for a slow channel is bounded", %{port: port, name: name} do
    channel = fn ->
      [{_, pid, _, _}] = DynamicSupervisor.which_children(Transport.part(name, "Channels"))
      pid
    end

    client = joined(port, "room:1")
    frames = Stream.repeatedly(fn -> recv_json(client) end)

    # What is handled makes room for more, whoever handles it.
    for n <- 1..100, n = "#{n}" do
      push(client, "1", n, Enum.random(["room:1", "nowhere"]), "echo", %{pad: String.duplicate("x", 500)})
      assert [_, ^n | _] = recv_json(client)
    end

    # So does what nobody will handle.
    for round <- 1..5, ref = "#{round}" do
      for event <- ["crash" | List.duplicate("echo", 10)], do: push(client, nil, nil, "room:1", event, %{})
      assert Enum.find(frames, &match?([_, _, _, "phx_error", _], &1))
      push(client, ref, ref, "room:1", "phx_join", %{})
      assert Enum.find(frames, &match?([^ref, ^ref, _, "phx_reply", _], &1))
    end

    # Many that wait are too many.
    push(client, "5", "15", "room:1", "hang", %{})
    assert Enum.find(frames, &match?([_, _, _, "hanging", _], &1))
    for _ <- 1..21, do: push(client, "5", "16", "room:1", "echo", %{})
    assert {:close, 1008, "backpressure_input"} = Enum.find(frames, &match?({:close, _, _}, &1))
    send(channel.(), :go_on)
    WSClient.close(client)
    wait_until(fn -> match?(%{edge: %{closed: %{backpressure_input: 1}}}, Transport.stats(name)) end)
  end

  test "options that do not fit are named" do
    sockets = [{"/socket", RoomSocket}]

    for {opts, name} <- [
          {[sockets: sockets], :name},
          {[name: X, sockets: []], :sockets},
          {[name: X, sockets: [{"/s", Enum}]], :sockets},
          {[name: X, sockets: sockets, port: 70_000], :port},
          {[name: X, sockets: sockets, bind: "localhost"], :bind},
          {[name: X, sockets: sockets, colour: 1], :colour},
          {[name: X, sockets: sockets, limits: %{rate: 0}], :limits}
        ] do
      assert {:error, {:invalid_option, %{option: ^name}}} = Transport.start_link(opts)
    end
  end
end
