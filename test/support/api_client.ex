defmodule GamePlatform.APIClient do
  @moduledoc "Requests to `GamePlatformWeb.API`, without a server between."

  import ExUnit.Assertions

  alias GamePlatform.JSON
  alias GamePlatformWeb.API

  @doc "An answer as `{status, headers, term}`; `opts`: `token`, `query`, `body` (a term), `text` (a raw body), `headers`, `peer`."
  def request(game, method, path, opts \\ []) do
    token = if opts[:token], do: [{"authorization", "Bearer " <> opts[:token]}], else: []

    body = opts[:text] || if(Keyword.has_key?(opts, :body), do: JSON.encode!(opts[:body]), else: "")

    request = %{
      method: method,
      path: path,
      query: opts[:query] || "",
      headers: token ++ (opts[:headers] || []),
      body: body,
      peer: opts[:peer] || "127.0.0.1:5555",
      request_id: "test",
      client: nil
    }

    {status, headers, body} = API.handle(request, %{game: game})
    {status, Map.new(headers), read(body, headers)}
  end

  defp read("", _), do: nil

  defp read(body, headers) do
    case List.keyfind(headers, "content-type", 0) do
      {_, "application/json"} -> elem({:ok, _} = JSON.decode(body), 1)
      _ -> body
    end
  end

  def get(game, path, opts \\ []), do: request(game, "GET", path, opts)
  def post(game, path, opts \\ []), do: request(game, "POST", path, opts)

  @doc "A new device; as in the answer, with `session_id`, `token` and so on."
  def connect!(game, body \\ %{}, opts \\ []) do
    {201, _, connection} = post(game, "/api/v1/connect", [body: body] ++ opts)
    connection
  end

  @doc "Asserts an error of that status, and gives its code and its `field`."
  def assert_error({status, headers, body}, status, code) do
    assert %{"error" => %{"code" => ^code, "message" => message} = error} = body
    assert is_binary(message) and message != ""
    if status in [429, 503], do: assert(String.to_integer(headers["retry-after"]) >= 1)
    if status == 401, do: assert(headers["www-authenticate"] == "Bearer")
    error
  end

  def assert_error({other, _, body}, status, _),
    do: flunk("#{status} expected, was #{other}: #{inspect(body)}")
end
