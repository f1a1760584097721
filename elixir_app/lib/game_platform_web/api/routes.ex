defmodule GamePlatformWeb.API.Routes do
  @moduledoc false
  # Every route, once: what is routed, which methods are allowed, who must show a token, what parameters may be, and what
  # the OpenAPI description says are all read from here.
  #
  # Parameters are named `{where, name, type}`, in `:path`, `:query` or `:body`; `name` is what handlers find in `params`.
  # A `:session` in the path is compared with the token's player, and a `:world` must be there.

  alias GamePlatformWeb.API.{Mailbox, Params, Visits, Worlds}

  # What stays exact in JSON.
  @most 0x1F_FFFF_FFFF_FFFF

  @after_ {:query, :after, {:integer, 0, @most}}

  @routes [
    %{
      method: "POST",
      path: "/api/v1/connect",
      auth: :optional,
      run: {Visits, :connect},
      params: [{:body, :name, :name}, {:body, :world, :world}, {:body, :guest, :guest}],
      body: :optional,
      answers: %{201 => "Connection"},
      errors: [:too_large, :rate_limited, :unknown_world, :busy],
      summary: "Connect as a player: a guest, or whoever the token of another issuer names"
    },
    %{
      method: "POST",
      path: "/api/v1/refresh",
      auth: :bearer,
      run: {Visits, :refresh},
      params: [],
      answers: %{200 => "Token"},
      errors: [:no_session],
      summary: "A new token for the same session id, before the present one expires"
    },
    %{
      method: "POST",
      path: "/api/v1/logout",
      auth: :bearer,
      run: {Visits, :logout},
      params: [],
      answers: %{200 => "Saved"},
      errors: [:no_session, :log_behind],
      summary: "Wait until all that was done is saved, and end the session id of the token"
    },
    %{
      method: "GET",
      path: "/api/v1/me",
      auth: :bearer,
      run: {Visits, :me},
      params: [],
      answers: %{200 => "Me"},
      errors: [:no_player],
      summary: "The player of the token, and its devices"
    },
    %{
      method: "GET",
      path: "/poll/{session}",
      auth: :bearer,
      run: {Mailbox, :poll},
      params: [{:path, :session, :session}, @after_],
      answers: %{200 => "Messages", 204 => nil},
      errors: [:replaced],
      summary: "Messages as soon as there are any; nothing after 30 seconds"
    },
    %{
      method: "GET",
      path: "/mailbox/{session}/messages",
      auth: :bearer,
      run: {Mailbox, :messages},
      params: [{:path, :session, :session}, @after_, {:query, :limit, {:integer, 1, 1_000}}],
      answers: %{200 => "Messages"},
      errors: [],
      summary: "Messages that are there; `after` says that all up to it have arrived"
    },
    %{
      method: "POST",
      path: "/mailbox/{session}/actions",
      auth: :bearer,
      run: {Mailbox, :actions},
      params: [{:path, :session, :session}],
      body: {:required, "Actions"},
      answers: %{202 => "Results", 422 => "Results", 429 => "Results", 503 => "Results"},
      errors: [:too_large],
      summary: "One action, or up to 100: what becomes of each comes as an outcome"
    },
    %{
      method: "GET",
      path: "/api/v1/server/info",
      auth: :none,
      run: {Worlds, :info},
      params: [],
      answers: %{200 => "ServerInfo"},
      errors: [],
      summary: "What this server is"
    },
    %{
      method: "GET",
      path: "/api/v1/worlds",
      auth: :none,
      run: {Worlds, :worlds},
      params: [],
      answers: %{200 => "Worlds"},
      errors: [],
      summary: "The worlds that run here"
    },
    %{
      method: "GET",
      path: "/api/v1/worlds/{world}/cells/{cell}",
      auth: :bearer,
      run: {Worlds, :cell},
      params: [{:path, :world, :world}, {:path, :cell, {:integer, 0, @most}}],
      answers: %{200 => "Cell"},
      errors: [],
      summary: "A cell, with its machine and owner"
    },
    %{
      method: "GET",
      path: "/api/v1/worlds/{world}/chunks/{chunk}",
      auth: :bearer,
      run: {Worlds, :chunk},
      params: [
        {:path, :world, :world},
        {:path, :chunk, {:integer, 0, @most}},
        {:query, :format, {:in, ["json", "binary"]}}
      ],
      answers: %{200 => {"Chunk", :binary}},
      errors: [],
      summary: "The cells of a chunk; as a keyframe (docs/ipc.md) if octets are asked for"
    },
    %{
      method: "GET",
      path: "/api/v1/worlds/{world}/players",
      auth: :bearer,
      run: {Worlds, :players},
      params: [{:path, :world, :world}],
      answers: %{200 => "Players"},
      errors: [],
      summary: "Who is there, and where"
    },
    %{
      method: "GET",
      path: "/api/openapi.json",
      auth: :none,
      run: {GamePlatformWeb.API.OpenAPI, :answer},
      params: [],
      answers: %{200 => "OpenAPI"},
      errors: [],
      summary: "This description"
    }
  ]

  @table (for route <- @routes do
            segments =
              for segment <- String.split(route.path, "/", trim: true) do
                case segment do
                  "{" <> name -> {:name, name |> String.trim_trailing("}") |> String.to_atom()}
                  segment -> segment
                end
              end

            {segments, route}
          end)

  @doc "Every route, in order."
  @spec all() :: [map]
  def all, do: @routes

  @doc "The first parts of paths, which a transport hands to `GamePlatformWeb.API`."
  @spec prefixes() :: [String.t()]
  def prefixes, do: ["/api", "/poll", "/mailbox"]

  @doc """
  The route of a request with what stands in its path, or the methods that the path takes.

      iex> alias GamePlatformWeb.API.Routes
      iex> {:ok, %{path: "/poll/{session}"}, %{session: "abc"}} = Routes.find("GET", "/poll/abc")
      iex> Routes.find("DELETE", "/poll/abc")
      {:method_not_allowed, ["GET", "HEAD"]}
      iex> Routes.find("GET", "/poll/abc/")
      :not_found
  """
  @spec find(String.t(), String.t()) :: {:ok, map, map} | {:method_not_allowed, [String.t()]} | :not_found
  def find(method, path) do
    method = if method == "HEAD", do: "GET", else: method

    with {:ok, parts} <- parts(path),
         [_ | _] = found <-
           for({segments, route} <- @table, named = match(segments, parts, %{}), do: {route, named}) do
      case Enum.find(found, fn {route, _} -> route.method == method end) do
        {route, named} -> {:ok, route, named}
        nil -> {:method_not_allowed, Enum.flat_map(found, fn {route, _} -> methods(route) end)}
      end
    else
      _ -> :not_found
    end
  end

  defp methods(%{method: "GET"}), do: ["GET", "HEAD"]
  defp methods(%{method: method}), do: [method]

  # None of the routes is longer.
  defp parts("/" <> path) when byte_size(path) <= 512 do
    with true <- Params.encoded?(path),
         parts = path |> String.split("/") |> Enum.map(&URI.decode/1),
         true <- Enum.all?(parts, &String.valid?/1),
         do: {:ok, parts}
  end

  defp parts(_), do: :error

  defp match([], [], named), do: named

  defp match([{:name, name} | segments], [part | parts], named),
    do: match(segments, parts, Map.put(named, name, part))

  defp match([part | segments], [part | parts], named), do: match(segments, parts, named)
  defp match(_, _, _), do: nil
end
