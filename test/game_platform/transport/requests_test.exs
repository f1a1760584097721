defmodule GamePlatform.Transport.RequestsTest do
  use ExUnit.Case, async: true

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
end
