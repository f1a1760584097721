defmodule GamePlatform.Sessions.SessionTest do
  # What the process does by itself: who is seen, what is not needed any more, and when it ends.
  use GamePlatform.APICase, async: true

  alias GamePlatform.{Instance, Mail, Multiplayer, Presence, Sessions}
  alias GamePlatform.Sessions.Session

  @moduletag game: [session_s: 30]

  defp session(game, player), do: game |> Instance.via({:session, player}) |> GenServer.whereis()

  # As if so many seconds had passed.
  defp later(pid, s) do
    older = fn t -> t && t - s end

    :sys.replace_state(pid, fn state ->
      devices =
        Map.new(state.devices, fn {id, d} -> {id, %{d | seen: older.(d.seen), http: older.(d.http)}} end)

      %{state | devices: devices, quiet_until: state.quiet_until - s}
    end)

    send(pid, :sweep)
  end

  defp tell(game, player, n), do: elem({:ok, _} = Sessions.tell(game, player, "mail", %{n: n}), 1)

  defp kept(game, player), do: match?({:ok, [_ | _], _}, Mail.read(game, [{:player, player}], 0))

  setup %{game: game} do
    {:ok, %{session_id: id, token: token}} = Sessions.connect(game, player: "ann")
    {:ok, identity} = Sessions.authorize(game, token)
    # As if there had been time for other devices.
    pid = session(game, "ann")
    :sys.replace_state(pid, &%{&1 | quiet_until: &1.quiet_until - 300})
    %{id: id, identity: identity, pid: pid}
  end

  test "what all devices have is not kept", %{game: game, id: phone, identity: identity} do
    {:ok, %{session_id: desk}} = Sessions.connect(game, player: "ann")
    seq = tell(game, "ann", 1)
    {:ok, ^seq} = Sessions.heard(game, identity, phone, seq)
    assert kept(game, "ann")
    {:ok, ^seq} = Sessions.heard(game, identity, desk, seq)
    wait_until(fn -> not kept(game, "ann") end)
  end

  test "a device that was not heard of for long is not waited for", context do
    %{game: game, id: phone, identity: identity, pid: pid} = context
    {:ok, %{session_id: desk}} = Sessions.connect(game, player: "ann")
    seq = tell(game, "ann", 1)
    later(pid, 25)
    {:ok, _} = Sessions.heard(game, identity, phone, seq)
    assert kept(game, "ann")
    later(pid, 10)
    {:ok, _} = Sessions.heard(game, identity, phone, seq)
    wait_until(fn -> not kept(game, "ann") end)
    # It goes on where it was.
    assert {:ok, acked} = Sessions.heard(game, identity, desk)
    assert acked < seq
  end

  test "a session that was made again lets other devices come first", context do
    %{game: game, id: phone, identity: identity, pid: pid} = context
    {:ok, %{session_id: desk}} = Sessions.connect(game, player: "ann")
    seq = tell(game, "ann", 1)
    Process.exit(pid, :kill)
    wait_until(fn -> session(game, "ann") == nil end)
    {:ok, _} = Sessions.heard(game, identity, phone, seq)
    # The desk has not read it.
    assert kept(game, "ann")
    {:ok, start} = Sessions.heard(game, identity, desk)
    assert start < seq
    {:ok, _} = Sessions.heard(game, identity, desk, seq)
    :sys.replace_state(session(game, "ann"), &%{&1 | quiet_until: &1.quiet_until - 31})
    {:ok, _} = Sessions.heard(game, identity, phone, seq)
    wait_until(fn -> not kept(game, "ann") end)
  end

  test "who connects to a session that was made again lets other devices come first, too", context do
    %{game: game, id: phone, identity: identity, pid: pid} = context
    seq = tell(game, "ann", 1)
    Process.exit(pid, :kill)
    wait_until(fn -> session(game, "ann") == nil end)
    {:ok, %{session_id: desk}} = Sessions.connect(game, player: "ann")
    {:ok, ^seq} = Sessions.heard(game, identity, desk, seq)
    # After what the session may have told it.
    assert %{messages: 1} = Mail.info(game)
    {:ok, start} = Sessions.heard(game, identity, phone)
    assert {:ok, [%{seq: ^seq}], _} = Mail.read(game, [{:player, "ann"}], start)

    # A guest who is new has no other devices.
    {:ok, %{token: token, player_id: guest, session_id: id}} = Sessions.connect(game)
    {:ok, identity} = Sessions.authorize(game, token)
    seq = tell(game, guest, 1)
    {:ok, ^seq} = Sessions.heard(game, identity, id, seq)
    wait_until(fn -> not kept(game, guest) end)
  end

  test "it ends when no device is heard of, and comes again with the token", context do
    %{game: game, id: id, identity: identity, pid: pid} = context
    monitor = Process.monitor(pid)
    later(pid, 31)
    assert_receive {:DOWN, ^monitor, :process, ^pid, :normal}, 5_000
    wait_until(fn -> Sessions.list(game) == [] end)
    assert Sessions.devices(game, "ann") == []
    assert {:ok, 0} = Sessions.heard(game, identity, id)
    assert [%{player: "ann", devices: 1}] = Sessions.list(game)
  end

  test "it ends with its last device", %{game: game, id: id, pid: pid} do
    {:ok, %{session_id: other}} = Sessions.connect(game, player: "ann")
    monitor = Process.monitor(pid)
    assert Session.forget(game, "ann", id) == [id]
    assert [%{session_id: ^other}] = Sessions.devices(game, "ann")
    assert Session.forget(game, "ann", :all) == [other]
    assert_receive {:DOWN, ^monitor, :process, ^pid, :normal}, 5_000
    assert Session.forget(game, "ann", id) == []
  end

  test "a device of a socket lives as long as its channel", context do
    %{game: game, identity: identity, pid: pid} = context
    channel = spawn(fn -> {:ok, 0} = Sessions.join(game, identity, "ws:x") && Process.sleep(:infinity) end)
    wait_until(fn -> length(Sessions.devices(game, "ann")) == 2 end)
    assert %{via: "socket"} = Enum.find(Sessions.devices(game, "ann"), &(&1.session_id == "ws:x"))
    later(pid, 100)
    assert [%{player: "ann"}] = Sessions.list(game)
    monitor = Process.monitor(pid)
    Process.exit(channel, :kill)
    wait_until(fn -> Enum.all?(Sessions.devices(game, "ann"), &(&1.via == "http")) end)
    later(pid, 100)
    assert_receive {:DOWN, ^monitor, :process, ^pid, :normal}, 5_000
  end

  test "what a channel acknowledges counts, also when the session was made again", context do
    %{game: game, id: id, identity: identity, pid: pid} = context
    assert {:ok, 0} = Sessions.join(game, identity, "ws:x")
    seq = tell(game, "ann", 1)
    {:ok, _} = Sessions.heard(game, identity, id, seq)
    assert kept(game, "ann")
    assert {:ok, ^seq} = Sessions.acked(game, "ann", "ws:x", seq)
    wait_until(fn -> not kept(game, "ann") end)

    Process.exit(pid, :kill)
    assert {:ok, ^seq} = Sessions.acked(game, "ann", "ws:x", seq)
    assert [%{session_id: "ws:x", via: "socket", acked: ^seq}] = Sessions.devices(game, "ann")
    assert [%{devices: 1}] = Sessions.list(game)
    assert {:error, :not_running} = Sessions.acked(NoSuch.Game, "ann", "ws:x", seq)
  end

  test "it wakes up when there is something to do", %{game: game, identity: identity, id: id} do
    due_ms = fn -> Process.read_timer(:sys.get_state(session(game, "ann")).sweep) end
    assert due_ms.() in 25_000..30_000
    {:ok, _} = Sessions.heard(game, identity, id)
    assert due_ms.() in 25_000..30_000
  end

  test "a device is there as long as one of its channels, and takes no room then", context do
    %{game: game, identity: identity, id: id, pid: pid} = context
    test = self()

    [first, second | _] =
      for id <- [id, id | Enum.map(1..10, &"ws:#{&1}")] do
        spawn_link(fn ->
          {:ok, 0} = Sessions.join(game, identity, id)
          send(test, {:joined, self()})
          receive do: (:leave -> :ok)
        end)
        |> tap(fn pid -> assert_receive {:joined, ^pid}, 5_000 end)
      end

    for _ <- 1..7, do: {:ok, _} = Sessions.connect(game, player: "ann")
    assert length(Sessions.devices(game, "ann")) == 18
    via = fn -> for(%{session_id: ^id, via: via} <- Sessions.devices(game, "ann"), do: via) end
    send(second, :leave)
    wait_until(fn -> map_size(:sys.get_state(pid).devices[id].sockets) == 1 end)
    assert via.() == ["socket"]
    send(first, :leave)
    wait_until(fn -> via.() == ["http"] end)
    assert length(Sessions.devices(game, "ann")) == 18
  end

  test "of nine devices one is forgotten", %{game: game, id: id} do
    for _ <- 1..8, do: {:ok, _} = Sessions.connect(game, player: "ann")
    devices = Sessions.devices(game, "ann")
    assert length(devices) == 8
    assert [%{devices: 8}] = Sessions.list(game)
    assert %{sessions: 1, devices: 8} = Sessions.info(game)
    assert is_binary(id)
  end

  @tag game: [session_s: 300, edge: [port: 0]]
  test "a player is seen for a minute after the last request", %{
    game: game,
    pid: pid,
    id: id,
    identity: identity
  } do
    transport = Instance.transport(game)
    seen = fn -> is_map_key(Presence.list(transport, "world:main"), "ann") end
    wait_until(seen)
    wait_until(fn -> Multiplayer.connected(game) == %{"ann" => [pid]} end)
    later(pid, 55)
    Session.devices(game, "ann")
    assert seen.()
    later(pid, 10)
    wait_until(fn -> not seen.() end)
    assert Multiplayer.connected(game) == %{}
    # It is still there.
    assert session(game, "ann") == pid
    {:ok, _} = Sessions.heard(game, identity, id)
    wait_until(seen)
  end

  @tag :tmp_dir
  @tag game: [session_s: 30]
  test "a token is good after the instance was started again, if there is a place for the secret", %{
    tmp_dir: dir
  } do
    game = __MODULE__.Kept
    opts = [name: game, frequency: 8, backend: :nif, data_dir: Path.join(dir, "data")]
    {:ok, pid} = GamePlatform.start_link(opts)
    {:ok, %{token: token, session_id: id}} = Sessions.connect(game, player: "ann")
    Supervisor.stop(pid)
    assert {:error, :not_running} = Sessions.authorize(game, token)
    {:ok, pid} = GamePlatform.start_link(opts)
    assert {:ok, %{player: "ann", session_id: ^id} = identity} = Sessions.authorize(game, token)
    assert {:ok, _} = Sessions.heard(game, identity, id)

    # What was revoked stays so, what was said is still to be read.
    {:ok, %{token: other, session_id: gone}} = Sessions.connect(game, player: "ann")
    {:ok, seq} = Sessions.tell(game, "ann", "mail", %{n: 1})
    assert {:ok, %{saved_tick: _}} = Sessions.logout(game, other)
    {:ok, %{token: bobs}} = Sessions.connect(game, player: "bob")
    :ok = Sessions.revoke(game, "bob")
    Supervisor.stop(pid)
    {:ok, pid} = GamePlatform.start_link(opts)
    assert {:error, :revoked} = Sessions.authorize(game, other)
    assert {:error, :revoked} = Sessions.authorize(game, bobs)
    assert Sessions.whose(game, gone, "ann") == :unknown
    path = "/mailbox/#{id}/messages"
    assert {200, _, %{"messages" => [%{"seq" => ^seq, "event" => "mail"}]}} = get(game, path, token: token)
    Supervisor.stop(pid)
  end

  test "the sessions go on with their secret when their supervisor dies", %{game: game, identity: identity} do
    {:ok, %{token: token}} = Sessions.connect(game, player: "bob")

    with_log(fn ->
      old = Process.whereis(Module.concat(game, "Sessions"))
      Process.exit(old, :kill)
      wait_until(fn -> Process.whereis(Module.concat(game, "Sessions")) not in [nil, old] end)
    end)

    assert {:ok, %{player: "bob"}} = Sessions.authorize(game, token)
    assert {:ok, _} = Sessions.heard(game, identity, identity.session_id)
  end

  test "nothing of a token is in what is logged", %{game: game} do
    {:ok, %{token: token}} = Sessions.connect(game, player: "bob")

    # Headers of a form that no server has.
    request = %{
      method: "GET",
      path: "/api/v1/me",
      headers: %{"authorization" => "Bearer " <> token},
      query: [token]
    }

    {answer, log} =
      with_log(fn ->
        Process.exit(session(game, "bob"), :kill)
        GamePlatformWeb.API.handle(request, %{game: game})
      end)

    assert {500, _, body} = answer
    assert body =~ "internal"
    assert log =~ "a request failed with"
    [_, claims, signature] = String.split(token, ".")
    for text <- [log, body], part <- [claims, signature], do: refute(text =~ part)
  end
end
