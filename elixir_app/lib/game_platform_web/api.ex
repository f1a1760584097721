defmodule GamePlatformWeb.API do
  @moduledoc """
  Requests over HTTP: connect, look, act, and get what becomes of it, without a socket.

  `handle/2` takes a request and gives `{status, headers, body}`, whatever carries it: `GamePlatform.Transport` does with
  its option `:requests`, and so may any other server:

      {status, headers, body} = GamePlatformWeb.API.handle(request, %{game: MyGame})

  Options besides `:game`: `:poll_ms`, how long a poll waits (30,000). A request is a map with `method`, `path`, `query` (raw), `headers` (names in lower case), `body` and `peer`
  (`"127.0.0.1:5555"`). A poll waits in the calling process, up to 30 seconds; who kills that process ends it well.

  `GET /api/openapi.json` describes every route. Answers and errors are JSON, errors
  `{"error":{"code","message","field"?,"limit"?}}`; a token is shown as `Authorization: Bearer TOKEN`, or as the
  parameter `token`.
  """

  alias GamePlatform.{JSON, Sessions, Telemetry}
  alias GamePlatform.Sessions.Settings
  alias GamePlatform.Transport.Token
  alias GamePlatformWeb.API.{Errors, Params, Routes}

  @type request :: %{
          required(:method) => String.t(),
          required(:path) => String.t(),
          optional(:query) => String.t(),
          optional(:headers) => [{String.t(), String.t()}],
          optional(:body) => binary,
          optional(:peer) => String.t(),
          optional(atom) => term
        }
  @type answer :: {status :: 200..599, headers :: [{String.t(), String.t()}], body :: binary}

  @world "main"
  # Of one session id, on the routes that need a token.
  @session_limit {50, 100}
  @poll_ms 30_000

  @doc "What one session id may ask for: requests a second, and at once after a pause."
  @spec session_limit() :: {pos_integer, pos_integer}
  def session_limit, do: @session_limit

  @doc "The paths that requests are answered at, and below."
  @spec prefixes() :: [String.t()]
  defdelegate prefixes, to: Routes

  @doc """
  Answers a request to an instance. It never raises, and knows no atom that a client names.

      iex> request = %{method: "GET", path: "/api/v1/nothing"}
      iex> {404, _, body} = GamePlatformWeb.API.handle(request, %{game: Docs.NoSuchGame})
      iex> body =~ ~S("code":"not_found")
      true
  """
  @spec handle(request, %{required(:game) => atom, optional(atom) => term}) :: answer
  def handle(%{method: method, path: path} = request, %{game: game} = options) do
    started = System.monotonic_time()

    {route, {status, _, _} = answer} =
      case Routes.find(method, path) do
        {:ok, route, named} -> {route.path, answer(options, request, route, named)}
        {:method_not_allowed, methods} -> {"other", not_allowed(game, methods)}
        :not_found -> {"other", refuse(game, Errors.error(:not_found))}
      end

    Settings.count(game, {:answered, route, status})
    measurements = %{duration: System.monotonic_time() - started}
    # Methods are clients' words until a route has them.
    known = if route == "other", do: "other", else: method
    Telemetry.execute([:api, :request], measurements, %{method: known, route: route, status: status})
    answer
  end

  defp not_allowed(game, methods) do
    error = Errors.error(:method_not_allowed, message: "Ask this path with #{Enum.join(methods, " or ")}.")
    refuse(game, error, [{"allow", Enum.join(methods, ", ")}])
  end

  defp refuse(game, {:error, code, _} = error, headers \\ []) do
    Settings.count(game, {:refused, code})
    Errors.answer(error, headers)
  end

  defp answer(%{game: game} = options, request, route, named) do
    request = Map.merge(%{query: "", headers: [], body: "", peer: ""}, request)

    with {:ok, config} <- config(game),
         context = %{game: game, config: config, request: request, poll_ms: options[:poll_ms] || @poll_ms},
         {:ok, query} <- Params.query(request.query),
         {:ok, identity} <- identity(route.auth, context, query),
         :ok <- allowed(route.auth, game, identity),
         {:ok, body} <- body(route[:body], request.body),
         {:ok, params} <- Params.read(route.params, named, query, if(is_map(body), do: body, else: %{})),
         :ok <- there(params, game, identity) do
      {module, function} = route.run

      module
      |> apply(function, [Map.merge(context, %{identity: identity, params: params, body: body})])
      |> given(game)
    else
      {:error, _, _} = error -> refuse(game, error)
    end
  rescue
    exception ->
      Errors.report(exception, __STACKTRACE__)
      refuse(game, Errors.error(:internal))
  catch
    # What it asked has ended meanwhile.
    :exit, _ -> refuse(game, Errors.error(:restarting))
  end

  defp given({:error, _, _} = error, game), do: refuse(game, error)
  defp given({status, headers, body}, _) when is_binary(body), do: {status, headers, body}
  defp given({status, nil}, _), do: {status, [], ""}

  defp given({status, {:json, text}}, _),
    do: {status, [{"content-type", "application/json"}], IO.iodata_to_binary(text)}

  defp given({status, term}, game), do: given({status, {:json, JSON.encode!(term)}}, game)

  defp config(game) do
    with nil <- Settings.get(game), do: Errors.error(:restarting), else: (config -> {:ok, config})
  end

  defp identity(:none, _, _), do: {:ok, nil}

  defp identity(auth, %{game: game, request: request}, query) do
    with {:ok, token} <- Token.from_request(request.headers, query),
         {:ok, identity} <-
           if(auth == :optional, do: {:ok, %{token: token}}, else: Sessions.authorize(game, token)) do
      {:ok, Map.put(identity, :token, token)}
    else
      {:error, :missing_token} when auth == :optional -> {:ok, %{token: nil}}
      {:error, :missing_token} -> Errors.error(:unauthorized)
      {:error, :not_running} -> Errors.error(:restarting)
      {:error, reason} -> unauthorized(reason)
    end
  end

  @doc false
  def unauthorized(reason) do
    Errors.error(:unauthorized,
      message:
        "The token is refused: #{Token.describe(reason)}. POST /api/v1/connect without it gives a new one."
    )
  end

  defp allowed(:bearer, game, %{session_id: id, player: player}) do
    case Settings.take(game, :requests, {:session, id || player}, @session_limit) do
      :ok -> :ok
      {:error, retry_s} -> Errors.error(:rate_limited, retry_s: retry_s, limit: elem(@session_limit, 0))
    end
  end

  defp allowed(_, _, _), do: :ok

  defp body(nil, _), do: {:ok, nil}

  defp body(kind, text) do
    case {kind, Params.json(text)} do
      {:optional, {:ok, nil}} -> {:ok, %{}}
      {:optional, {:ok, body}} when not is_map(body) -> no_body("The body is an object, or empty.")
      {{:required, _}, {:ok, nil}} -> no_body("A body is needed: send JSON.")
      {_, result} -> result
    end
  end

  defp no_body(message), do: Errors.error(:malformed, field: "body", message: message)

  defp there(%{world: world}, _, _) when world != @world, do: Errors.error(:unknown_world, field: "world")

  # What the token itself is about has been looked at.
  defp there(%{session: id}, _, %{session_id: id}), do: :ok

  defp there(%{session: id}, game, %{player: player}) do
    case Sessions.whose(game, id, player) do
      :own -> :ok
      :foreign -> Errors.error(:foreign_session)
      :unknown -> Errors.error(:unknown_session)
    end
  end

  defp there(_, _, _), do: :ok
end
