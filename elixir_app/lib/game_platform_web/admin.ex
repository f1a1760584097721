defmodule GamePlatformWeb.Admin do
  @moduledoc """
  Health and metrics over HTTP on a port of their own, served by the VM itself: whatever else has died, this
  answers.

      children = [
        {GamePlatform, name: MyGame},
        {GamePlatformWeb.Admin, [port: 4001] ++ GamePlatformWeb.Admin.Sources.options(MyGame)}
      ]

  | route | does |
  |---|---|
  | `GET /health`, `GET /healthz` | 200 if every part is up, else 503; a JSON object a line for each part: `{"part":"world","status":"up",…}` |
  | `GET /metrics` | metrics in Prometheus' text format 0.0.4 |
  | `GET /` | the list of these |

  There is no authentication: bind it where only those who may read it can reach it.

  Whatever is asked is answered within about `:deadline_ms`. A source that does not answer, crashes or answers
  nonsense makes a part that is `down`, or leaves its metrics out, which
  `game_platform_admin_source_up{source="…"}` then tells.

  HTTP/1.1 with keep-alive, and 1.0. Errors are `{"error":{"code":"not_found","message":"…"}}`: 400, 404, 405, 408
  (too slow), 411, 413 (the body), 414 (the request line), 431 (the headers), 503 (too many connections), 505.

  ## Options

    * `:name`: an atom, default `GamePlatformWeb.Admin`
    * `:port` (4001): 0 takes any that is free, which `port/1` tells
    * `:bind` (`"127.0.0.1"`): an IPv4 or IPv6 address
    * `:parts`: a keyword list of functions that give lists of parts, maps with `:part` and `:status`, which is `:up`
      or another atom; or one function
    * `:metrics`: a keyword list of functions that give lists of metrics, as `GamePlatformWeb.Admin.Metrics`
      describes them; or one function
    * `:deadline_ms` (1,000): how long a source has
    * `:max_connections` (64): more are answered with 503
    * `:head_ms` (10,000): how long a request may take to come; its body as long again
    * `:idle_ms` (60,000): how long a connection may wait for its next request
    * `:max_head_bytes` (16,384), `:max_headers` (64), `:max_body_bytes` (65,536; a body is read and not looked at)
  """

  use Supervisor

  alias GamePlatform.Config
  alias GamePlatformWeb.Admin.Listener

  @defaults [
    name: __MODULE__,
    port: 4001,
    bind: "127.0.0.1",
    parts: [],
    metrics: [],
    deadline_ms: 1_000,
    max_connections: 64,
    head_ms: 10_000,
    idle_ms: 60_000,
    max_head_bytes: 16_384,
    max_headers: 64,
    max_body_bytes: 65_536
  ]

  @doc "A child specification; its id is the server's name."
  @spec child_spec(keyword) :: Supervisor.child_spec()
  def child_spec(opts) do
    name = if Keyword.keyword?(opts), do: opts[:name]
    %{id: name || __MODULE__, start: {__MODULE__, :start_link, [opts]}, type: :supervisor}
  end

  @doc """
  Starts the server. `{:error, {:admin_not_started, %{bind: _, port: _, reason: _, hint: _}}}` if it cannot listen.
  """
  @spec start_link(keyword) :: Supervisor.on_start() | {:error, Config.error() | {:admin_not_started, map}}
  def start_link(opts \\ []) do
    with {:ok, options} <- options(opts) do
      case Supervisor.start_link(__MODULE__, options, name: options.name) do
        {:error, {:shutdown, {:failed_to_start_child, _, {:admin_not_started, _} = reason}}} ->
          {:error, reason}

        other ->
          other
      end
    end
  end

  @doc "The TCP port that a server listens on."
  @spec port(Supervisor.supervisor()) :: :inet.port_number()
  def port(server \\ __MODULE__) do
    {_, pid, _, _} = server |> Supervisor.which_children() |> List.keyfind(Listener, 0)
    Listener.port(pid)
  end

  # If the listener dies, so do its connections: they share nothing with the next one.
  @impl true
  def init(options) do
    options =
      Map.merge(options, %{
        connections: Module.concat(options.name, Connections),
        queries: Module.concat(options.name, Queries)
      })

    children = [
      Supervisor.child_spec({Task.Supervisor, name: options.queries}, id: :queries),
      Supervisor.child_spec(
        {Task.Supervisor, name: options.connections, max_children: options.max_connections},
        id: :connections
      ),
      {Listener, options}
    ]

    Supervisor.init(children, strategy: :one_for_all)
  end

  defp options(opts) do
    if Keyword.keyword?(opts) do
      @defaults
      |> Keyword.merge(opts)
      |> Enum.reduce_while({:ok, %{}}, fn {name, value}, {:ok, options} ->
        case check(name, value) do
          {:ok, value} -> {:cont, {:ok, Map.put(options, name, value)}}
          expected -> {:halt, Config.invalid(name, value, expected)}
        end
      end)
    else
      Config.invalid(:opts, opts, "a keyword list")
    end
  end

  defp check(:name, name), do: if(is_atom(name) and name != nil, do: {:ok, name}, else: "an atom")
  defp check(:port, port), do: fit(Config.check(:admin_port, port))
  defp check(:bind, bind), do: fit(Config.check(:bind, bind))

  defp check(name, function) when name in [:parts, :metrics] and is_function(function, 0),
    do: {:ok, [{name, function}]}

  defp check(name, sources) when name in [:parts, :metrics] do
    if Keyword.keyword?(sources) and Enum.all?(sources, fn {_, source} -> is_function(source, 0) end),
      do: {:ok, sources},
      else: "a keyword list of functions without arguments, or one"
  end

  defp check(name, value) do
    cond do
      not Keyword.has_key?(@defaults, name) ->
        "one of the options #{Enum.join(Keyword.keys(@defaults), ", ")}"

      is_integer(value) and value > 0 ->
        {:ok, value}

      true ->
        "a positive integer"
    end
  end

  defp fit({:ok, value}), do: {:ok, value}
  defp fit({:error, {:invalid_option, %{expected: expected}}}), do: expected
end
