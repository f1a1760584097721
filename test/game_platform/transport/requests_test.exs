defmodule GamePlatform.Transport.RequestsTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog, only: [with_log: 1]
  import GamePlatform.Eventually

  alias GamePlatform.{HTTPClient, JSON, Transport}
  alias GamePlatform.Test.{Answers, RoomSocket}

  @moduletag :capture_log

  setup context do
    name = Module.concat(__MODULE__, "Edge#{context.line}")
    requests = {["/api", "/poll", "/trap"], Answers, %{test: self()}}
    opts = [name: name, port: 0, sockets: [{"/socket", RoomSocket}], requests: requests]
    start_supervised!({Transport, opts ++ (context[:transport] || [])})
    {:ok, port} = Transport.port(name)
    %{name: name, port: port}
  end

  @here {127, 0, 0, 1}
  @elsewhere {127, 0, 0, 2}

  # Asks from an address, and does not wait for the answer.
  defp ask(port, path, from) do
    {:ok, socket} = :gen_tcp.connect(@here, port, [:binary, active: false, packet: :raw, ip: from])
    send_request(socket, path)
    socket
  end

  defp send_request(socket, path),
    do: :ok = :gen_tcp.send(socket, "GET #{path} HTTP/1.1\r\nHost: a\r\n\r\n")

  # Asks for what is answered when the test says so, and gives the process that answers.
  defp poll(port, name, path \\ "/poll/", from \\ @here) do
    socket = ask(port, path <> name, from)
    assert_receive {:waits, ^name, pid, client}, 20_000
    Process.monitor(pid)
    {socket, pid, client}
  end

  # How what a poll has begun ends.
  defp ends(pid) do
    assert_receive {:DOWN, _, _, ^pid, reason}, 20_000
    reason
  end

  defp json!({status, _, body}) do
    {:ok, json} = JSON.decode(body)
    {status, json}
  end

  defp code!(answer) do
    {status, %{"error" => %{"code" => code, "message" => message}}} = json!(answer)
    assert message != ""
    {status, code}
  end

  test "what is asked and answered", %{port: port} do
    path = "/api/echo?a=%201&b"
    headers = [{"Authorization", "Bearer x"}, {"Content-Length", "3"}, {"X-Request-Id", "r-1"}]
    {status, answer_headers, _} = answer = HTTPClient.request(port, "POST", path, headers, "abc")
    assert status == 200
    assert answer_headers["content-type"] == "application/json"
    assert answer_headers["cache-control"] == "no-store"
    assert answer_headers["x-request-id"] == "r-1"

    assert {200,
            %{
              "method" => "POST",
              "path" => "/api/echo",
              "query" => "a=%201&b",
              "bytes" => 3,
              "request_id" => "r-1",
              "peer" => "127.0.0.1:" <> _,
              "headers" => %{"authorization" => "Bearer x", "host" => "localhost"}
            }} = json!(answer)

    assert {200, %{"method" => "GET", "bytes" => 0}} = json!(HTTPClient.request(port, "GET", "/api/echo"))
    assert {200, %{"content-length" => length}, ""} = HTTPClient.request(port, "HEAD", "/api/echo")
    assert String.to_integer(length) > 50
    assert {200, %{"method" => "OPTIONS"}} = json!(HTTPClient.request(port, "OPTIONS", "/api/echo"))
    assert {204, _, ""} = HTTPClient.request(port, "DELETE", "/api/nothing")
    assert {404, "not_found"} = code!(HTTPClient.request(port, "GET", "/nowhere"))
  end

  test "bodies are bytes, small and large, at once and in pieces", %{port: port} do
    for size <- [0, 1, 1_000, 262_144] do
      body = :binary.copy(<<0, 255, 13, 10>>, div(size, 4)) <> :binary.copy("x", rem(size, 4))
      headers = [{"Content-Length", "#{size}"}]
      assert {200, headers, ^body} = HTTPClient.request(port, "POST", "/api/bytes", headers, body)
      assert headers["content-type"] == "application/octet-stream"
    end

    socket = HTTPClient.connect(port)
    :ok = :gen_tcp.send(socket, "POST /api/bytes HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
    for byte <- ~w(a b c d), do: :ok = :gen_tcp.send(socket, byte)
    assert {200, _, "abcd"} = HTTPClient.receive_response(socket)
    assert {200, _, body} = HTTPClient.request(port, "GET", "/api/large/8000000")
    assert byte_size(body) == 8_000_000
  end

  @tag transport: [limits: %{request_bytes: 1_000, body_ms: 100}]
  test "what is too large or too slow is refused with its limit", %{port: port, name: name} do
    headers = [{"Content-Length", "1001"}]
    body = :binary.copy("x", 1_001)

    assert {413, %{"error" => %{"code" => "too_large", "limit" => 1_000}}} =
             json!(HTTPClient.request(port, "POST", "/api/bytes", headers, body))

    socket = HTTPClient.connect(port)
    :ok = :gen_tcp.send(socket, "POST /api/bytes HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\na")

    assert {408, %{"error" => %{"code" => "timeout", "limit" => 100}}} =
             json!(HTTPClient.receive_response(socket))

    assert %{body_bytes: 1, body_timeout: 1} = Transport.stats(name).edge.refused
  end

  test "a client that goes away ends what answers it", %{port: port, name: name} do
    {socket, pid, client} = poll(port, "a")
    assert node(client) != node()
    assert %{requests: 1, edge: %{api_waiting: 1}} = Transport.stats(name)
    :gen_tcp.close(socket)
    assert {:shutdown, :client_gone} = ends(pid)

    # Even if that would not have it.
    {socket, pid, _} = poll(port, "b", "/trap/")
    :gen_tcp.close(socket)
    assert :killed = ends(pid)
    wait_until(fn -> Transport.stats(name).edge.api_waiting == 0 end)
    assert %{requests: 0, edge: %{api_abandoned: 2, api_requests: 2}} = Transport.stats(name)
    assert %{clients: clients, pids: pids} = :sys.get_state(Transport.part(name, "Requests"))
    assert {%{}, %{}} == {clients, pids}
  end

  test "what crashes is 500, and told in the log", %{port: port} do
    {_, log} =
      with_log(fn ->
        for path <- ~w(raise exit odd header status large/9000000) do
          assert {500, "internal"} = code!(HTTPClient.request(port, "GET", "/api/" <> path))
        end

        # No clause of handle/2 fits, and what the client sent is not for the log.
        headers = [{"Authorization", "Bearer secret"}]
        assert {500, "internal"} = code!(HTTPClient.request(port, "GET", "/api/none", headers))
        {socket, pid, _} = poll(port, "a")
        Process.exit(pid, :kill)
        assert {500, "internal"} = code!(HTTPClient.receive_response(socket))
      end)

    assert log =~ "as asked"
    assert log =~ "without line breaks"
    assert log =~ "was ended in handle: :killed"
    refute log =~ "secret"
  end

  @tag transport: [limits: %{request_ms: 500}]
  test "without an answer in time it is 503, and what was to answer ends", %{port: port, name: name} do
    {socket, pid, _} = poll(port, "a")
    assert {:shutdown, :client_gone} = ends(pid)
    assert {503, %{"retry-after" => "1"}, _} = answer = HTTPClient.receive_response(socket)
    assert {503, "unavailable"} = code!(answer)
    assert %{request_timeout: 1} = Transport.stats(name).edge.refused
  end

  test "a connection serves on, and what comes together is answered in order", %{port: port} do
    socket = HTTPClient.connect(port)

    for n <- 1..3 do
      send_request(socket, "/api/large/#{n}")
      assert {200, _, body} = HTTPClient.receive_response(socket)
      assert byte_size(body) == n
    end

    send_request(socket, "/poll/first")
    send_request(socket, "/api/large/2")
    send_request(socket, "/api/nothing")
    assert_receive {:waits, "first", pid, _}, 20_000
    send(pid, {200, [], "first"})
    assert {200, _, "first"} = HTTPClient.receive_response(socket)
    assert {200, _, "xx"} = HTTPClient.receive_response(socket)
    assert {204, _, ""} = HTTPClient.receive_response(socket)
  end

  @tag transport: [limits: %{per_ip: 2_000, requests_per_ip: 2_000, request_burst: 2_000}]
  test "a thousand who wait hold up nobody and cost nothing when they are gone", %{port: port, name: name} do
    polls = for n <- 1..1_000, do: poll(port, "#{n}")
    assert %{requests: 1_000, edge: %{api_waiting: 1_000}} = Transport.stats(name)
    assert {200, _, "xxx"} = HTTPClient.request(port, "GET", "/api/large/3")
    {answered, left} = Enum.split(polls, 500)
    for {_, pid, _} <- answered, do: send(pid, {200, [], inspect(pid)})

    for {socket, pid, _} <- answered,
        do: assert({200, _, _} = HTTPClient.receive_response(socket), inspect(pid))

    for {socket, _, _} <- left, do: :gen_tcp.close(socket)
    for {_, pid, _} <- left, do: assert({:shutdown, :client_gone} = ends(pid))
    wait_until(fn -> match?(%{requests: 0, edge: %{api_waiting: 0}}, Transport.stats(name)) end)
    assert %{api_abandoned: 500} = Transport.stats(name).edge
  end

  @tag transport: [limits: %{request_rate: 1, request_burst: 5}]
  test "an address that asks too much is told when to come again", %{port: port, name: name} do
    # A slow test is given one more for each second.
    answers = Stream.repeatedly(fn -> HTTPClient.request(port, "GET", "/api/nothing") end)
    assert {429, %{"retry-after" => "1"}, _} = refused = Enum.find(answers, &(elem(&1, 0) != 204))
    assert {429, %{"error" => %{"code" => "too_many", "limit" => 1}}} = json!(refused)
    assert %{refused: %{request_rate: 1}, api_requests: served} = Transport.stats(name).edge
    assert served >= 5

    # Another address has its own.
    socket = ask(port, "/api/nothing", @elsewhere)
    assert {204, _, _} = HTTPClient.receive_response(socket)
    wait_until(fn -> elem(HTTPClient.request(port, "GET", "/api/nothing"), 0) == 204 end)
  end

  @tag transport: [limits: %{requests_per_ip: 2, requests: 3}]
  test "so many of one address wait, and so many in all", %{port: port} do
    [{first, pid, _} | _] = for n <- ~w(a b), do: poll(port, n)

    assert {429, %{"error" => %{"code" => "too_many", "limit" => 2}}} =
             json!(HTTPClient.request(port, "GET", "/api/nothing"))

    poll(port, "c", "/poll/", @elsewhere)
    socket = ask(port, "/api/nothing", @elsewhere)
    assert {503, %{"retry-after" => "1"}, _} = answer = HTTPClient.receive_response(socket)
    assert {503, %{"error" => %{"code" => "unavailable", "limit" => 3}}} = json!(answer)

    send(pid, {200, [], ""})
    assert {200, _, ""} = HTTPClient.receive_response(first)
    assert {204, _, ""} = HTTPClient.request(port, "GET", "/api/nothing")
  end

  @tag transport: [origins: ["https://a.example"]]
  test "pages of other origins are refused, those of ours see the answers", %{port: port} do
    assert {403, headers, _} =
             answer = HTTPClient.request(port, "GET", "/api/nothing", [{"Origin", "https://b.example"}])

    assert {403, "forbidden"} = code!(answer)
    refute Map.has_key?(headers, "access-control-allow-origin")

    ours = {"Origin", "https://a.example"}
    assert {204, headers, _} = HTTPClient.request(port, "GET", "/api/nothing", [ours])
    assert headers["access-control-allow-origin"] == "https://a.example"
    assert headers["access-control-expose-headers"] == "retry-after, x-request-id"
    assert headers["vary"] == "origin"

    preflight = [ours, {"Access-Control-Request-Method", "POST"}]
    assert {204, headers, ""} = HTTPClient.request(port, "OPTIONS", "/api/none", preflight)
    assert headers["access-control-allow-methods"] == "GET, POST, DELETE"
    assert headers["access-control-allow-headers"] == "authorization, content-type, x-request-id"

    # Those that this server gave out are no others.
    own = {"Origin", "http://localhost"}
    assert {204, headers, _} = HTTPClient.request(port, "GET", "/api/nothing", [own])
    assert headers["access-control-allow-origin"] == elem(own, 1)
  end

  test "the edge is killed: what answered its clients ends, and the next one serves", %{
    port: port,
    name: name
  } do
    {socket, pid, _} = poll(port, "a")
    {_, trapping, _} = poll(port, "b", "/trap/")
    %{edge: %{os_pid: os_pid}} = Transport.stats(name)

    with_log(fn ->
      System.cmd("kill", ["-9", "#{os_pid}"])
      assert :closed = HTTPClient.receive_response(socket)
      assert {:shutdown, :client_gone} = ends(pid)
      assert :killed = ends(trapping)
    end)

    wait_until(fn ->
      match?(%{edge: %{os_pid: next}} when next != os_pid, Transport.stats(name)) and
        match?({:ok, ^port}, Transport.port(name))
    end)

    assert {200, _, "x"} = HTTPClient.request(port, "GET", "/api/large/1")
  end

  test "who is told of requests is killed: nothing goes on for nobody, and the next one serves", context do
    %{port: port, name: name} = context
    {socket, pid, _} = poll(port, "a")
    server = Process.whereis(Transport.part(name, "Requests"))

    with_log(fn ->
      Process.exit(server, :kill)
      assert :shutdown = ends(pid)
      assert {503, "unavailable"} = code!(HTTPClient.receive_response(socket))
      wait_until(fn -> match?({:ok, ^port}, Transport.port(name)) end)
    end)

    assert {200, _, "x"} = HTTPClient.request(port, "GET", "/api/large/1")
  end

  test "a stop answers those who wait", %{port: port, name: name} do
    {socket, pid, _} = poll(port, "a")
    stop_supervised!(name)
    assert ends(pid) in [{:shutdown, :client_gone}, :shutdown]
    assert {503, "unavailable"} = code!(HTTPClient.receive_response(socket))
  end

  test "options that do not fit are named" do
    for requests <- [{["api"], Answers, nil}, {[], Answers, nil}, {["/api"], NoSuchModule, nil}, :odd] do
      assert {:error, {:invalid_option, %{option: :requests, expected: expected}}} =
               Transport.start_link(name: __MODULE__, sockets: [{"/s", RoomSocket}], requests: requests)

      assert expected =~ "handle/2"
    end
  end
end
