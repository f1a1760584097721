defmodule GamePlatformWeb.API.VisitsTest do
  use GamePlatform.APICase, async: true

  alias GamePlatform.{Multiplayer, Sessions}
  alias GamePlatform.Transport.Token

  doctest GamePlatformWeb.API
  doctest GamePlatformWeb.API.Errors
  doctest GamePlatformWeb.API.Routes
  doctest GamePlatformWeb.API.Visits

  @secret String.duplicate("s", 32)

  test "who connects is a player with a home and a token", %{game: game} do
    {201, headers, connection} = post(game, "/api/v1/connect")
    assert headers["content-type"] == "application/json"

    assert %{
             "session_id" => id,
             "player_id" => "guest-" <> _ = player,
             "token" => token,
             "expires_in" => 3_600,
             "expires_at" => expires_at,
             "world" => "main",
             "tick" => tick,
             "home" => home,
             "seq" => seq
           } = connection

    assert is_integer(tick) and is_integer(home) and is_integer(seq)
    assert_in_delta expires_at, System.os_time(:second) + 3_600, 5

    assert {:ok, %{player: ^player, session_id: ^id, expires_at: ^expires_at}} =
             Sessions.authorize(game, token)

    assert {200, _, me} = get(game, "/api/v1/me", token: token)
    assert %{"name" => ^player, "home" => ^home, "position" => ^home, "session_id" => ^id} = me
    assert [%{"session_id" => ^id, "via" => "http", "acked" => ^seq}] = me["devices"]
    # As a parameter, too.
    assert {200, _, %{"name" => ^player}} = get(game, "/api/v1/me", query: "token=" <> token)
  end

  test "names, guests that come back, and what is no name", %{game: game} do
    assert %{"player_id" => "ann-" <> _} =
             connect!(game, %{name: " ann ", more: "is passed over", world: "main"})

    guest = "a secret of my own"
    %{"player_id" => player, "session_id" => first} = connect!(game, %{name: "bob", guest: guest})
    assert %{"player_id" => ^player, "session_id" => second} = connect!(game, %{name: "bob", guest: guest})
    assert first != second
    assert %{"player_id" => other} = connect!(game, %{name: "bob"})
    assert other != player
    # Null is nothing.
    assert %{"player_id" => "guest-" <> _} = connect!(game, %{name: nil, guest: nil, world: nil})

    for {body, field} <- [
          {%{name: ""}, "name"},
          {%{name: 5}, "name"},
          {%{name: "a\nb"}, "name"},
          {%{name: String.duplicate("x", 41)}, "name"},
          {%{guest: "short"}, "guest"},
          {%{guest: ["x"]}, "guest"},
          {%{world: 1}, "world"}
        ] do
      error = game |> post("/api/v1/connect", body: body) |> assert_error(400, "out_of_range")
      assert error["field"] == field
      refute error["message"] =~ "short"
    end

    game |> post("/api/v1/connect", body: %{world: "other"}) |> assert_error(404, "unknown_world")

    for text <- ["[]", "7", "{", "\"x\"", "{\"name\":\"\xFF\"}", "\0", String.duplicate("[", 200)],
        do: game |> post("/api/v1/connect", text: text) |> assert_error(400, "malformed")

    # The last of two keys counts, as in browsers.
    assert {201, _, %{"player_id" => "b-" <> _}} =
             post(game, "/api/v1/connect", text: ~S({"name":"a","name":"b"}))

    long = ~s({"name":") <> String.duplicate("x", 300_000) <> "\"}"

    assert %{"limit" => 262_144} =
             game |> post("/api/v1/connect", text: long) |> assert_error(413, "too_large")
  end

  @tag game: [edge: [port: 0, connect_rate: 1, connect_burst: 3]]
  test "an address connects so often", %{game: game} do
    from = &post(game, "/api/v1/connect", peer: &1)
    for n <- 1..3, do: assert({201, _, _} = from.("10.0.0.1:#{n}"))
    error = from.("10.0.0.1:9") |> assert_error(429, "rate_limited")
    assert error["limit"] == 1
    assert {201, _, _} = from.("10.0.0.2:1")
    # A network of IPv6 addresses is one's.
    for n <- 1..3, do: assert({201, _, _} = from.("[2001:db8::#{n}]:80"))
    from.("[2001:db8::ffff:1]:80") |> assert_error(429, "rate_limited")
    assert {201, _, _} = from.("[2001:db9::1]:80")
  end

  test "a session asks so often", %{game: game} do
    %{"token" => token} = connect!(game)
    answers = for _ <- 1..200, do: get(game, "/api/v1/worlds/main/cells/1", token: token)
    assert {200, _, _} = hd(answers)
    assert refused = Enum.find(answers, &match?({429, _, _}, &1))
    assert_error(refused, 429, "rate_limited")
    # Another is not concerned.
    assert {200, _, _} = get(game, "/api/v1/me", token: connect!(game)["token"])
  end

  test "what is no token is answered 401, with what to do", %{game: game} do
    %{"token" => token} = connect!(game)
    [head, claims, signature] = String.split(token, ".")
    {:ok, foreign} = Token.sign(%{sub: "ann"}, @secret, ttl_s: 60)

    for bad <- [
          "",
          "x",
          foreign,
          head <> "." <> claims <> ".",
          token <> "=",
          "#{head}.#{claims}.#{signature}A",
          "a.b.c"
        ] do
      error =
        game
        |> get("/api/v1/me", headers: [{"authorization", "Bearer " <> bad}])
        |> assert_error(401, "unauthorized")

      assert error["message"] =~
               if(bad == "", do: "POST /api/v1/connect", else: "POST /api/v1/connect without it")

      refute bad != "" and byte_size(bad) > 5 and error["message"] =~ bad
    end

    assert get(game, "/api/v1/me") |> assert_error(401, "unauthorized")
    assert get(game, "/api/v1/me", query: "token=a%20b") |> assert_error(401, "unauthorized")
    assert post(game, "/api/v1/connect", token: "bad") |> assert_error(401, "unauthorized")
  end

  test "a token is renewed for the same device", %{game: game} do
    %{"token" => token, "session_id" => id, "player_id" => player} = connect!(game)
    assert {200, _, renewed} = post(game, "/api/v1/refresh", token: token)
    assert %{"session_id" => ^id, "player_id" => ^player, "expires_in" => 3_600, "token" => new} = renewed
    assert {:ok, %{session_id: ^id, seq: seq}} = Sessions.authorize(game, new)
    assert {:ok, %{seq: ^seq}} = Sessions.authorize(game, token)
    game |> post("/api/v1/refresh") |> assert_error(401, "unauthorized")
  end

  @tag game: [edge: [port: 0, jwt_secret: @secret, jwt_issuer: "me", guests: false]]
  test "tokens of others say who it is, and guests may be kept out", %{game: game} do
    error = game |> post("/api/v1/connect") |> assert_error(401, "unauthorized")
    assert error["message"] =~ "no guests"
    # `sid` is a name that others use for something of their own.
    {:ok, token} = Token.sign(%{sub: "ann", sid: "whatever"}, @secret, ttl_s: 60, issuer: "me")

    assert %{"player_id" => "ann", "session_id" => id, "token" => own} =
             connect!(game, %{name: "x"}, token: token)

    assert {:ok, %{"iss" => "me", "sub" => "ann", "sid" => ^id, "world" => "main"}} =
             Token.verify(own, @secret)

    # It is the same player, and may look into the mailbox of any of her devices.
    assert {200, _, %{"session_id" => nil, "name" => "ann"}} = get(game, "/api/v1/me", token: token)
    assert {200, _, %{"messages" => []}} = get(game, "/mailbox/#{id}/messages", token: token)
    game |> post("/api/v1/refresh", token: token) |> assert_error(400, "no_session")
    game |> post("/api/v1/logout", token: token) |> assert_error(400, "no_session")
    {:ok, other} = Token.sign(%{sub: "ann"}, @secret, ttl_s: 60, issuer: "you")
    game |> post("/api/v1/connect", token: other) |> assert_error(401, "unauthorized")
    # One without a name says only that its bearer may come in.
    {:ok, nameless} = Token.sign(%{}, @secret, ttl_s: 60, issuer: "me")
    assert %{"player_id" => "x-" <> _} = connect!(game, %{name: "x"}, token: nameless)
    game |> get("/api/v1/me", token: nameless) |> assert_error(401, "unauthorized")
  end

  @tag game: [edge: [port: 0, jwt_secret: @secret]]
  test "a name that no player can have watches", %{game: game} do
    {:ok, token} = Token.sign(%{sub: String.duplicate("x", 200)}, @secret, ttl_s: 60)

    assert %{"home" => nil, "message" => message, "token" => own, "session_id" => id} =
             connect!(game, %{}, token: token)

    assert message =~ "64 bytes"
    game |> get("/api/v1/me", token: own) |> assert_error(404, "no_player")
    assert {200, _, %{"messages" => []}} = get(game, "/mailbox/#{id}/messages", token: own)
    assert {200, _, _} = post(game, "/api/v1/logout", token: own)
  end

  test "who logs out is gone, on that device", %{game: game} do
    body = %{guest: "a secret of my own"}
    %{"token" => token, "session_id" => id} = connect!(game, body)
    %{"token" => other, "session_id" => other_id, "player_id" => player} = connect!(game, body)
    {200, _, %{"token" => renewed}} = post(game, "/api/v1/refresh", token: token)
    waits = Task.async(fn -> get(game, "/poll/" <> id, token: renewed) end)
    wait_until(fn -> GamePlatform.Mail.info(game).attached == 1 end)

    assert {200, _, %{"saved_tick" => tick}} = post(game, "/api/v1/logout", token: token)
    assert is_integer(tick)
    assert waits |> Task.await() |> assert_error(401, "unauthorized")

    for token <- [token, renewed],
        do: game |> get("/api/v1/me", token: token) |> assert_error(401, "unauthorized")

    # Nor does it open another door.
    for token <- [token, renewed],
        path <- ["/api/v1/connect", "/api/v1/refresh", "/api/v1/logout"],
        do: game |> post(path, token: token) |> assert_error(401, "unauthorized")

    game |> get("/mailbox/#{id}/messages", token: other) |> assert_error(404, "unknown_session")
    assert {200, _, %{"devices" => [%{"session_id" => ^other_id}]}} = get(game, "/api/v1/me", token: other)

    # All of them at once.
    assert :ok = Sessions.revoke(game, player)
    game |> get("/api/v1/me", token: other) |> assert_error(401, "unauthorized")
    assert Sessions.devices(game, player) == []
    # And anew.
    assert {200, _, %{"name" => ^player}} = get(game, "/api/v1/me", token: connect!(game, body)["token"])
  end

  @tag game: [edge: [port: 0, jwt_secret: @secret]]
  test "a token may claim to be good for ever", %{game: game} do
    for exp <- [1.0e300, 9_223_372_036_854_775_807] do
      {:ok, token} = Token.sign(%{sub: "ann", exp: exp}, @secret)
      %{"session_id" => id, "token" => own} = connect!(game, %{}, token: token)
      {:ok, _} = Sessions.tell(game, "ann", "mail", %{})
      assert {200, _, %{"messages" => [_ | _]}} = get(game, "/poll/" <> id, token: token)
      {:ok, claims} = Token.verify(own, @secret)
      {:ok, long} = Token.sign(%{claims | "exp" => exp}, @secret)
      assert {200, _, _} = post(game, "/api/v1/logout", token: long)
      game |> get("/api/v1/me", token: own) |> assert_error(401, "unauthorized")
    end
  end

  test "nothing makes a new token of one that is revoked", %{game: game} do
    connected = fn -> elem({:ok, _} = Sessions.connect(game, player: "ann"), 1).token end
    token = connected.()
    {:ok, identity} = Sessions.authorize(game, token)
    :ok = Sessions.revoke(game, "ann")
    # As the channel of a socket that is about to be closed.
    assert {:error, :revoked} = Sessions.renew(game, identity)
    game |> post("/api/v1/refresh", token: token) |> assert_error(401, "unauthorized")
    game |> post("/api/v1/connect", token: token) |> assert_error(401, "unauthorized")

    # However soon one follows the other.
    for _ <- 1..3 do
      token = connected.()
      assert {:ok, _} = Sessions.authorize(game, token)
      :ok = Sessions.revoke(game, "ann")
      assert {:error, :revoked} = Sessions.authorize(game, token)
    end
  end

  test "what a VM knows by itself needs no token", %{game: game} do
    assert {:ok, %{player_id: "ann", token: token, session_id: id}} = Sessions.connect(game, player: "ann")
    assert {:ok, %{home: _}} = Multiplayer.enter(game, "ann")
    assert {:ok, %{player: "ann", session_id: ^id}} = Sessions.authorize(game, token)
    assert [%{player: "ann", devices: 1, pid: pid}] = Sessions.list(game)
    assert %{sessions: 1, devices: 1} = Sessions.info(game)
    assert is_pid(pid)
    assert {:error, :not_running} = Sessions.connect(NoSuch.Game)
    assert {:error, :not_running} = Sessions.authorize(NoSuch.Game, token)
    assert {:error, :not_running} = Sessions.info(NoSuch.Game)
  end
end
