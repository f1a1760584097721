defmodule GamePlatform.Transport do
  @moduledoc """
  Serves sockets to the clients of Phoenix, over WebSocket and long poll, without Phoenix.

  The sockets themselves are in `gp_edge`, a native process: each of them is an Erlang process there, which
  `t:GamePlatform.Socket.t/0` names as `transport_pid`. What clients may do is decided here, by socket and channel
  modules (`GamePlatform.Socket`, `GamePlatform.Channel`). A broadcast crosses to the edge once, however many clients
  take it. If the edge dies it is started again on the same port, and clients join anew.

      children = [
        {GamePlatform.Transport, name: MyApp.Edge, sockets: [{"/socket", MyApp.UserSocket}], port: 4000}
      ]

  ## Options

    * `:name` (required): an atom, the `endpoint` of sockets and of `broadcast/4`
    * `:sockets` (required): a list of `{path, module}` or `{path, module, assigns}`
    * `:requests`: `{paths, module, arg}` for requests that are no sockets, `nil` for none: `module.handle(request, arg)`
      answers whatever is asked at one of the paths, like `"/api"`, or below it
    * `:port` (4000; 0 is any free one, which `port/1` tells) and `:bind` (`"127.0.0.1"`)
    * `:static`: a directory of files to serve, `nil` for none
    * `:origins`: `:same` (the default), `:any`, or a list of others like `"https://play.example"`
    * `:limits`: a map of what `docs/edge.md` lists, e.g. `%{message_bytes: 65_536}`
    * `:native`: options for `GamePlatform.NativeNode`, e.g. `[hang_checks: 40]`

  ## Requests

  `handle/2` is given a `t:request/0`: `path` and `query` as they were sent, names of headers in lower case, `peer` like
  `"127.0.0.1:5555"`, and in `client` a process that ends when the client goes away. It answers a `t:answer/0`, and may
  take its time: it is called in a process of its own, which is killed when nobody waits for the answer any more. If it
  crashes the client is told 500. `HEAD` is asked as `GET`; preflights of browsers are answered by the edge.
  """

  use Supervisor

  alias GamePlatform.{Channel, Config, NativeNode, Socket}
  alias GamePlatform.Transport.{Acceptor, Edge, Egress, PresenceServer, Requests}

  @typedoc "What `handle/2` of the option `:requests` is given."
  @type request :: %{
          method: String.t(),
          path: String.t(),
          query: String.t(),
          headers: [{String.t(), binary}],
          body: binary,
          peer: String.t(),
          request_id: String.t(),
          client: pid
        }

  @typedoc "What it answers: a status of 200 to 599, headers, and at most 8 MiB."
  @type answer :: {200..599, [{String.t(), binary}], iodata}

  @look_ms 100
  @options [:name, :sockets, :requests, :port, :bind, :static, :origins, :limits, :native]

  @doc "A child specification; its id is the name."
  @spec child_spec(keyword) :: Supervisor.child_spec()
  def child_spec(opts) do
    %{id: opts[:name] || __MODULE__, start: {__MODULE__, :start_link, [opts]}, type: :supervisor}
  end

  @doc "Starts it. An option that does not fit is `{:error, {:invalid_option, %{option: _, value: _, expected: _}}}`."
  @spec start_link(keyword) :: Supervisor.on_start()
  def start_link(opts) do
    with {:ok, config} <- validate(opts), do: Supervisor.start_link(__MODULE__, config, name: config.name)
  end

  # The channels end before what they send through.
  #
  #     name (rest_for_one)
  #     ├── name.PubSub        Registry: processes of this VM that subscribed
  #     ├── name.Egress        sends to the edge
  #     ├── name.Presence      who is there
  #     ├── name.Channels      a process for each client and topic
  #     ├── name.Connections   a process for each client
  #     ├── name.Requests      told of each request by the edge
  #     ├── name.Handlers      a process for each request
  #     ├── name.Acceptor      told of each client by the edge
  #     └── name.Edge          gp_edge
  @impl true
  def init(%{name: name} = config) do
    PresenceServer.new_table(name)

    Supervisor.init(
      [
        {Registry, keys: :duplicate, name: part(name, "PubSub")},
        {Egress, name: egress(name)},
        {PresenceServer, name},
        Supervisor.child_spec({DynamicSupervisor, name: part(name, "Channels")}, id: :channels),
        Supervisor.child_spec({DynamicSupervisor, name: part(name, "Connections")}, id: :connections),
        {Requests, config},
        Requests.handlers(config),
        {Acceptor, config},
        {Edge, config}
      ],
      strategy: :rest_for_one,
      max_restarts: 10
    )
  end

  @doc false
  def part(name, part), do: Module.concat(name, part)

  @doc false
  def egress(name), do: part(name, "Egress")

  @doc """
  The port that clients connect to, once the edge is up. `{:error, {:cannot_listen, sentence}}` if it cannot listen
  there, `{:error, :worker_down}` if it does not come up in time.
  """
  @spec port(atom, timeout) :: {:ok, :inet.port_number()} | {:error, term}
  def port(name, timeout \\ 10_000)
  def port(name, :infinity), do: port(name, 1_000_000_000)

  def port(name, timeout) do
    edge = part(name, "Edge")

    case NativeNode.await_up(edge, min(timeout, @look_ms)) do
      {:ok, %{up: %{port: port}}} -> {:ok, port}
      {:error, :worker_down} -> refused(edge) || port_later(name, timeout)
      error -> error
    end
  end

  defp port_later(_, timeout) when timeout <= @look_ms, do: {:error, :worker_down}
  defp port_later(name, timeout), do: port(name, timeout - @look_ms)

  # It is tried again, but whoever asks wants to know.
  defp refused(edge) do
    case NativeNode.info(edge) do
      %{last_exit: {:refused_by_handler, sentence}} -> {:error, {:cannot_listen, sentence}}
      _ -> nil
    end
  catch
    :exit, _ -> {:error, :worker_down}
  end

  @doc """
  Sends an event to every client that has joined a topic, and to the processes that subscribed to it.
  """
  @spec broadcast(atom, String.t(), String.t(), Channel.payload()) :: :ok | {:error, term}
  def broadcast(name, topic, event, payload) when is_binary(topic) and is_binary(event),
    do: broadcast(name, nil, topic, event, payload)

  @doc "As `broadcast/4`, but not to one socket."
  @spec broadcast_from(Socket.t(), String.t(), String.t(), Channel.payload()) :: :ok | {:error, term}
  def broadcast_from(%Socket{} = socket, topic, event, payload) when is_binary(topic) and is_binary(event),
    do: broadcast(socket.endpoint, socket, topic, event, payload)

  defp broadcast(name, except, topic, event, payload) do
    encoded = Channel.encode!(payload)

    if except,
      do: Egress.broadcast_from(except, Egress.key(topic), topic, event, encoded),
      else: Egress.broadcast(egress(name), Egress.key(topic), topic, event, encoded)

    from = except && except.channel_pid
    message = %Socket.Broadcast{topic: topic, event: event, payload: payload}

    Registry.dispatch(part(name, "PubSub"), topic, fn subscribers ->
      for {pid, _} <- subscribers, pid != from, do: send(pid, message)
    end)
  rescue
    error in ArgumentError -> {:error, error.message}
  end

  @doc "Has the calling process get a `GamePlatform.Socket.Broadcast` for each broadcast of a topic."
  @spec subscribe(atom, String.t()) :: :ok
  def subscribe(name, topic) do
    {:ok, _} = Registry.register(part(name, "PubSub"), topic, nil)
    :ok
  end

  @doc "Undoes `subscribe/2`."
  @spec unsubscribe(atom, String.t()) :: :ok
  def unsubscribe(name, topic), do: Registry.unregister(part(name, "PubSub"), topic)

  @doc """
  Has a socket be closed at that time, in seconds since 1970, with the code 1008 and the reason `token_expired`; another
  time given later counts instead. To be called in `c:GamePlatform.Socket.connect/3` or in a channel.
  """
  @spec expire(Socket.t(), non_neg_integer) :: :ok
  def expire(%Socket{private: %{connection: connection}}, at_s) when is_integer(at_s) do
    send(connection, {:expire, at_s})
    :ok
  end

  @doc """
  How it is: `edge` (what `gp_edge` counts, or nil while it is down), `egress` (what waits to go there), `connections`,
  `channels`, and `requests` that are being answered.
  """
  @spec stats(atom) :: %{atom => term}
  def stats(name) do
    %{
      edge: Edge.stats(part(name, "Edge")),
      egress: Egress.stats(egress(name)),
      connections: DynamicSupervisor.count_children(part(name, "Connections")).active,
      channels: DynamicSupervisor.count_children(part(name, "Channels")).active,
      requests: DynamicSupervisor.count_children(part(name, "Handlers")).active
    }
  end

  defp validate(opts) do
    with :ok <- known(opts),
         opts = Keyword.merge([port: 4000, bind: "127.0.0.1", origins: :same, limits: %{}, native: []], opts),
         :ok <- each(opts) do
      sockets =
        for socket <- opts[:sockets], into: %{} do
          case socket do
            {path, module} -> {path, {module, %{}}}
            {path, module, assigns} -> {path, {module, Map.new(assigns)}}
          end
        end

      {:ok,
       opts
       |> Map.new()
       |> Map.put_new(:static, nil)
       |> Map.put_new(:requests, nil)
       |> Map.put(:sockets, sockets)}
    end
  end

  defp known(opts) do
    case Keyword.keyword?(opts) && Keyword.keys(opts) -- @options do
      [] ->
        :ok

      [unknown | _] ->
        Config.invalid(unknown, opts[unknown], "one of the options #{Enum.join(@options, ", ")}")

      false ->
        Config.invalid(:opts, opts, "a keyword list")
    end
  end

  defp each(opts) do
    Enum.find_value(@options, :ok, fn name ->
      value = opts[name]
      if fits?(name, value), do: nil, else: Config.invalid(name, value, expected(name))
    end)
  end

  defp fits?(:name, name), do: is_atom(name) and name not in [nil, true, false, :undefined]

  defp fits?(:sockets, sockets) do
    is_list(sockets) and sockets != [] and
      Enum.all?(sockets, fn
        {"/" <> _, module} -> socket?(module)
        {"/" <> _, module, assigns} -> socket?(module) and (is_map(assigns) or Keyword.keyword?(assigns))
        _ -> false
      end)
  end

  defp fits?(:requests, {paths, module, _}) do
    is_list(paths) and paths != [] and Enum.all?(paths, &match?("/" <> _, &1)) and
      is_atom(module) and Code.ensure_loaded?(module) and function_exported?(module, :handle, 2)
  end

  defp fits?(:requests, requests), do: is_nil(requests)
  defp fits?(:port, port), do: is_integer(port) and port in 0..65_535
  defp fits?(:bind, bind), do: is_binary(bind) and match?({:ok, _}, :inet.parse_address(to_charlist(bind)))
  defp fits?(:static, path), do: is_nil(path) or is_binary(path)
  defp fits?(:origins, list) when is_list(list), do: Enum.all?(list, &is_binary/1)
  defp fits?(:origins, origins), do: origins in [:same, :any]

  defp fits?(:limits, limits),
    do: is_map(limits) and Enum.all?(limits, fn {k, v} -> is_atom(k) and is_integer(v) and v > 0 end)

  defp fits?(:native, native), do: Keyword.keyword?(native)

  defp socket?(module),
    do: is_atom(module) and Code.ensure_loaded?(module) and function_exported?(module, :__channels__, 0)

  defp expected(:name), do: "an atom"
  defp expected(:sockets), do: "a list of {\"/path\", module} with modules that use GamePlatform.Socket"

  defp expected(:requests),
    do: "{[\"/path\"], module, arg} with a module that has handle/2, or nil"

  defp expected(:port), do: "an integer in 0..65535"
  defp expected(:bind), do: "an IP address in a string"
  defp expected(:static), do: "the path of a directory, or nil"
  defp expected(:origins), do: ":same, :any or a list of strings"
  defp expected(:limits), do: "a map of the limits in docs/edge.md, each a positive integer"
  defp expected(:native), do: "a keyword list"
end
