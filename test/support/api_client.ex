defmodule GamePlatform.APIClient do
  @moduledoc "Requests to `GamePlatformWeb.API`, without a server between."

  import ExUnit.Assertions

  alias GamePlatform.{JSON, JSONSchema}
  alias GamePlatformWeb.API
  alias GamePlatformWeb.API.{OpenAPI, Routes}

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

    handle(request, %{game: game})
  end

  @doc "As `GamePlatformWeb.API.handle/2`; the answer is compared with the description."
  def handle(request, options) do
    {status, headers, body} = API.handle(request, options)
    term = read(body, headers)
    described!(request, status, headers, term)
    {status, Map.new(headers), term}
  end

  defp described!(%{method: method, path: path}, status, headers, term) do
    document = document()

    case Routes.find(method, path) do
      {:ok, route, _} ->
        responses = document["paths"][route.path][String.downcase(route.method)]["responses"]
        assert %{} = response = responses["#{status}"], "#{method} #{route.path} does not describe #{status}"
        {_, type} = List.keyfind(headers, "content-type", 0, {nil, nil})
        described = Map.get(response, "content", %{})

        assert is_map_key(described, type) or (type == nil and described == %{}),
               "#{route.path} #{status} #{type}"

        schema = if type == "application/json", do: described[type]["schema"], else: %{"type" => "string"}
        unless type == nil, do: fits!(term, schema, document, "#{method} #{route.path} #{status}")

      {:method_not_allowed, _} ->
        assert status == 405
        fits!(term, %{"$ref" => "#/components/schemas/Error"}, document, path)

      :not_found ->
        assert status == 404
        fits!(term, %{"$ref" => "#/components/schemas/Error"}, document, "404")
    end
  end

  defp fits!(term, schema, document, about) do
    case JSONSchema.faults(term, schema, document["components"]["schemas"]) do
      [] -> :ok
      faults -> flunk("#{about}: " <> Enum.join(faults, ", ") <> "\n" <> inspect(term, limit: 50))
    end
  end

  @doc "The description as clients read it."
  def document do
    with nil <- :persistent_term.get(__MODULE__, nil) do
      {:ok, document} = OpenAPI.document() |> JSON.encode!() |> JSON.decode()
      :persistent_term.put(__MODULE__, document)
      document
    end
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
