defmodule GamePlatformWeb.PlayerChannel do
  @moduledoc """
  A player without the field: what is told to one player alone, for clients that do not draw the world.

  Join `player:ann` as `ann`; the answer has `player`, `seq`, `home`, `position` and `you` as that of `world:main` does.
  Events from the client are `action`, `player`, `cell`, `ack` and `refresh`; to it come `outcome`, private `event`s and
  `gap`. A client that is in `world:main` as well is told of them in both.
  """

  use GamePlatform.Channel

  alias GamePlatformWeb.WorldChannel.{Mailbox, Player, Token}

  @again_ms 250

  @impl true
  def join("player:" <> player, params, %{assigns: %{player: player, game: game}} = socket)
      when is_map(params) do
    with {:ok, world} <- GamePlatform.world(game),
         {:ok, socket} <- Mailbox.open(socket, params, [{:player, player}]),
         {:ok, entered, socket} <- socket |> assign(watch: false, world: world) |> Player.enter() do
      send(self(), :mail)

      {:ok, Map.merge(entered, %{player: player, seq: socket.assigns.mail.at}),
       assign(socket, :followed_player, true)}
    else
      {:error, %{reason: _} = reason} -> {:error, reason}
      _ -> {:error, %{reason: "the world is being started: join again"}}
    end
  end

  def join("player:" <> _, params, _) when is_map(params), do: {:error, %{reason: "you are another player"}}
  def join(_, _, _), do: {:error, %{reason: "the payload of a join is an object"}}

  @impl true
  def handle_in("action", action, socket) do
    # A world that was started anew knows nobody: its players are in it again when they act.
    with {:error, %{code: :unknown_player}} = refused <- Player.act(socket, action) do
      case Player.enter(socket) do
        {:ok, %{you: %{}}, socket} -> {:reply, Player.act(socket, action), socket}
        _ -> {:reply, refused, socket}
      end
    else
      answer -> {:reply, answer, socket}
    end
  end

  def handle_in("player", _, socket), do: {:reply, Player.you(socket), socket}
  def handle_in("ack", payload, socket), do: {:reply, Mailbox.ack(socket, payload), socket}
  def handle_in("refresh", _, socket), do: {:reply, Token.refresh(socket), socket}

  def handle_in("cell", payload, %{assigns: %{game: game}} = socket) do
    case GamePlatform.world(game) do
      {:ok, world} -> {:reply, Player.cell(assign(socket, :world, world), payload), socket}
      _ -> {:reply, {:error, %{reason: "the world is being started: ask again in a moment"}}, socket}
    end
  end

  def handle_in(event, _, socket) do
    sentence = "#{event} is none of ack, action, cell, player, refresh"
    {:reply, {:error, %{reason: sentence, field: "event"}}, socket}
  end

  @impl true
  # There is no field here, so a keyframe is what the player is.
  def handle_info(:mail, socket) do
    case Mailbox.catch_up(socket) do
      {:ok, socket} -> {:noreply, socket}
      {:gap, socket} -> handle_info(:you, socket)
    end
  end

  def handle_info(:you, socket) do
    case Player.you(socket) do
      {:ok, you} -> push(socket, "keyframe", %{you: you})
      _ -> Process.send_after(self(), :you, @again_ms)
    end

    {:noreply, socket}
  end

  def handle_info({:DOWN, monitor, :process, _, _}, socket) do
    if Mailbox.gone?(socket, monitor), do: {:stop, {:shutdown, :rejoin}, socket}, else: {:noreply, socket}
  end

  def handle_info(_, socket), do: {:noreply, socket}
end
