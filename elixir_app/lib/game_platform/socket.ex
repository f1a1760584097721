defmodule GamePlatform.Socket do
  @moduledoc """
  A client's connection: who it is, and which channels it may join.

  A module that uses this one decides both, with the callbacks of `Phoenix.Socket`:

      defmodule MyApp.UserSocket do
        use GamePlatform.Socket

        channel "room:*", MyApp.RoomChannel

        @impl true
        def connect(%{"name" => name}, socket, _connect_info), do: {:ok, assign(socket, :name, name)}
        def connect(_params, _socket, _connect_info), do: :error

        @impl true
        def id(socket), do: "user:\#{socket.assigns.name}"
      end

  `GamePlatform.Transport` serves it to the official Phoenix clients, over WebSocket and long poll.

  A pattern of a channel is a topic, or ends with `*` for all topics that begin so; the first that fits is taken.

  `transport_pid` is the socket itself: a process of the native edge that may be monitored, linked and sent an exit
  signal, like any other.
  """

  @type t :: %__MODULE__{
          assigns: map,
          channel: module | nil,
          channel_pid: pid | nil,
          endpoint: atom,
          handler: module,
          id: String.t() | nil,
          join_ref: String.t() | nil,
          joined: boolean,
          private: map,
          ref: String.t() | nil,
          topic: String.t() | nil,
          transport: :websocket | :longpoll | nil,
          transport_pid: pid | nil
        }

  defstruct [
    :channel,
    :channel_pid,
    :endpoint,
    :handler,
    :id,
    :join_ref,
    :ref,
    :topic,
    :transport,
    :transport_pid,
    assigns: %{},
    joined: false,
    private: %{}
  ]

  defmodule Broadcast do
    @moduledoc """
    What a process gets that subscribed with `GamePlatform.Transport.subscribe/2`.
    """
    @type t :: %__MODULE__{topic: String.t(), event: String.t(), payload: term}
    defstruct [:topic, :event, :payload]
  end

  @typedoc """
  About the connection: `peer` (`"address:port"`), `headers` (lower-case names; those of the request that a socket
  may need), `request_id`, `transport`, `vsn` (1 or 2).
  """
  @type connect_info :: %{
          peer: String.t(),
          headers: [{String.t(), String.t()}],
          request_id: String.t(),
          transport: :websocket | :longpoll,
          vsn: 1 | 2
        }

  @doc """
  Whether a client may connect; `params` are those of the URL. `:error` and `{:error, reason}` refuse it with
  status 403; a `reason` that is a string is told to the client.
  """
  @callback connect(params :: map, t, connect_info) :: {:ok, t} | {:error, term} | :error

  @doc """
  A topic that names the client, or nil. `GamePlatform.Transport.broadcast(endpoint, id, "disconnect", %{})` closes
  all of its sockets.
  """
  @callback id(t) :: String.t() | nil

  @doc false
  defmacro __using__(_) do
    quote do
      @behaviour GamePlatform.Socket
      import GamePlatform.Socket, only: [channel: 2, channel: 3, assign: 2, assign: 3]
      Module.register_attribute(__MODULE__, :game_platform_channels, accumulate: true)
      @before_compile GamePlatform.Socket
    end
  end

  @doc """
  Says which channel serves a topic or a pattern. With `assigns: map` its sockets begin with these.
  """
  defmacro channel(pattern, module, opts \\ []) do
    # Not expanded: a socket does not depend on its channels when it is compiled.
    module = Macro.expand(module, %{__CALLER__ | function: {:__channels__, 0}})
    quote do: @game_platform_channels({unquote(pattern), unquote(module), unquote(opts)})
  end

  @doc false
  defmacro __before_compile__(env) do
    channels = env.module |> Module.get_attribute(:game_platform_channels) |> Enum.reverse()

    quote do
      @doc false
      def __channels__, do: unquote(Macro.escape(channels))
    end
  end

  @doc false
  # The channel of a topic.
  @spec channel_of(module, String.t()) :: {module, keyword} | nil
  def channel_of(handler, topic) do
    Enum.find_value(handler.__channels__(), fn {pattern, module, opts} ->
      if fits?(pattern, topic), do: {module, opts}
    end)
  end

  defp fits?(pattern, topic) do
    case String.split_at(pattern, -1) do
      {prefix, "*"} -> String.starts_with?(topic, prefix)
      _ -> topic == pattern
    end
  end

  @doc """
  Keeps a value in the socket. Works on a `Phoenix.Socket` too.

      iex> GamePlatform.Socket.assign(%GamePlatform.Socket{}, :name, "ann").assigns
      %{name: "ann"}
  """
  @spec assign(socket, atom, term) :: socket when socket: %{:assigns => map, optional(atom) => term}
  def assign(%{assigns: assigns} = socket, key, value),
    do: Map.put(socket, :assigns, Map.put(assigns, key, value))

  @doc """
  Whether the client can be sent binary messages: over a WebSocket, with version 2 of the protocol.
  """
  @spec binary?(t | struct) :: boolean
  def binary?(%__MODULE__{transport: transport, private: private}),
    do: transport == :websocket and private[:vsn] == 2

  def binary?(%{transport: transport, vsn: vsn}), do: transport == :websocket and vsn != "1.0.0"

  @doc "Keeps several values in the socket."
  @spec assign(socket, map | keyword) :: socket when socket: %{:assigns => map, optional(atom) => term}
  def assign(%{assigns: assigns} = socket, values),
    do: Map.put(socket, :assigns, Map.merge(assigns, Map.new(values)))
end
