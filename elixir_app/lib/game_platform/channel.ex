defmodule GamePlatform.Channel do
  @moduledoc """
  A client's conversation about one topic: a process for each client and topic.

  The callbacks, what they return and the functions to call are those of `Phoenix.Channel`; the functions take a
  `Phoenix.Socket` as well, so that a channel that is mounted in a Phoenix application needs no change.

      defmodule MyApp.RoomChannel do
        use GamePlatform.Channel

        @impl true
        def join("room:" <> room, _params, socket), do: {:ok, %{room: room}, socket}

        @impl true
        def handle_in("shout", payload, socket) do
          broadcast!(socket, "shout", payload)
          {:reply, :ok, socket}
        end
      end

  A payload is a map, or `{:binary, bytes}`. A channel that raises ends, and its client joins again by itself, as it
  does when a channel stops with `{:shutdown, :rejoin}`; one whose client goes away ends with `{:shutdown, :closed}`,
  one that the client leaves with `{:shutdown, :left}`.
  """

  alias GamePlatform.{JSON, Socket, Transport}
  alias GamePlatform.Transport.Egress

  @type socket :: Socket.t() | struct
  @type payload :: map | {:binary, binary}
  @type reply :: (status :: atom) | {status :: atom, payload}
  @type socket_ref :: {socket :: struct, ref :: String.t()} | tuple

  @doc "Whether the client may join the topic, and what it is told then."
  @callback join(topic :: String.t(), payload, socket) ::
              {:ok, socket} | {:ok, payload, socket} | {:error, payload}

  @doc "An event from the client."
  @callback handle_in(event :: String.t(), payload, socket) ::
              {:noreply, socket}
              | {:noreply, socket, timeout | :hibernate}
              | {:reply, reply, socket}
              | {:stop, reason :: term, socket}
              | {:stop, reason :: term, reply, socket}

  @doc "A broadcast of an event that the channel intercepts, before it goes to the client."
  @callback handle_out(event :: String.t(), payload, socket) ::
              {:noreply, socket}
              | {:noreply, socket, timeout | :hibernate}
              | {:stop, reason :: term, socket}

  @doc "Any other message."
  @callback handle_info(message :: term, socket) ::
              {:noreply, socket}
              | {:noreply, socket, timeout | :hibernate}
              | {:stop, reason :: term, socket}

  @doc "The channel ends."
  @callback terminate(reason :: term, socket) :: any

  @optional_callbacks handle_in: 3, handle_out: 3, handle_info: 2, terminate: 2

  @doc false
  defmacro __using__(_) do
    quote do
      @behaviour GamePlatform.Channel
      import GamePlatform.Channel
      import GamePlatform.Socket, only: [assign: 2, assign: 3]
      @game_platform_intercepts []
      @before_compile GamePlatform.Channel
    end
  end

  @doc """
  Has broadcasts of these events go through `c:handle_out/3`. Such a channel takes every broadcast of its topic
  itself, which costs more than the edge's fan-out.
  """
  defmacro intercept(events), do: quote(do: @game_platform_intercepts(unquote(events)))

  @doc false
  defmacro __before_compile__(_) do
    quote do
      @doc false
      def __intercepts__, do: @game_platform_intercepts
    end
  end

  @doc "Sends an event to this client."
  @spec push(socket, String.t(), payload) :: :ok
  def push(%Socket{joined: true} = socket, event, payload) when is_binary(event) do
    Egress.push(socket, socket.join_ref, nil, event, encode!(payload))
  end

  def push(%Socket{}, _, _), do: not_joined("push/3")
  def push(socket, event, payload), do: phoenix(:push, [socket, event, payload])

  @doc "Sends an event to all clients that have joined this topic."
  @spec broadcast(socket, String.t(), payload) :: :ok | {:error, term}
  def broadcast(%Socket{joined: true} = socket, event, payload),
    do: Transport.broadcast(socket.endpoint, socket.topic, event, payload)

  def broadcast(%Socket{}, _, _), do: not_joined("broadcast/3")
  def broadcast(socket, event, payload), do: phoenix(:broadcast, [socket, event, payload])

  @doc "As `broadcast/3`, raising if the payload cannot be sent."
  @spec broadcast!(socket, String.t(), payload) :: :ok
  def broadcast!(%Socket{} = socket, event, payload), do: ok!(broadcast(socket, event, payload))
  def broadcast!(socket, event, payload), do: phoenix(:broadcast!, [socket, event, payload])

  @doc "As `broadcast/3`, to all but this client."
  @spec broadcast_from(socket, String.t(), payload) :: :ok | {:error, term}
  def broadcast_from(%Socket{joined: true} = socket, event, payload),
    do: Transport.broadcast_from(socket, socket.topic, event, payload)

  def broadcast_from(%Socket{}, _, _), do: not_joined("broadcast_from/3")
  def broadcast_from(socket, event, payload), do: phoenix(:broadcast_from, [socket, event, payload])

  @doc "As `broadcast_from/3`, raising if the payload cannot be sent."
  @spec broadcast_from!(socket, String.t(), payload) :: :ok
  def broadcast_from!(%Socket{} = socket, event, payload), do: ok!(broadcast_from(socket, event, payload))
  def broadcast_from!(socket, event, payload), do: phoenix(:broadcast_from!, [socket, event, payload])

  @doc "What `reply/2` needs to answer the event later, from any process."
  @spec socket_ref(socket) :: socket_ref
  def socket_ref(%Socket{joined: true, ref: ref} = socket) when is_binary(ref), do: {socket, ref}

  def socket_ref(%Socket{}),
    do: raise(ArgumentError, "socket_ref/1 needs a joined socket and an event that asks for an answer")

  def socket_ref(socket), do: phoenix(:socket_ref, [socket])

  @doc "Answers an event of which `socket_ref/1` was taken."
  @spec reply(socket_ref, reply) :: :ok
  def reply({%Socket{} = socket, ref}, reply) do
    {status, payload} = status(reply)
    Egress.reply(socket, socket.join_ref, ref, socket.topic, status, encode!(payload))
  end

  def reply(socket_ref, reply), do: phoenix(:reply, [socket_ref, reply])

  @doc false
  def status(status) when is_atom(status), do: {Atom.to_string(status), %{}}
  def status({status, payload}) when is_atom(status), do: {Atom.to_string(status), payload}

  @doc false
  # As the edge takes it.
  def encode!({:binary, bytes} = payload) when is_binary(bytes), do: payload
  def encode!(%{} = payload) when not is_struct(payload), do: {:json, JSON.encode!(payload)}

  def encode!(other),
    do: raise(ArgumentError, "a payload is a map or {:binary, bytes}, got: #{inspect(other, limit: 5)}")

  defp ok!(:ok), do: :ok
  defp ok!({:error, reason}), do: raise(ArgumentError, "the broadcast failed: #{inspect(reason)}")

  defp not_joined(function),
    do: raise(ArgumentError, "#{function} is for a socket that has joined: send yourself a message in join/3")

  # Phoenix is no dependency: it is there if the socket is one of its own.
  defp phoenix(function, args), do: apply(Phoenix.Channel, function, args)
end
