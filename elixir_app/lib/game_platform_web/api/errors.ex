defmodule GamePlatformWeb.API.Errors do
  @moduledoc false
  # What a request may be refused with: a code, its status, and a sentence that says what to do.

  require Logger

  alias GamePlatform.JSON

  @errors %{
    malformed: {400, "The request cannot be read: correct what is named and send it again."},
    out_of_range: {400, "A value does not fit: correct the field that is named and send it again."},
    no_session:
      {400, "This token belongs to no session: POST /api/v1/connect with it, and use the token that you get."},
    unauthorized:
      {401, "A token is needed: POST /api/v1/connect gives one, to be sent as Authorization: Bearer TOKEN."},
    foreign_session:
      {403, "This session is another player's: use the session_id that POST /api/v1/connect gave you."},
    not_found: {404, "There is nothing here: GET /api/openapi.json tells what there is."},
    unknown_session: {404, "There is no such session: POST /api/v1/connect gives one."},
    unknown_world: {404, "There is no such world: GET /api/v1/worlds tells which there are."},
    no_player: {404, "This world has no players, or you are not one: watch it, or play in another."},
    method_not_allowed: {405, "Ask this path with another method: the header Allow names them."},
    replaced: {409, "A newer poll of this session waits, and gets what comes: keep one at a time."},
    too_large: {413, "This is too much for one request: send less at a time."},
    rate_limited: {429, "Those were too many requests: wait as long as Retry-After says."},
    internal: {500, "Something is wrong with the server: try again, and tell the operator if it lasts."},
    restarting: {503, "The world is being started: try again in a moment."},
    busy: {503, "As many sessions are there as the server takes: try again in a few seconds."},
    log_behind: {503, "The server's disk is slow at the moment: try again in a second."}
  }
  @retry_s 1

  @type code :: atom
  @type error :: {:error, code, keyword}

  @doc "The status of a code."
  @spec status(code) :: 400..503
  def status(code), do: @errors |> Map.fetch!(code) |> elem(0)

  @doc "All codes."
  @spec codes() :: [code]
  def codes, do: Map.keys(@errors)

  @doc "An error; options are `message`, `field`, `limit` and `retry_s`."
  @spec error(code, keyword) :: error
  def error(code, opts \\ []) when is_map_key(@errors, code), do: {:error, code, opts}

  @doc """
  The answer to a request that is refused.

      iex> {404, headers, body} = GamePlatformWeb.API.Errors.answer({:error, :unknown_world, []})
      iex> {List.keyfind(headers, "content-type", 0), body =~ ~S("code":"unknown_world")}
      {{"content-type", "application/json"}, true}
  """
  @spec answer(error, [{String.t(), String.t()}]) :: {400..503, [{String.t(), String.t()}], String.t()}
  def answer({:error, code, opts}, headers \\ []) do
    {status, message} = Map.fetch!(@errors, code)
    about = opts |> Keyword.take([:message, :field, :limit]) |> Map.new()
    body = JSON.encode!(%{error: Map.merge(%{code: code, message: message}, about)})
    {status, [{"content-type", "application/json"} | headers] ++ extra(status, opts), body}
  end

  defp extra(401, _), do: [{"www-authenticate", "Bearer"}]

  defp extra(status, opts) when status in [429, 503],
    do: [{"retry-after", Integer.to_string(opts[:retry_s] || @retry_s)}]

  defp extra(_, _), do: []

  @doc "Tells the operator of a fault, without what the request was: it may hold a token."
  @spec report(Exception.t(), Exception.stacktrace()) :: :ok
  def report(exception, stacktrace) do
    frames =
      for frame <- stacktrace do
        case frame do
          {module, function, arguments, location} when is_list(arguments) ->
            {module, function, length(arguments), location}

          frame ->
            frame
        end
      end

    Logger.error(
      "a request failed with #{inspect(exception.__struct__)}\n" <> Exception.format_stacktrace(frames)
    )
  end
end
