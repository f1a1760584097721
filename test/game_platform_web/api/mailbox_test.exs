defmodule GamePlatformWeb.API.MailboxTest do
  use GamePlatform.APICase, async: true

  alias GamePlatform.{Instance, Mail, Multiplayer, Sessions}
  alias GamePlatformWeb.API

  setup %{game: game} do
    %{"token" => token, "session_id" => id, "player_id" => player, "home" => home, "seq" => seq} =
      connect!(game, %{name: "ann"})

    %{token: token, id: id, player: player, home: home, seq: seq}
  end

  defp messages(game, id, opts) do
    {200, _, %{"messages" => messages, "next" => next}} = get(game, "/mailbox/#{id}/messages", opts)
    {messages, next}
  end

  defp act(game, id, token, actions), do: post(game, "/mailbox/#{id}/actions", token: token, body: actions)

  test "an action is taken, and what becomes of it is in the mailbox", context do
    %{game: game, token: token, id: id, home: home, seq: seq} = context
    claim = %{action_id: "c1", action: "claim", cell: home}
    assert {202, _, %{"results" => [result]}} = act(game, id, token, claim)
    assert %{"action_id" => "c1", "status" => "accepted", "tick" => tick, "durability" => "memory"} = result

    assert {200, _, %{"messages" => [outcome], "next" => next}} = get(game, "/poll/" <> id, token: token)
    assert %{"seq" => told, "tick" => ^tick, "event" => "outcome", "payload" => payload} = outcome
    assert %{"action_id" => "c1", "outcome" => "applied", "tick" => ^tick} = payload
    assert told > seq and next == told

    # As long as it is not acknowledged it comes again.
    assert {[^outcome], ^next} = messages(game, id, token: token)
    assert {[], ^next} = messages(game, id, token: token, query: "after=#{next}")
    assert {[], ^next} = messages(game, id, token: token)
    # The same again has the same answer.
    assert {202, _, %{"results" => [%{"tick" => ^tick, "status" => "accepted"}]}} =
             act(game, id, token, [claim])
  end

  test "what is refused at once has a status of its own, if it is the only one", context do
    %{game: game, token: token, id: id, home: home} = context
    assert {422, _, %{"results" => [result]}} = act(game, id, token, %{action_id: "1", action: "dance"})
    assert %{"status" => "refused", "code" => "bad_action", "action_id" => "1", "message" => _} = result
    assert {202, _, %{"results" => [%{"code" => "bad_action"}]}} = act(game, id, token, [%{action: "claim"}])

    mixed = [
      %{action_id: "a", action: "claim", cell: home},
      7,
      nil,
      %{action_id: "b", action: "claim", cell: -1}
    ]

    assert {202, _, %{"results" => results}} = act(game, id, token, mixed)
    assert ["accepted", "refused", "refused", "refused"] = Enum.map(results, & &1["status"])

    many = for n <- 1..100, do: %{action_id: "m#{n}", action: "claim", cell: home}
    assert {202, _, %{"results" => results}} = act(game, id, token, many)
    assert Enum.map(results, & &1["action_id"]) == Enum.map(many, & &1.action_id)
    # Twenty a second on all ways together.
    assert Enum.count(results, &(&1["code"] == "rate_limited")) >= 50

    # Of these there are four.
    turns = for n <- 1..10, do: %{action_id: "r#{n}", action: "rotate", cell: home, direction: 1}
    assert {202, _, _} = act(game, id, token, turns)
    assert {429, headers, %{"results" => [%{"code" => "rate_limited"}]}} = act(game, id, token, hd(turns))
    assert headers["retry-after"] == "1"
  end

  test "bodies that are no actions", %{game: game, token: token, id: id} do
    post = &post(game, "/mailbox/#{id}/actions", token: token, text: &1)

    for text <- ["", "7", "null", "\"x\"", "{", "[1,", "\xFF", "{\"a\":1e999999}"],
        do: assert_error(post.(text), 400, "malformed")

    assert %{"limit" => 100} = assert_error(post.("[]"), 400, "out_of_range")
    many = "[" <> Enum.map_join(1..101, ",", fn _ -> "{}" end) <> "]"
    assert %{"limit" => 100} = assert_error(post.(many), 413, "too_large")
    assert_error(post.(String.duplicate(" ", 300_000)), 413, "too_large")
    assert_error(post.(String.duplicate("[", 5_000) <> String.duplicate("]", 5_000)), 400, "malformed")
    assert {422, _, _} = post.(~S({"action_id":"\u0000","action":"\u0000"}))

    assert {422, _, _} =
             post.(~S({"action_id":"1","action":"claim","cell":1e400}) |> String.replace("1e400", "1e40"))
  end

  test "numbers are whole and have one spelling", %{game: game, token: token, id: id} do
    bad = [
      "-1",
      "1e3",
      "+1",
      "01",
      "1.0",
      "",
      "%20",
      "0x1",
      "1%00",
      "١",
      "99999999999999999999",
      String.duplicate("9", 5_000)
    ]

    for text <- bad, name <- ["after", "limit"] do
      error = game |> get("/mailbox/#{id}/messages", token: token, query: "#{name}=#{URI.encode(text)}")
      assert %{"field" => ^name, "limit" => _} = assert_error(error, 400, "out_of_range")
    end

    for limit <- ["0", "1001"] do
      error = game |> get("/mailbox/#{id}/messages", token: token, query: "limit=#{limit}")
      assert %{"field" => "limit", "limit" => 1_000} = assert_error(error, 400, "out_of_range")
    end

    last = Mail.last(game)
    error = game |> get("/poll/#{id}", token: token, query: "after=#{last + 1}")

    assert %{"field" => "after", "limit" => ^last, "message" => "The newest message is " <> _} =
             assert_error(error, 400, "out_of_range")

    # Unknown fields are passed over.
    assert {200, _, _} =
             get(game, "/mailbox/#{id}/messages", token: token, query: "after=#{last}&limit=1000&x=%00")

    for query <- ["%", "a=%ff", "=%zz"],
        do:
          game |> get("/mailbox/#{id}/messages", token: token, query: query) |> assert_error(400, "malformed")
  end

  test "whose a mailbox is", %{game: game, token: token, id: id} do
    %{"token" => other, "session_id" => other_id} = connect!(game)

    for {method, path} <- [
          {"GET", "/poll/{}"},
          {"GET", "/mailbox/{}/messages"},
          {"POST", "/mailbox/{}/actions"}
        ] do
      ask = fn id, token ->
        opts = if method == "POST", do: [body: %{}], else: []
        request(game, method, String.replace(path, "{}", id), [token: token] ++ opts)
      end

      assert_error(ask.(other_id, token), 403, "foreign_session")
      assert_error(ask.(id, other), 403, "foreign_session")

      for id <- [String.duplicate("A", 32), "main", "0", "%00", "..", String.duplicate("x", 10_000)],
          do: {404, _, _} = ask.(id, token)

      # Nothing is told to who shows nothing.
      for id <- [id, "nobody"], do: assert_error(ask.(id, nil), 401, "unauthorized")
    end
  end

  test "two devices get the same, each at its own place", %{game: game} do
    body = %{guest: "a secret of my own"}
    %{"token" => a, "session_id" => phone, "player_id" => player} = connect!(game, body)
    %{"token" => b, "session_id" => desk} = connect!(game, body)
    seqs = for n <- 1..5, do: elem(Sessions.tell(game, player, "mail", %{n: n}), 1)
    {:ok, _} = Sessions.publish(game, "news", %{all: true})

    {all, next} = messages(game, phone, token: a)
    assert [1, 2, 3, 4, 5, nil] = Enum.map(all, & &1["payload"]["n"])
    assert {^all, ^next} = messages(game, desk, token: b)
    # Any token of the player will do.
    assert {^all, ^next} = messages(game, phone, token: b)

    {first, third} = messages(game, desk, token: b, query: "limit=3")
    assert {length(first), third} == {3, Enum.at(seqs, 2)}
    {rest, ^next} = messages(game, desk, token: b, query: "after=#{third}")
    assert first ++ rest == all

    # The phone has all, the desk has three: what neither needs is gone, and the rest is there.
    {[], ^next} = messages(game, phone, token: a, query: "after=#{next}")
    assert {^rest, ^next} = messages(game, desk, token: b)
  end

  test "a poll waits, and is answered once", %{game: game, token: token, id: id, player: player} do
    arg = %{game: game, poll_ms: 50}

    request = %{
      method: "GET",
      path: "/poll/" <> id,
      query: "",
      headers: [{"authorization", "Bearer " <> token}],
      body: "",
      peer: ""
    }

    assert {204, [], ""} = API.handle(request, arg)
    assert Process.info(self(), :message_queue_len) == {:message_queue_len, 0}
    assert Mail.info(game).attached == 0

    waits =
      Task.async(fn ->
        {get(game, "/poll/" <> id, token: token), Process.info(self(), [:message_queue_len, :monitors])}
      end)

    wait_until(fn -> Mail.info(game).attached == 1 end)
    {:ok, seq} = Sessions.tell(game, player, "hello", %{you: "are"})
    {answer, process} = Task.await(waits)
    assert {200, _, %{"messages" => [message], "next" => ^seq}} = answer
    assert %{"seq" => ^seq, "event" => "hello", "payload" => %{"you" => "are"}} = message
    assert process == [message_queue_len: 0, monitors: []]
    wait_until(fn -> Mail.info(game).attached == 0 end)

    # Of two that wait, the older is told.
    old = Task.async(fn -> get(game, "/poll/" <> id, token: token, query: "after=#{seq}") end)
    wait_until(fn -> Mail.info(game).attached == 1 end)
    new = Task.async(fn -> get(game, "/poll/" <> id, token: token, query: "after=#{seq}") end)
    old |> Task.await() |> assert_error(409, "replaced")
    {:ok, _} = Sessions.publish(game, "news", %{})
    assert {200, _, %{"messages" => [%{"event" => "news"}]}} = Task.await(new)
  end

  test "a poll outlives what it waits for", %{game: game, token: token, id: id, player: player} do
    waits = Task.async(fn -> get(game, "/poll/" <> id, token: token) end)
    wait_until(fn -> Mail.info(game).attached == 1 end)

    with_log(fn ->
      for part <- [:mail, {:session, player}],
          do: game |> Instance.via(part) |> GenServer.whereis() |> Process.exit(:kill)

      wait_until(fn -> match?({:ok, _}, Sessions.tell(game, player, "hello", %{})) end)
    end)

    assert {200, _, %{"messages" => [%{"event" => "hello"}]}} = Task.await(waits)
    # The session is made again by who comes next.
    assert {200, _, _} = get(game, "/mailbox/#{id}/messages", token: token)
    assert [%{session_id: ^id}] = Sessions.devices(game, player)
  end

  test "one who is killed while it waits leaves nothing", %{game: game, token: token, id: id} do
    waits = spawn(fn -> get(game, "/poll/" <> id, token: token) end)
    wait_until(fn -> Mail.info(game).attached == 1 end)
    Process.exit(waits, :kill)
    wait_until(fn -> Mail.info(game).attached == 0 end)
  end

  test "a token that expires ends the poll", %{game: game, player: player} do
    secret = Sessions.Settings.get(game).secret.()
    claims = %{sub: player, exp: System.os_time(:second) + 1}
    {:ok, token} = GamePlatform.Transport.Token.sign(claims, secret)
    [%{session_id: id}] = Sessions.devices(game, player)
    assert {204, _, nil} = get(game, "/poll/" <> id, token: token)
    game |> get("/poll/" <> id, token: token) |> assert_error(401, "unauthorized")
  end

  @tag game: [mailbox_s: 60, session_s: 30]
  test "what is lost is told, with how things are now", context do
    %{game: game, token: token, id: id, player: player, home: home, seq: seq} = context
    wait_until(fn -> match?({:ok, _}, Multiplayer.player(game, player)) end)
    for n <- 1..3, do: {:ok, _} = Sessions.tell(game, player, "mail", %{n: n})
    {_, next} = messages(game, id, token: token)
    Mail.acked(game, {:player, player}, next)
    {:ok, after_gap} = Sessions.tell(game, player, "mail", %{n: 4})

    {[gap, keyframe, mail], ^after_gap} = messages(game, id, token: token, query: "after=#{seq}")
    assert %{"event" => "gap", "seq" => ^next, "payload" => %{"from" => _, "to" => ^next}} = gap
    assert %{"event" => "keyframe", "seq" => nil, "tick" => tick, "payload" => payload} = keyframe
    assert %{"tick" => ^tick, "you" => %{"name" => ^player}, "cells" => cells, "kinds" => kinds} = payload
    # 217, and fewer where a pentagon is near.
    assert length(cells) in 180..217 and is_list(kinds)
    assert [^home, kind, amount] = hd(cells)
    {:ok, world} = GamePlatform.world(game)
    assert {:ok, %{kind: ^kind}} = GamePlatform.Compute.cell(world, home)
    assert is_integer(amount)
    assert %{"payload" => %{"n" => 4}} = mail
  end

  test "a world that is started anew has its players when they act", context do
    %{game: game, token: token, id: id, home: home, player: player} = context
    {:ok, world} = GamePlatform.world(game)

    with_log(fn ->
      Process.exit(world.pid, :kill)
      wait_until(fn -> match?({:ok, %{pid: pid}} when pid != world.pid, GamePlatform.world(game)) end)
      claim = %{action_id: "c", action: "claim", cell: home}
      wait_until(fn -> match?({202, _, _}, act(game, id, token, claim)) end)
    end)

    assert {200, _, %{"name" => ^player}} = get(game, "/api/v1/me", token: token)
  end
end
