defmodule GamePlatform.APIAbuseTest do
  # Whatever comes over HTTP is refused with the right status, a sentence and a count, and a neighbour does not mind.
  use ExUnit.Case, async: false

  import GamePlatform.Eventually

  alias GamePlatform.Bots.Client
  alias GamePlatform.{Instance, JSON, Sessions, Transport}
  alias GamePlatform.Roulette.Http
  alias GamePlatformWeb.API.Routes

  @moduletag timeout: 180_000, capture_log: true
  @wait_ms 20_000
  @body_ms 300
  @most_body 262_144

  setup do
    name = __MODULE__.Game
    edge = [port: 0, limits: %{body_ms: @body_ms}]
    start_supervised!({GamePlatform, name: name, frequency: 12, ups: 50, edge: edge})
    {:ok, port} = GamePlatform.port(name)
    %{game: name, port: port}
  end

  defp request(port, method, path, opts \\ []) do
    {:ok, socket} = Http.connect(port)
    {:ok, status, headers, body} = Http.request(socket, method, path, [wait_ms: @wait_ms] ++ opts)
    :gen_tcp.close(socket)
    {status, headers, body}
  end

  defp connect(port) do
    {201, _, session} = request(port, "POST", "/api/v1/connect")
    session
  end

  defp bearer(token), do: [headers: [{"authorization", "Bearer #{token}"}]]

  # An error of this status, which says what it is.
  defp refused({status, headers, body}, status) do
    assert %{"error" => %{"code" => code, "message" => message}} = body
    assert code =~ ~r/^[a-z_]+$/ and String.length(message) > 10
    assert headers["content-type"] =~ "application/json"
    if status in [429, 503], do: assert(String.to_integer(headers["retry-after"]) >= 1)
    if status == 401, do: assert(headers["www-authenticate"] =~ "Bearer" and message =~ "/api/v1/connect")
    {headers, body["error"]}
  end

  defp refused(other, status), do: flunk("#{status} was expected, and this came: #{inspect(other)}")

  # How often routes were answered with a status, and how often the edge refused by itself.
  defp answered(game, status),
    do: for({{_, ^status}, n} <- Sessions.info(game).answered, reduce: 0, do: (sum -> sum + n))

  defp refusals(game) do
    wait_until(fn -> Transport.stats(Instance.transport(game)).edge != nil end)
    Transport.stats(Instance.transport(game)).edge.refused |> Map.values() |> Enum.sum()
  end

  # A player of a WebSocket who acts all the time; each action is answered, however that is.
  defp neighbour(port, fun) do
    test = self()

    neighbour =
      Task.async(fn ->
        {:ok, client} =
          Client.connect("ws://127.0.0.1:#{port}/socket/websocket", guest: "a neighbour of everybody")

        {:ok, %{"home" => home}, client} = Client.join(client)
        send(test, :there)
        act(client, home, 0)
      end)

    assert_receive :there, @wait_ms
    result = fun.()
    send(neighbour.pid, :stop)
    assert Task.await(neighbour, @wait_ms) > 0
    result
  end

  defp act(client, home, n) do
    {_, %{"action_id" => _}, client} =
      Client.ask(client, "action", %{action_id: "#{n}", action: "claim", cell: home})

    receive do
      :stop -> n + 1
    after
      60 -> act(client, home, n + 1)
    end
  end

  defp path(route, session) do
    route.path
    |> String.replace("{session}", session)
    |> String.replace("{world}", "main")
    |> String.replace(~r/\{cell\}|\{chunk\}/, "0")
  end

  defp routes(auth), do: for(route <- Routes.all(), auth == :any or route.auth == auth, do: route)

  test "tokens: none, wrong ones, and one that was logged out", %{game: game, port: port} do
    %{"token" => token, "session_id" => id} = connect(port)
    %{"token" => other} = connect(port)
    assert {200, _, %{"saved_tick" => _}} = request(port, "POST", "/api/v1/logout", bearer(token))
    [_, claims, _] = String.split(other, ".")
    forged = Enum.join([Base.url_encode64(~s({"alg":"none"}), padding: false), claims, ""], ".")
    before = answered(game, 401)
    routes = routes(:bearer)
    tokens = [[], bearer(""), bearer("x"), bearer(forged), bearer(other <> "x"), bearer(token)]

    for route <- routes, token <- tokens do
      assert {_, %{"code" => "unauthorized"}} =
               port |> request(route.method, path(route, id), token) |> refused(401)
    end

    assert answered(game, 401) == before + length(routes) * length(tokens)
    # Of the one who is still there nothing is lost.
    assert {200, _, _} = request(port, "GET", "/api/v1/me", bearer(other))
  end

  test "sessions of others, and what is not there", %{game: game, port: port} do
    %{"token" => token, "session_id" => id} = connect(port)
    %{"session_id" => foreign} = connect(port)
    action = [body: ~s({"action_id":"1","action":"claim","cell":0})] ++ bearer(token)

    for {id, status, code} <- [
          {foreign, 403, "foreign_session"},
          {"x", 404, "unknown_session"},
          {String.duplicate("A", 32), 404, "unknown_session"},
          {"%00", 404, "unknown_session"},
          {String.duplicate("y", 400), 404, "unknown_session"}
        ] do
      before = answered(game, status)

      for {method, path, opts} <- [
            {"GET", "/poll/#{id}", bearer(token)},
            {"GET", "/mailbox/#{id}/messages", bearer(token)},
            {"POST", "/mailbox/#{id}/actions", action}
          ] do
        assert {_, %{"code" => ^code}} = port |> request(method, path, opts) |> refused(status)
      end

      assert answered(game, status) >= before + 3
    end

    for {path, status} <- [
          {"/api/v1/worlds/other/cells/0", 404},
          {"/api/v1/worlds/main/cells/#{10 * 12 * 12 + 2}", 400},
          {"/api/v1/worlds/main/cells/-1", 400},
          {"/api/v1/worlds/main/cells/1e3", 400},
          {"/api/v1/worlds/main/chunks/99999999999999999999", 400},
          {"/api/v1/nothing", 404},
          {"/api", 404},
          {"/mailbox/#{id}", 404},
          {"/mailbox/#{id}/messages?after=9007199254740991", 400},
          {"/mailbox/#{id}/messages?after=-1", 400},
          {"/mailbox/#{id}/messages?limit=0", 400},
          {"/mailbox/#{id}/messages?limit=1001", 400},
          {"/mailbox/#{id}/messages?limit=%ff", 400}
        ] do
      port |> request("GET", path, bearer(token)) |> refused(status)
    end
  end

  test "other methods", %{port: port} do
    %{"token" => token, "session_id" => id} = connect(port)

    for route <- routes(:any), method <- ["PUT", "PATCH", "DELETE"] do
      {headers, _} = port |> request(method, path(route, id), bearer(token)) |> refused(405)
      assert headers["allow"] =~ route.method
    end
  end

  test "bodies that are no JSON, too many or too large", %{game: game, port: port} do
    %{"token" => token, "session_id" => id} = connect(port)
    actions = "/mailbox/#{id}/actions"
    give = fn body -> request(port, "POST", actions, [body: body] ++ bearer(token)) end
    action = %{action_id: "1", action: "claim", cell: 0}

    for body <- ["", "{", <<0xFF, 0xFE>>, "nul", "[]", "7", String.duplicate("[", 10_000)],
        do: body |> give.() |> refused(400)

    before = answered(game, 413) + refusals(game)
    assert {_, %{"limit" => 100}} = JSON.encode!(List.duplicate(action, 101)) |> give.() |> refused(413)
    huge = JSON.encode!(%{action_id: String.duplicate("x", @most_body)})
    huge |> give.() |> refused(413)
    request(port, "POST", "/api/v1/connect", body: huge) |> refused(413)
    wait_until(fn -> answered(game, 413) + refusals(game) >= before + 3 end)

    # A list is answered one by one, whatever is in it.
    odd = [action, 7, nil, [], %{}, %{action_id: 7}, %{action: String.duplicate("x", 1_000), action_id: "2"}]
    assert {202, _, %{"results" => results}} = give.(JSON.encode!(odd))
    assert length(results) == length(odd) and Enum.all?(tl(results), &(&1["status"] == "refused"))
    assert {422, _, %{"results" => [%{"code" => "bad_action"}]}} = give.("{}")

    for body <- [
          ~s([]),
          ~s({"name":7}),
          ~s({"name":""}),
          ~s({"name":"#{String.duplicate("x", 41)}"}),
          ~s({"guest":"x"})
        ],
        do: port |> request("POST", "/api/v1/connect", body: body) |> refused(400)

    assert {_, %{"code" => "unknown_world"}} =
             port |> request("POST", "/api/v1/connect", body: ~s({"world":"other"})) |> refused(404)
  end

  test "slow bodies, while a neighbour plays", %{game: game, port: port} do
    before = refusals(game)

    neighbour(port, fn ->
      sockets =
        for n <- 1..50 do
          {:ok, socket} = Http.connect(port)
          # Some say nothing, some a little of what they announced.
          head = "POST /api/v1/connect HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n"
          :ok = :gen_tcp.send(socket, head <> String.duplicate("{", rem(n, 3)))
          socket
        end

      for socket <- sockets do
        {:ok, status, headers, body} = Http.answer(socket, @wait_ms)
        refused({status, headers, body}, 408)
      end
    end)

    wait_until(fn -> refusals(game) >= before + 50 end)
  end

  test "a thousand connects a second from one address, while a neighbour plays", %{game: game, port: port} do
    before = answered(game, 429) + refusals(game)
    began = System.monotonic_time(:millisecond)

    statuses =
      neighbour(port, fn ->
        1..20
        |> Enum.map(fn _ -> Task.async(fn -> flood(port, 50) end) end)
        |> Task.await_many(60_000)
        |> Enum.concat()
      end)

    seconds = div(System.monotonic_time(:millisecond) - began, 1_000) + 1
    assert Enum.uniq(statuses) -- [201, 429] == []
    # A hundred at once, and twenty a second.
    assert Enum.count(statuses, &(&1 == 201)) <= 100 + 20 * seconds
    refused = Enum.count(statuses, &(&1 == 429))
    assert refused > 1_000 - 100 - 20 * seconds - 1
    wait_until(fn -> answered(game, 429) + refusals(game) >= before + refused end)
  end

  defp flood(port, count) do
    {:ok, socket} = Http.connect(port)

    for _ <- 1..count do
      {:ok, status, headers, body} = Http.request(socket, "POST", "/api/v1/connect", wait_ms: @wait_ms)
      if status == 429, do: refused({status, headers, body}, 429)
      status
    end
  end

  test "a session that asks too often, while another does not mind", %{port: port} do
    %{"token" => token, "session_id" => id} = connect(port)
    %{"token" => other} = connect(port)
    {:ok, socket} = Http.connect(port)
    path = "/mailbox/#{id}/messages"
    opts = [wait_ms: @wait_ms] ++ bearer(token)
    statuses = for _ <- 1..400, do: socket |> Http.request("GET", path, opts) |> elem(1)
    assert Enum.sort(Enum.uniq(statuses)) == [200, 429]
    assert {200, _, _} = request(port, "GET", "/api/v1/me", bearer(other))
  end
end
