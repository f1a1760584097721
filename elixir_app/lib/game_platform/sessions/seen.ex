defmodule GamePlatform.Sessions.Seen do
  @moduledoc false
  # Whether a player is seen in the world, and where, for the process that calls: it is tracked by the presence of the
  # transport, and follows the player's outcomes as channels do, which tell that there may have been a step.

  alias GamePlatform.{Instance, Multiplayer, Presence}

  # Others are told of a new position not more often. The process is sent `:where` then.
  @where_ms 1_000

  defstruct [:game, :player, :endpoint, :topic, :position, :timer, present?: false]

  @type t :: %__MODULE__{}

  @doc "Without a transport, an endpoint of nil, there is nobody who sees."
  @spec new(atom, String.t(), atom, String.t()) :: t
  def new(game, player, endpoint, topic),
    do: %__MODULE__{game: game, player: player, endpoint: endpoint, topic: topic}

  @doc "Where one stands who has just come."
  @spec at(t, non_neg_integer | nil) :: t
  def at(seen, position), do: %{seen | position: seen.position || position}

  @spec come(t) :: t
  def come(%{present?: true} = seen), do: seen

  def come(seen) do
    position = position(seen)
    meta = %{online_at: System.os_time(:second), position: position, transport: "http"}

    case presence(seen, &Presence.track(&1, self(), &2, seen.player, meta)) do
      {:error, :not_running} ->
        seen

      _ ->
        _ = Multiplayer.follow(seen.game, seen.player)
        # One who has just come is in the world from the next tick on.
        later(%{seen | present?: true, position: position})
    end
  end

  @spec leave(t) :: t
  def leave(%{present?: false} = seen), do: seen

  def leave(seen) do
    presence(seen, &Presence.untrack(&1, self(), &2, seen.player))
    gone(seen)
  end

  @doc "A transport that was started again knows nobody: who is still there comes anew."
  @spec still(t) :: t
  def still(%{present?: true} = seen) do
    if presence(seen, &Presence.tracked?(&1, self(), &2, seen.player)) == false,
      do: seen |> gone() |> come(),
      else: seen
  end

  def still(seen), do: seen

  defp gone(seen) do
    Registry.unregister(Instance.devices(seen.game), seen.player)
    %{seen | present?: false}
  end

  @doc "Something has been done, perhaps a step."
  @spec later(t) :: t
  def later(%{timer: nil, present?: true} = seen),
    do: %{seen | timer: Process.send_after(self(), :where, @where_ms)}

  def later(seen), do: seen

  @doc "On `:where`: tells others, if the player is elsewhere."
  @spec moved(t) :: t
  def moved(%{present?: true, position: before} = seen) do
    seen = %{seen | timer: nil}

    case position(seen) do
      ^before ->
        seen

      position ->
        move = &Map.put(&1, :position, position)
        presence(seen, &Presence.update(&1, self(), &2, seen.player, move))
        %{seen | position: position}
    end
  end

  def moved(seen), do: %{seen | timer: nil}

  defp position(seen) do
    case Multiplayer.player(seen.game, seen.player) do
      {:ok, %{position: position}} -> position
      _ -> seen.position
    end
  end

  defp presence(%{endpoint: nil}, _), do: :ok

  defp presence(%{endpoint: endpoint, topic: topic}, fun) do
    fun.(endpoint, topic)
  rescue
    # Its table is gone with the transport.
    ArgumentError -> {:error, :not_running}
  catch
    :exit, _ -> {:error, :not_running}
  end
end
