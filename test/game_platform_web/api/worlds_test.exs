defmodule GamePlatformWeb.API.WorldsTest do
  use GamePlatform.APICase, async: true

  alias GamePlatform.{Compute, Instance, Multiplayer, Presence, Sessions}

  setup %{game: game} do
    %{"token" => token} = connection = connect!(game, %{name: "ann"})
    {:ok, world} = GamePlatform.world(game)
    %{token: token, connection: connection, world: world}
  end

  defp parts(game), do: game |> Supervisor.which_children() |> List.keyfind(:parts, 0) |> elem(1)

  test "what the server and its worlds are", %{game: game, world: world} do
    assert {200, _, info} = get(game, "/api/v1/server/info")

    assert %{
             "name" => "game_platform",
             "version" => "0.1.0",
             "protocol" => %{"phoenix" => [_ | _]},
             "hz" => 20,
             "ups" => 100,
             "worlds" => ["main"],
             "env" => "test",
             "limits" => %{"actions" => 100, "token_s" => 3_600}
           } = info

    # To be seen is not waited for.
    wait_until(fn -> map_size(Multiplayer.connected(game)) == 1 end)
    assert {200, _, %{"worlds" => [main]}} = get(game, "/api/v1/worlds")

    assert %{"id" => "main", "frequency" => 16, "seed" => 1, "cells" => 2_562, "ups" => 100, "players" => 1} =
             main

    assert is_integer(main["tick"]) and main["kinds"] == world.kinds
    assert {200, _, _} = request(game, "HEAD", "/api/v1/worlds")
  end

  test "cells, as the channel has them", %{game: game, token: token, world: world} do
    assert {200, _, %{"cell" => cell}} = get(game, "/api/v1/worlds/main/cells/641", token: token)

    assert %{
             "id" => 641,
             "kind" => _,
             "name" => _,
             "amount" => _,
             "machine" => nil,
             "owner" => nil,
             "grant" => nil
           } = cell

    for id <- ["-1", "1e3", "2562", "9007199254740992", "x", "1.0", "01", "", "%00"] do
      error =
        game |> get("/api/v1/worlds/main/cells/#{id}", token: token) |> assert_error(400, "out_of_range")

      assert %{"field" => "cell", "limit" => limit} = error
      assert limit in [world.cells - 1, 0x1F_FFFF_FFFF_FFFF]
    end

    game |> get("/api/v1/worlds/other/cells/1", token: token) |> assert_error(404, "unknown_world")
    game |> get("/api/v1/worlds/main/cells/1") |> assert_error(401, "unauthorized")
  end

  test "chunks, as numbers and as a keyframe", %{game: game, token: token, world: world} do
    assert {200, _, chunk} = get(game, "/api/v1/worlds/main/chunks/3", token: token)
    assert %{"chunk" => 3, "tick" => _, "kinds" => kinds, "cells" => cells} = chunk
    assert kinds == world.kinds and length(cells) == 256
    {:ok, _, field} = Compute.chunk(world, 3)
    assert Enum.map(cells, &hd/1) == Enum.map(field, &elem(&1, 0))

    for opts <- [[query: "format=binary"], [headers: [{"accept", "application/octet-stream"}]]] do
      assert {200, headers, <<"gpk1", 16::32-little, _::binary>> = bytes} =
               get(game, "/api/v1/worlds/main/chunks/3", [token: token] ++ opts)

      assert headers["content-type"] == "application/octet-stream"
      assert {:ok, _, other} = Compute.chunk_keyframe(world, 3)
      assert byte_size(bytes) == byte_size(other)
    end

    # The query is asked first.
    octets = [{"accept", "application/octet-stream"}]

    assert {200, _, %{"chunk" => 3}} =
             get(game, "/api/v1/worlds/main/chunks/3", token: token, query: "format=json", headers: octets)

    for chunk <- ["12", "-1", "x"] do
      error =
        game |> get("/api/v1/worlds/main/chunks/#{chunk}", token: token) |> assert_error(400, "out_of_range")

      assert error["field"] == "chunk"
    end

    error =
      game
      |> get("/api/v1/worlds/main/chunks/0", token: token, query: "format=xml")
      |> assert_error(400, "out_of_range")

    assert error["field"] == "format"
  end

  test "without an edge nobody is seen", %{game: game, token: token} do
    assert {200, _, %{"players" => []}} = get(game, "/api/v1/worlds/main/players", token: token)
  end

  @tag game: [edge: [port: 0]]
  test "who is there, over HTTP too, and where", %{game: game, token: token, connection: connection} do
    %{"player_id" => player, "home" => home, "session_id" => id} = connection
    transport = Instance.transport(game)
    players = fn -> elem(get(game, "/api/v1/worlds/main/players", token: token), 2)["players"] end

    at = fn cell ->
      match?(%{^player => %{metas: [%{position: ^cell}]}}, Presence.list(transport, "world:main"))
    end

    wait_until(fn -> at.(home) end)

    assert [%{"player" => ^player, "online_at" => since, "position" => ^home, "transport" => "http"}] =
             players.()

    assert_in_delta since, System.os_time(:second), 10

    # A second device is the same player.
    assert {200, _, _} = get(game, "/api/v1/me", token: token)
    step = hd(Compute.neighbours(16, home))
    move = %{action_id: "m", action: "move", cell: step}
    wait_until(fn -> match?({:ok, _}, Multiplayer.player(game, player)) end)
    assert {202, _, _} = post(game, "/mailbox/#{id}/actions", token: token, body: move)
    wait_until(fn -> at.(step) end)
    assert [%{"position" => ^step}] = players.()

    # With a transport that is started again it is there again, when it is next looked at.
    Supervisor.terminate_child(parts(game), transport)
    {:ok, _} = Supervisor.restart_child(parts(game), transport)
    assert Presence.list(transport, "world:main") == %{}
    send(hd(Sessions.list(game)).pid, :sweep)
    wait_until(fn -> at.(step) end)

    assert {200, _, %{"saved_tick" => _}} = post(game, "/api/v1/logout", token: token)
    wait_until(fn -> Presence.list(transport, "world:main") == %{} end)
    assert Sessions.devices(game, player) == []
  end

  test "while the world is being started it is asked for later", %{
    game: game,
    token: token,
    connection: connection
  } do
    {_, supervisor, _, _} = game |> parts() |> Supervisor.which_children() |> List.keyfind(:world, 0)

    with_log(fn ->
      :sys.suspend(supervisor)
      game |> Instance.via(:world_server) |> GenServer.whereis() |> Process.exit(:kill)
      wait_until(fn -> GamePlatform.world(game) == {:error, :not_running} end)

      for path <- [
            "/api/v1/worlds",
            "/api/v1/me",
            "/api/v1/worlds/main/cells/1",
            "/api/v1/worlds/main/chunks/1"
          ],
          do: game |> get(path, token: token) |> assert_error(503, "restarting")

      game |> post("/api/v1/connect") |> assert_error(503, "restarting")
      game |> post("/api/v1/logout", token: token) |> assert_error(503, "restarting")
      body = %{action_id: "1", action: "claim", cell: 1}
      path = "/mailbox/#{connection["session_id"]}/actions"
      game |> post(path, token: token, body: body) |> assert_error(503, "restarting")
      # What is known without it is told.
      assert {200, _, %{"ups" => 100}} = get(game, "/api/v1/server/info")

      assert {200, _, %{"messages" => []}} =
               get(game, "/mailbox/#{connection["session_id"]}/messages", token: token)

      :sys.resume(supervisor)
    end)

    :ok = stop_supervised(game)
    game |> get("/api/v1/me", token: token) |> assert_error(503, "restarting")
  end
end
