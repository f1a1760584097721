defmodule GamePlatformWeb.WorldChannel.Player do
  @moduledoc false
  # The player of a channel: enters the world, acts, looks at cells, and is seen by others.

  import GamePlatform.Socket, only: [assign: 3]

  alias GamePlatform.{Compute, Multiplayer, Presence}

  @most_cells 256
  # Everybody is told where a player is: not more often.
  @where_ms 1_000
  @restarting "the world is being started: send it again in a moment"

  # What a join is answered beside the field. A name that no player can have watches, and who wants to.
  def enter(%{assigns: %{watch: true}} = socket), do: {:ok, watcher(nil), assign(socket, :position, nil)}

  def enter(%{assigns: %{game: game, player: name}} = socket) do
    with :ok <- follow(socket),
         {:ok, %{home: home, position: position} = you} <- Multiplayer.enter(game, name) do
      {:ok, %{home: home, position: position, you: you}, assign(socket, :position, position)}
    else
      {:error, :not_running} = error ->
        error

      {:error, {_, message}} when is_binary(message) ->
        {:ok, watcher(message), assign(socket, :position, nil)}

      _ ->
        {:ok, watcher(nil), assign(socket, :position, nil)}
    end
  end

  defp watcher(message), do: %{home: nil, position: nil, you: nil, message: message}

  # Once for a channel, however often its world is started again.
  defp follow(%{assigns: %{followed_player: true}}), do: :ok
  defp follow(socket), do: Multiplayer.follow(socket.assigns.game, socket.assigns.player)

  # Seen by all who have joined.
  def track(socket) do
    %{transport: transport, assigns: %{position: position}} = socket
    meta = %{online_at: System.os_time(:second), position: position, transport: transport}
    {:ok, _} = Presence.track(socket, socket.assigns.player, meta)
    assign(socket, :where, nil)
  end

  def act(%{assigns: %{game: game, player: player}}, action) do
    case Multiplayer.submit(game, player, [action]) do
      {:ok, [%{status: :accepted} = reply]} ->
        {:ok, answer(reply)}

      {:ok, [reply]} ->
        {:error, answer(reply)}

      {:error, _} ->
        id = if is_map(action), do: action["action_id"]
        {:error, %{action_id: id, status: :refused, code: :busy, message: @restarting}}
    end
  end

  defp answer(reply), do: reply |> Enum.reject(fn {_, value} -> value == nil end) |> Map.new()

  def you(%{assigns: %{game: game, player: player, position: position}}) do
    you =
      case Multiplayer.player(game, player) do
        # In the world from the next tick on.
        {:error, :unknown_player} when position != nil -> Multiplayer.enter(game, player)
        answer -> answer
      end

    case you do
      {:ok, %{} = you} -> {:ok, you}
      {:error, :not_running} -> {:error, %{reason: @restarting}}
      _ -> {:error, %{reason: "this world has no players, or you are not one"}}
    end
  end

  def cell(socket, %{"cell" => cell}) do
    with {:ok, [cell]} <- cells(socket, "cell", [cell]), do: {:ok, %{cell: cell}}
  end

  def cell(socket, %{"cells" => cells}) when is_list(cells) and length(cells) <= @most_cells do
    with {:ok, cells} <- cells(socket, "cells", cells), do: {:ok, %{cells: cells}}
  end

  def cell(_, %{"cells" => _}), do: wrong("cells", "expected a list of at most #{@most_cells} cell ids")
  def cell(_, _), do: wrong("cell", "expected a cell id, or in cells a list of them")

  defp cells(socket, field, ids) do
    case Compute.cells(socket.assigns.world, ids) do
      {:ok, cells} -> {:ok, cells}
      {:error, {:invalid_option, %{expected: expected}}} -> wrong(field, "expected #{expected}")
      {:error, _} -> {:error, %{reason: @restarting}}
    end
  end

  defp wrong(field, message), do: {:error, %{reason: message, field: field}}

  # Something has been done, perhaps a step.
  def where_later(%{assigns: %{where: nil}} = socket),
    do: assign(socket, :where, Process.send_after(self(), :where, @where_ms))

  def where_later(socket), do: socket

  def where(%{assigns: %{game: game, player: player}} = socket) do
    socket = assign(socket, :where, nil)

    case Multiplayer.player(game, player) do
      {:ok, %{position: position}} -> moved(socket, position)
      _ -> socket
    end
  end

  # Into a world that has been started again, which knows nobody.
  def enter_again(%{assigns: %{position: before}} = socket) do
    with {:ok, %{position: position}, socket} <- enter(socket),
         do: {:ok, socket |> assign(:position, before) |> moved(position)}
  end

  defp moved(%{assigns: %{position: position}} = socket, position), do: socket

  defp moved(socket, position) do
    Presence.update(socket, socket.assigns.player, &Map.put(&1, :position, position))
    assign(socket, :position, position)
  end
end
