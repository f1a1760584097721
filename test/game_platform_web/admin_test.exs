defmodule GamePlatformWeb.AdminTest do
  use ExUnit.Case, async: true

  import GamePlatform.Eventually
  import GamePlatform.HTTPClient

  alias GamePlatform.JSON
  alias GamePlatformWeb.Admin
  alias GamePlatformWeb.Admin.Sources

  defp start(opts \\ []) do
    name = :"Elixir.Admin#{System.unique_integer([:positive])}"
    start_supervised!({Admin, [name: name, port: 0] ++ opts})
    Admin.port(name)
  end

  defp up(part), do: fn -> [%{part: part, status: :up}] end

  defp lines(body),
    do: for(line <- String.split(body, "\n", trim: true), do: line |> JSON.decode() |> elem(1))

  defp error(body), do: body |> JSON.decode() |> elem(1) |> Map.fetch!("error")

  # What a connection gets for these bytes, all answers until it is closed.
  defp raw(port, bytes) do
    socket = connect(port)
    _ = :gen_tcp.send(socket, bytes)
    _ = :gen_tcp.shutdown(socket, :write)
    answers(socket)
  end

  defp answers(socket) do
    case receive_response(socket) do
      :closed -> []
      answer -> [answer | answers(socket)]
    end
  end

  test "the routes" do
    port = start(parts: up("world"), metrics: fn -> [] end)
    assert {200, headers, text} = request(port, "GET", "/")
    assert headers["content-type"] == "text/plain; charset=utf-8"
    for route <- ["/health", "/healthz", "/metrics"], do: assert(text =~ "GET " <> route <> " ")

    for path <- ["/health", "/healthz", "/health?verbose=1", "http://localhost:4001/health"] do
      assert {200, headers, ~s({"part":"world","status":"up"}\n)} = request(port, "GET", path)
      assert headers["content-type"] == "application/x-ndjson"
      assert headers["cache-control"] == "no-store"
      assert headers["date"] =~ ~r/\A\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\z/
    end

    assert {200, headers, text} = request(port, "GET", "/metrics")
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert text =~ ~s(game_platform_admin_source_up{source="metrics"} 1\n)
  end

  test "HEAD is GET without the body" do
    port = start(parts: up("world"))

    for path <- ["/", "/health", "/nowhere"] do
      {status, headers, body} = request(port, "GET", path)
      assert {^status, head, ""} = request(port, "HEAD", path)
      assert head["content-length"] == "#{byte_size(body)}"
      assert head["content-type"] == headers["content-type"]
    end
  end

  test "health is down when a part is" do
    parts = [
      a: up("a"),
      b: fn -> [%{part: "b", status: :backoff, tries: 3}, %{part: :c, status: :up, odd: {1, <<255>>}}] end
    ]

    assert {503, _, body} = request(start(parts: parts), "GET", "/health")

    assert [
             %{"part" => "a", "status" => "up"},
             %{"part" => "b", "status" => "backoff", "tries" => 3},
             %{"part" => "c", "status" => "up", "odd" => "{1, <<255>>}"}
           ] = lines(body)

    assert {200, _, ""} = request(start(), "GET", "/health")
  end

  test "a source that hangs, crashes or answers nonsense is down, and the others are not" do
    bad = [
      hangs: fn -> Process.sleep(:infinity) end,
      raises: fn -> raise "no" end,
      exits: fn -> exit(:no) end,
      throws: fn -> throw(:no) end,
      killed: fn -> Process.exit(self(), :kill) end,
      nonsense: fn -> :nonsense end,
      improper: fn -> [1 | 2] end,
      parts: fn -> [nil, %{part: "x"}, %{part: "x", status: "up"}, %{part: self(), status: :down}] end
    ]

    metric = %{name: "good_total", type: :counter, help: "", samples: [{%{}, 1}]}

    port =
      start(parts: [good: up("good")] ++ bad, metrics: [good: fn -> [metric] end] ++ bad, deadline_ms: 500)

    for _ <- 1..2 do
      assert {503, _, body} = request(port, "GET", "/health")
      [good | rest] = lines(body)
      assert good == %{"part" => "good", "status" => "up"}
      assert length(rest) == 7 + 4
      assert Enum.all?(rest, &(&1["status"] == "down"))

      assert %{"reason" => "the source has not answered within 500 ms"} =
               Enum.find(rest, &(&1["part"] == "hangs"))

      assert %{"reason" => "the source has ended: " <> _} = Enum.find(rest, &(&1["part"] == "raises"))

      assert {200, _, text} = request(port, "GET", "/metrics")
      assert text =~ "\ngood_total 1\n"
      assert text =~ ~s(source_up{source="good"} 1\n)
      # Of those four things none is a metric, but a list it is.
      for {name, _} <- bad, name != :parts, do: assert(text =~ ~s(source_up{source="#{name}"} 0\n))
      assert text =~ "game_platform_admin_metrics_rejected 4\n"
    end
  end

  test "errors are JSON, whatever is wrong" do
    port = start(parts: up("world"), max_head_bytes: 2_000, max_headers: 8, max_body_bytes: 100)
    many = String.duplicate("A: b\r\n", 8)
    long = String.duplicate("x", 3_000)

    for {bytes, status, code} <- [
          {"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not_found"},
          {"GET /health/ HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not_found"},
          {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not_found"},
          {"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 405, "method_not_allowed"},
          {"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed"},
          {"get / HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed"},
          {"garbage\r\n\r\n", 400, "malformed"},
          {"GET /\r\n\r\n", 400, "malformed"},
          {"GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed"},
          {"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed"},
          {"HTTP/1.1 200 OK\r\n\r\n", 400, "malformed"},
          {"GET / HTTP/1.1\r\n\r\n", 400, "malformed"},
          {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "malformed"},
          {"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400, "malformed"},
          {"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", 400, "malformed"},
          {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "malformed"},
          {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400, "malformed"},
          {<<22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3>>, 400, "malformed"},
          {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411,
           "length_required"},
          {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n", 413, "too_large"},
          {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9#{long}\r\n\r\n", 431, "headers_too_large"},
          {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: #{String.duplicate("9", 500)}\r\n\r\n", 413,
           "too_large"},
          {"GET /#{long} HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"},
          {long, 414, "uri_too_long"},
          {"GET / HTTP/1.1\r\nHost: x\r\nA: #{long}\r\n\r\n", 431, "headers_too_large"},
          {"GET / HTTP/1.1\r\nHost: x\r\n#{many}\r\n", 431, "too_many_headers"},
          {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, "http_version_not_supported"}
        ] do
      assert [{^status, headers, body}] = raw(port, bytes)
      assert headers["content-type"] == "application/json"
      assert %{"code" => ^code, "message" => message} = error(body)
      assert is_binary(message)
      if status == 405, do: assert(headers["allow"] == "GET, HEAD")
      assert headers["connection"] == if(status in [404, 405], do: "keep-alive", else: "close")
    end

    assert [{200, _, _}] = raw(port, "GET / HTTP/1.1\r\nHost: x\r\n#{binary_part(many, 0, 42)}\r\n")
    # A request that never ends, and one that never begins.
    assert raw(port, "GET / HTTP/1.1\r\nHost: x\r\n") == []
    assert raw(port, "\r\n\r\n") == []
  end

  test "a connection serves many requests, also if they come together" do
    port = start(parts: up("world"))
    socket = connect(port)

    for _ <- 1..3 do
      :ok = :gen_tcp.send(socket, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
      assert {200, %{"connection" => "keep-alive"}, _} = receive_response(socket)
    end

    :ok =
      :gen_tcp.send(socket, [
        "POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        "\r\nHEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /x HTTP/1.1\nhost: x\n\n",
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n",
        "GET /ignored HTTP/1.1\r\nHost: x\r\n\r\n"
      ])

    assert {405, _, _} = receive_response(socket)
    assert {200, _, ""} = receive_response(socket, true)
    assert {404, _, _} = receive_response(socket)
    assert {200, %{"connection" => "close"}, _} = receive_response(socket)
    assert receive_response(socket) == :closed
  end

  test "a request may come byte for byte" do
    socket = connect(start(parts: up("world")))
    for <<byte <- "GET /health HTTP/1.1\r\nHost: x\r\n\r\n">>, do: :ok = :gen_tcp.send(socket, <<byte>>)
    assert {200, _, _} = receive_response(socket)
  end

  test "HTTP/1.0 is closed unless it asks" do
    port = start()

    assert [{200, %{"connection" => "close"}, _}] =
             raw(port, "GET / HTTP/1.0\r\n\r\n" <> "GET / HTTP/1.0\r\n\r\n")

    assert [{200, %{"connection" => "keep-alive"}, _}, {200, _, _}] =
             raw(port, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET / HTTP/1.0\r\n\r\n")
  end

  test "a client that waits to be told to send its body is answered at once" do
    socket = connect(start())

    :ok =
      :gen_tcp.send(socket, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")

    assert {405, %{"connection" => "close"}, _} = receive_response(socket)
    assert receive_response(socket) == :closed
  end

  test "who is slow is told so; who says nothing is left without a word" do
    port = start(head_ms: 300, idle_ms: 300)

    for bytes <- ["G", "GET / HTTP/1.1\r\nHo", "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab"] do
      socket = connect(port)
      :ok = :gen_tcp.send(socket, bytes)
      assert {408, %{"connection" => "close"}, body} = receive_response(socket)
      assert %{"code" => "request_timeout"} = error(body)
      assert receive_response(socket) == :closed
    end

    assert receive_response(connect(port)) == :closed
    idle = connect(port)
    :ok = :gen_tcp.send(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert {200, _, _} = receive_response(idle)
    assert receive_response(idle) == :closed
  end

  test "connections are bounded, and a place is free again when one ends" do
    port = start(max_connections: 2)
    sockets = for _ <- 1..2, do: connect(port)

    for socket <- sockets do
      :ok = :gen_tcp.send(socket, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
      assert {200, _, _} = receive_response(socket)
    end

    assert {503, %{"retry-after" => "1", "connection" => "close"}, body} = receive_response(connect(port))
    assert %{"code" => "too_many_connections"} = error(body)
    :ok = :gen_tcp.close(hd(sockets))

    wait_until(fn ->
      socket = connect(port)
      _ = :gen_tcp.send(socket, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
      match?({200, _, _}, receive_response(socket))
    end)
  end

  test "no bytes bring it down" do
    port = start(parts: up("world"))
    :rand.seed(:exsss, {1, 2, 3})
    whole = "GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"

    for n <- 1..300 do
      bytes =
        case rem(n, 3) do
          0 ->
            :rand.bytes(:rand.uniform(2_000))

          1 ->
            binary_part(whole, 0, :rand.uniform(byte_size(whole)))

          2 ->
            for <<byte <- whole>>,
              into: "",
              do: if(:rand.uniform(20) == 1, do: :rand.bytes(1), else: <<byte>>)
        end

      for {status, headers, body} <- raw(port, bytes) do
        assert status in [200, 400, 404, 405, 411, 413, 431, 505]

        if status >= 400,
          do: assert(headers["content-type"] == "application/json" and map_size(error(body)) == 2)
      end
    end

    assert {200, _, _} = request(port, "GET", "/health")
  end

  test "IPv6" do
    case :gen_tcp.listen(0, [:inet6, ip: {0, 0, 0, 0, 0, 0, 0, 1}]) do
      {:ok, socket} ->
        :gen_tcp.close(socket)
        socket = connect(start(bind: "::1"), {0, 0, 0, 0, 0, 0, 0, 1})
        :ok = :gen_tcp.send(socket, "GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n")
        assert {200, _, _} = receive_response(socket)

      {:error, _} ->
        :ok
    end
  end

  test "several run side by side, and leave nothing when stopped" do
    {:ok, one} = Admin.start_link(name: AdminOne, port: 0)
    {:ok, two} = Admin.start_link(name: AdminTwo, port: 0)
    port = Admin.port(AdminOne)
    assert port == Admin.port(one) and port != Admin.port(two)
    assert {:error, {:already_started, ^one}} = Admin.start_link(name: AdminOne, port: 0)

    open = connect(port)
    :ok = :gen_tcp.send(open, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert {200, _, _} = receive_response(open)
    :ok = Supervisor.stop(one)
    assert receive_response(open) == :closed
    assert {:error, :econnrefused} = :gen_tcp.connect({127, 0, 0, 1}, port, [])
    assert {200, _, _} = request(Admin.port(two), "GET", "/")
    Supervisor.stop(two)
  end

  test "a port that is taken is named, with what to do" do
    port = start()
    Process.flag(:trap_exit, true)

    assert {:error, {:admin_not_started, %{port: ^port, bind: "127.0.0.1", reason: :eaddrinuse, hint: hint}}} =
             Admin.start_link(name: AdminTaken, port: port)

    assert hint =~ "127.0.0.1 port #{port}: " and hint =~ "ADMIN_PORT"
  end

  test "options that do not fit" do
    for {opts, option} <- [
          {[port: 70_000], :port},
          {[bind: "localhost"], :bind},
          {[name: nil], :name},
          {[parts: fn _ -> [] end], :parts},
          {[metrics: [vm: :no]], :metrics},
          {[deadline_ms: 0], :deadline_ms},
          {[colour: 1], :colour},
          {%{}, :opts}
        ] do
      assert {:error, {:invalid_option, %{option: ^option, expected: expected}}} = Admin.start_link(opts)
      assert is_binary(expected)
    end
  end

  test "a running platform" do
    name = :"Elixir.AdminGame#{System.unique_integer([:positive])}"
    port = start(Sources.options(name))
    assert {503, _, body} = request(port, "GET", "/health")
    assert %{"part" => "world", "status" => "down", "reason" => "not_running"} = hd(lines(body))
    assert {200, _, text} = request(port, "GET", "/metrics")
    assert text =~ ~s(game_platform_world_up{name="#{inspect(name)}"} 0\n)

    start_supervised!({GamePlatform, name: name, frequency: 4, ups: 100})
    wait_until(fn -> match?(%{tick: tick} when tick > 10, GamePlatform.stats(name)) end)
    assert {_, _, body} = request(port, "GET", "/health")

    assert [%{"part" => "world", "status" => "up", "target_ups" => 100, "tick" => tick} | others] =
             lines(body)

    assert tick > 10
    assert [%{"part" => "sessions", "status" => "up", "sessions" => 0}, mail | workers] = others
    assert %{"part" => "mail", "status" => "up", "last" => 0, "waiting" => 0} = mail
    assert %{"os_pid" => _, "state" => nil} = workers |> hd() |> Map.put_new("state", nil)
    assert Enum.all?(workers, &(&1["part"] == "worker"))

    assert {200, _, text} = request(port, "GET", "/metrics")
    assert text =~ ~s(game_platform_world_up{name="#{inspect(name)}"} 1\n)
    assert text =~ ~s(game_platform_worker_submitted_total{worker="GamePlatform.Compute.Worker"})
    assert text =~ "game_platform_sessions 0\n"
    assert text =~ "game_platform_mail_up 1\n"
    assert text =~ "game_platform_admin_metrics_rejected 0\n"

    for _ <- 1..2, do: GamePlatformWeb.API.handle(%{method: "GET", path: "/api/v1/me"}, %{game: name})
    {:ok, _} = GamePlatform.Sessions.connect(name)
    assert {200, _, text} = request(port, "GET", "/metrics")
    assert text =~ ~s(game_platform_api_requests_total{route="/api/v1/me",status="401"} 2\n)
    assert text =~ ~s(game_platform_api_refused_total{reason="unauthorized"} 2\n)
    assert text =~ "game_platform_sessions 1\n"
    assert text =~ "game_platform_admin_metrics_rejected 0\n"
  end
end
