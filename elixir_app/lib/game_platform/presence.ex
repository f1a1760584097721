defmodule GamePlatform.Presence do
  @moduledoc """
  Who is there: processes that are tracked under a key in a topic, and that clients see come and go.

  As in Phoenix, `list/2` gives `%{key => %{metas: [meta]}}`, a meta for each process of that key, with a `phx_ref`;
  changes are broadcast to the topic as `presence_diff`, those within 50 ms together, and a channel pushes
  `presence_state` when it is joined:

      def handle_info(:after_join, socket) do
        {:ok, _} = GamePlatform.Presence.track(socket, socket.assigns.user, %{device: "phone"})
        push(socket, "presence_state", GamePlatform.Presence.list(socket))
        {:noreply, socket}
      end

  A process that ends, however it ends, is gone from the list. Topics belong to a `GamePlatform.Transport`.
  """

  alias GamePlatform.{JSON, Socket}
  alias GamePlatform.Transport.PresenceServer

  @type key :: String.t()
  @type presences :: %{optional(key) => %{metas: [map]}}

  @doc """
  Tracks a channel under a key in its topic. `{:ok, ref}`, or `{:error, :already_tracked}`. A meta is for clients: one
  that has no JSON form raises `ArgumentError`.
  """
  @spec track(Socket.t(), key, map) :: {:ok, String.t()} | {:error, :already_tracked}
  def track(%Socket{} = socket, key, meta),
    do: track(socket.endpoint, socket.channel_pid, socket.topic, key, meta)

  @doc "Tracks any process of this VM."
  @spec track(atom, pid, String.t(), key, map) :: {:ok, String.t()} | {:error, :already_tracked}
  def track(endpoint, pid, topic, key, %{} = meta) when is_pid(pid) and is_binary(topic) and is_binary(key),
    do: PresenceServer.call(endpoint, {:track, pid, topic, key, sendable!(key, meta)})

  @doc "Changes the meta of a channel; a function gets the present one."
  @spec update(Socket.t(), key, map | (map -> map)) :: {:ok, String.t()} | {:error, :not_tracked}
  def update(%Socket{endpoint: endpoint, channel_pid: pid, topic: topic}, key, change),
    do: update(endpoint, pid, topic, key, change)

  @doc "Changes the meta of any process."
  @spec update(atom, pid, String.t(), key, map | (map -> map)) :: {:ok, String.t()} | {:error, :not_tracked}
  def update(endpoint, pid, topic, key, change) when is_function(change, 1) do
    case PresenceServer.lookup(endpoint, pid, topic, key) do
      nil -> {:error, :not_tracked}
      meta -> update(endpoint, pid, topic, key, change.(meta))
    end
  end

  def update(endpoint, pid, topic, key, %{} = meta),
    do: PresenceServer.call(endpoint, {:update, pid, topic, key, sendable!(key, meta)})

  # Else it would be the channels of everybody who comes later that raise.
  defp sendable!(key, meta) do
    _ = JSON.encode!(%{key => meta})
    meta
  end

  @doc "Ends the tracking of a channel."
  @spec untrack(Socket.t(), key) :: :ok
  def untrack(%Socket{} = socket, key),
    do: untrack(socket.endpoint, socket.channel_pid, socket.topic, key)

  @doc "Ends the tracking of any process."
  @spec untrack(atom, pid, String.t(), key) :: :ok
  def untrack(endpoint, pid, topic, key), do: PresenceServer.call(endpoint, {:untrack, pid, topic, key})

  @doc "Whether a process is tracked under a key, read from memory."
  @spec tracked?(atom, pid, String.t(), key) :: boolean
  def tracked?(endpoint, pid, topic, key), do: PresenceServer.lookup(endpoint, pid, topic, key) != nil

  @doc "Everyone in the topic of a channel."
  @spec list(Socket.t()) :: presences
  def list(%Socket{} = socket), do: list(socket.endpoint, socket.topic)

  @doc "Everyone in a topic, read from memory."
  @spec list(atom, String.t()) :: presences
  def list(endpoint, topic), do: PresenceServer.list(endpoint, topic)
end
