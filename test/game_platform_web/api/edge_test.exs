defmodule GamePlatformWeb.API.EdgeTest do
  # Through the real edge, as every client.
  use GamePlatform.APICase, async: true

  alias GamePlatform.{HTTPClient, JSON, Sessions, WSClient}
  alias GamePlatform.Bots.Client

  @moduletag game: [edge: [port: 0]]

  setup %{game: game} do
    {:ok, port} = GamePlatform.port(game)
    %{port: port}
  end

  defp http(port, method, path, token, body \\ "") do
    headers = if(token, do: [{"Authorization", "Bearer " <> token}], else: [])
    headers = if body == "", do: headers, else: [{"Content-Length", byte_size(body)} | headers]
    {status, headers, text} = HTTPClient.request(port, method, path, headers, body)
    {status, headers, if(text != "", do: elem(JSON.decode(text), 1))}
  end

  test "a whole visit", %{port: port, game: game} do
    assert {201, headers, connection} = http(port, "POST", "/api/v1/connect", nil, ~S({"name":"ann"}))
    assert headers["content-type"] == "application/json" and headers["cache-control"] == "no-store"
    %{"token" => token, "session_id" => id, "home" => home, "player_id" => player} = connection
    assert {401, %{"www-authenticate" => "Bearer"}, _} = http(port, "GET", "/poll/" <> id, nil)

    poll = Task.async(fn -> http(port, "GET", "/poll/" <> id, token) end)
    action = JSON.encode!(%{action_id: "1", action: "claim", cell: home})
    wait_until(fn -> GamePlatform.Mail.info(game).attached == 1 end)
    assert {202, _, %{"results" => [_]}} = http(port, "POST", "/mailbox/#{id}/actions", token, action)
    assert {200, _, %{"messages" => [%{"event" => "outcome"}], "next" => next}} = Task.await(poll)

    assert {200, _, %{"messages" => []}} = http(port, "GET", "/mailbox/#{id}/messages?after=#{next}", token)
    assert {405, %{"allow" => "GET, HEAD"}, _} = http(port, "DELETE", "/api/v1/me", token)
    assert {404, _, %{"error" => %{"code" => "not_found"}}} = http(port, "GET", "/api/v1/%00", token)
    assert {200, _, %{"name" => ^player}} = http(port, "GET", "/api/v1/me?token=" <> token, nil)
    assert {200, _, %{"openapi" => "3.0.3"}} = http(port, "GET", "/api/openapi.json", nil)

    # Who watches by a socket sees who came over HTTP.
    {:ok, client} = Client.connect("ws://127.0.0.1:#{port}/socket/websocket", [])
    {:ok, _, _} = Client.join(client)

    wait_until(fn ->
      map_size(GamePlatform.Presence.list(GamePlatform.Instance.transport(game), "world:main")) == 2
    end)

    {200, _, %{"players" => players}} = http(port, "GET", "/api/v1/worlds/main/players", token)
    assert players |> Enum.map(& &1["transport"]) |> Enum.sort() == ["http", "websocket"]

    assert {200, _, %{"saved_tick" => _}} = http(port, "POST", "/api/v1/logout", token)
    assert {401, _, _} = http(port, "GET", "/api/v1/me", token)
  end

  test "who goes away while a poll waits leaves nothing", %{port: port, game: game} do
    {:ok, %{token: token, session_id: id}} = Sessions.connect(game)
    socket = HTTPClient.connect(port)

    :ok =
      :gen_tcp.send(socket, "GET /poll/#{id} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer #{token}\r\n\r\n")

    wait_until(fn -> GamePlatform.Mail.info(game).attached == 1 end)
    :gen_tcp.close(socket)
    wait_until(fn -> GamePlatform.Mail.info(game).attached == 0 end)
  end

  @secret String.duplicate("s", 32)
  @tag game: [edge: [port: 0, jwt_secret: @secret]]
  test "a token of one way is good on the other, and not when it is revoked", %{port: port, game: game} do
    {:ok, %{token: token}} = Sessions.connect(game, player: "ann")
    {:ok, client} = WSClient.connect(port, "/socket/websocket?vsn=2.0.0&token=" <> token)
    assert [_, _, _, "phx_reply", %{"status" => "ok"}] = WSClient.join(client, "world:main")
    :ok = Sessions.revoke(game, "ann")

    wait_until(fn ->
      match?(closed when closed == :closed or elem(closed, 0) == :close, WSClient.recv(client))
    end)

    assert {401, _, _} = http(port, "GET", "/api/v1/me", token)
  end
end
