defmodule GamePlatform.OpenAPITest do
  # The running server is what its description says: requests made up from it, right and wrong ones, are answered as it
  # says, by a program that knows nothing else of us.
  use ExUnit.Case, async: false

  alias GamePlatform.{HTTPClient, JSON, Sessions}
  alias GamePlatformWeb.API.Routes

  @moduletag timeout: 180_000, capture_log: true
  @beat_ms 50
  # One session has 50 requests a second.
  @rate "40/s"
  @examples 25
  @seconds 25

  setup do
    name = __MODULE__.Game
    limits = %{request_rate: 10_000, request_burst: 10_000}

    start_supervised!(
      {GamePlatform,
       name: name, frequency: 12, edge: [port: 0, limits: limits, connect_rate: 1_000, connect_burst: 1_000]}
    )

    {:ok, port} = GamePlatform.port(name)
    # So that no poll waits for long.
    start_supervised!({Task, fn -> beat(name, 1) end})
    %{game: name, port: port}
  end

  defp beat(name, n) do
    {:ok, _} = Sessions.publish(name, "beat", %{n: n})
    Process.sleep(@beat_ms)
    beat(name, n + 1)
  end

  defp connect(port) do
    headers = [{"Content-Length", "2"}, {"Content-Type", "application/json"}]
    {201, _, body} = HTTPClient.request(port, "POST", "/api/v1/connect", headers, "{}")
    {:ok, session} = JSON.decode(body)
    session
  end

  defp schemathesis(port, args) do
    %{"token" => token, "session_id" => id} = connect(port)
    config = ["--config-file", Path.expand("test/openapi/schemathesis.toml"), "run"]
    url = "http://127.0.0.1:#{port}"

    checks =
      "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"

    checks = checks <> "response_schema_conformance,ignored_auth,unsupported_method,allow_header_conformance"

    common =
      ["#{url}/api/openapi.json", "--url", url, "--checks", checks, "--no-color", "--rate-limit", @rate] ++
        ["--max-examples", "#{@examples}", "--generation-database", "none", "--seed", "1", "--workers", "2"] ++
        ["--request-timeout", "10"]

    env = [{"TOKEN", token}, {"SESSION_ID", id}]

    System.cmd(Path.expand("scripts/schemathesis"), config ++ common ++ args,
      env: env,
      stderr_to_stdout: true
    )
  end

  test "every route", %{game: game, port: port} do
    # What ends the session of the others comes last.
    rest = ["--exclude-path", "/api/v1/logout", "--max-time", "#{@seconds}"]
    {output, status} = schemathesis(port, rest)
    assert status == 0, output
    {output, status} = schemathesis(port, ["--include-path", "/api/v1/logout"])
    assert status == 0, output
    # Not everything was refused.
    answered = Sessions.info(game).answered

    for route <- Routes.all(),
        do: assert(Enum.any?([200, 201, 202], &is_map_key(answered, {route.path, &1})), route.path)
  end
end
