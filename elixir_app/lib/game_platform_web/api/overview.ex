defmodule GamePlatformWeb.API.Overview do
  @moduledoc false
  # What one needs to go on who has missed something: how much, and how things are now around the player.

  alias GamePlatform.{Compute, JSON, Multiplayer}
  alias GamePlatform.Game.World.Chart

  # Steps from the player.
  @radius 8

  @doc "The texts of two messages: the gap, and a keyframe, which has no `seq`."
  @spec gap(map, non_neg_integer, non_neg_integer) :: [String.t()]
  def gap(%{game: game, identity: %{player: player}}, from, to) do
    {tick, keyframe} = keyframe(game, player)
    gap = %{seq: to, tick: tick, event: "gap", payload: %{from: from, to: to}}
    Enum.map([gap | keyframe], &JSON.encode!/1)
  end

  defp keyframe(game, player) do
    with {:ok, world} <- GamePlatform.world(game),
         you = you(game, player),
         {:ok, tick, cells} <- Compute.field(world, around(world, you)) do
      cells = for {id, kind, amount} <- cells, do: [id, kind, amount]
      payload = %{tick: tick, you: you, cells: cells, kinds: world.kinds}
      {tick, [%{seq: nil, tick: tick, event: "keyframe", payload: payload}]}
    else
      # The world is being started: there is nothing to see, and the next look tells.
      _ -> {nil, []}
    end
  end

  defp you(game, player) do
    case Multiplayer.player(game, player) do
      {:ok, you} -> you
      _ -> nil
    end
  end

  defp around(world, %{position: position}) when is_integer(position),
    do: world.frequency |> Chart.rings(position, @radius) |> Enum.concat()

  defp around(_, _), do: []
end
