defmodule GamePlatformWeb.WorldChannel do
  @moduledoc """
  A client in a world: it watches, with a keyframe when it joins and then a diff for each step of the network rate, and
  it plays.

  Join `world:main`. With `{"binary": true}`, `keyframe` and `diff` are binary messages, the keyframe right after
  the answer; otherwise, and where the transport has none (long poll, V1), they are base64, the keyframe in the answer.
  The bytes are those of `GamePlatform.Compute.keyframe/2` and `diff/3`, described in `docs/ipc.md`.

  Events from the client: `look` (`{"all": true}` or `{"cell": id, "radius": steps}`) chooses the area that it is told
  of, with a radius of 256 at most, and `resync` asks for a keyframe; `ping` is answered with the tick. There are four
  keyframes in a second at most: who asks sooner gets one a little later, and of several looks the last counts, while
  the others are answered with an error. When much waits for clients a keyframe comes later too, and the answer to a
  join may be without it.

  Who joins without `{"watch": true}` enters the world as a player, if its ruleset has an economy; the answer has `home`, `position` and in `you`
  what `player` is answered with, all null for one who only watches. `action` is one action of the player
  (`docs/channels.md`), answered with what `GamePlatform.Multiplayer.submit/3` says; what becomes of it is pushed to all
  channels of the player as `outcome`. `player` asks for the present state of the player, `cell` for a cell
  (`{"cell": id}`) or up to 256 (`{"cells": [id, …]}`), with machine and owner. Presence has each player's position,
  brought up to date once a second.
  """

  use GamePlatform.Channel

  alias GamePlatform.{Compute, Instance, Presence, Socket}
  alias GamePlatform.Multiplayer.Publisher
  alias GamePlatform.Transport.Egress
  alias GamePlatformWeb.WorldChannel.{Area, Mailbox, Player, Token}

  # How soon a world that is being started again, or room for what is large, is looked for: not by all at once.
  @again_ms 100
  # A keyframe may be megabytes for a few bytes of question: so often, and so many at once.
  @keyframe_ms 250
  @keyframes 4

  # One for each kind, for clients that draw.
  @colors ~w(#77726e #2985bd #72a751 #2a6754 #96653a #a45fd0 #ff6200 #4f2c10)

  @impl true
  def join("world:main", params, socket) when is_map(params) do
    %{game: game} = socket.assigns
    form = if params["binary"] == true and Socket.binary?(socket), do: :binary, else: :json

    with {:ok, world} <- GamePlatform.world(game),
         %{ups: _} = stats <- GamePlatform.stats(game),
         socket = assign(socket, :watch, params["watch"] == true),
         {:ok, socket} <- Mailbox.open(socket, params, boxes(socket)),
         {:ok, %{home: home} = player, socket} <- Player.enter(socket),
         area = Area.first(world, home),
         socket =
           assign(socket, world: world, form: form, area: area, followed: [])
           |> assign(due: now_ms(), renewal: nil, asked: nil, where: nil),
         {:ok, tick, keyframe, socket} <- watch(socket) do
      told? = form == :json and Egress.room?(socket)
      send(self(), {:joined, tick, if(told?, do: nil, else: keyframe)})

      reply = %{
        tick: tick,
        frequency: world.frequency,
        seed: world.seed,
        cells: world.cells,
        kinds: world.kinds,
        colors: @colors,
        ups: stats.target_ups,
        player: socket.assigns.player,
        seq: socket.assigns.mail.at,
        area: if(area == :all, do: "all", else: area),
        keyframe: if(told?, do: Base.encode64(keyframe))
      }

      {:ok, Map.merge(reply, player), assign(socket, :followed_player, true)}
    else
      {:error, %{reason: _} = reason} -> {:error, reason}
      _ -> {:error, %{reason: "the world is being started: join again"}}
    end
  end

  def join("world:main", _, _), do: {:error, %{reason: "the payload of a join is an object"}}
  def join("world:" <> _, _, _), do: {:error, %{reason: "there is no such world: join world:main"}}

  @impl true
  def handle_in("look", payload, socket) do
    if socket.assigns.renewal == nil and early_ms(socket) <= 0 do
      {socket, reply} = look(socket, payload)
      {:reply, reply, if(match?({:ok, _}, reply), do: renew(socket), else: socket)}
    else
      {:noreply, socket |> ask({payload, socket.ref && socket_ref(socket)}) |> renew_later(early_ms(socket))}
    end
  end

  def handle_in("resync", _, socket) do
    send(self(), :resync)
    {:reply, :ok, socket}
  end

  def handle_in("ping", _, socket) do
    case Compute.tick(socket.assigns.world) do
      {:ok, tick} -> {:reply, {:ok, %{tick: tick}}, socket}
      {:error, _} -> {:reply, {:error, %{reason: "the world is being started"}}, socket}
    end
  end

  def handle_in("action", action, socket), do: {:reply, Player.act(socket, action), socket}
  def handle_in("player", _, socket), do: {:reply, Player.you(socket), socket}
  def handle_in("cell", payload, socket), do: {:reply, Player.cell(socket, payload), socket}

  def handle_in("ack", payload, socket), do: {:reply, Mailbox.ack(socket, payload), socket}
  def handle_in("refresh", _, socket), do: {:reply, Token.refresh(socket), socket}

  def handle_in(event, _, socket),
    do: refuse(socket, "event", "#{event} is none of ack, action, cell, look, ping, player, refresh, resync")

  @impl true
  # After the answer.
  def handle_info({:joined, tick, keyframe}, socket) do
    socket = if keyframe, do: begin(socket, tick, keyframe), else: follow(socket, tick)
    {:noreply, socket} = handle_info(:mail, socket)
    handle_info(:present, Player.track(socket))
  end

  def handle_info(:mail, socket) do
    case Mailbox.catch_up(socket) do
      {:ok, socket} -> {:noreply, socket}
      {:gap, socket} -> {:noreply, renew(socket)}
    end
  end

  def handle_info(:present, socket) do
    if offer(socket, "presence_state", Presence.list(socket)) == :crowded,
      do: Process.send_after(self(), :present, again_ms())

    {:noreply, socket}
  end

  def handle_info({:outcomes, _, _}, socket), do: {:noreply, Player.where_later(socket)}
  def handle_info(:where, socket), do: {:noreply, Player.where(socket)}

  def handle_info(:enter, socket) do
    case Player.enter_again(socket) do
      {:ok, socket} ->
        {:noreply, socket}

      _ ->
        Process.send_after(self(), :enter, again_ms())
        {:noreply, socket}
    end
  end

  def handle_info(:resync, socket), do: {:noreply, renew(socket)}

  def handle_info(:renew, %{assigns: %{asked: nil}} = socket),
    do: {:noreply, socket |> assign(:renewal, nil) |> renew()}

  def handle_info(:renew, %{assigns: %{asked: {payload, ref}}} = socket) do
    {socket, reply} = socket |> assign(renewal: nil, asked: nil) |> look(payload)
    # Whatever it was, a keyframe is due.
    socket = renew(socket)
    answer(ref, reply)
    {:noreply, socket}
  end

  # The client was too slow for some steps: one that has them all, if there is one.
  def handle_info({:lagged, part, at} = message, %{assigns: %{form: form}} = socket) do
    part = String.replace_suffix(part, "/json", "")

    with true <- part in Publisher.parts(socket.assigns.area),
         true <- is_integer(at) || :resync,
         {:ok, <<"gpd1", _::32, _::64, tick::64-little, _::binary>> = diff} <-
           Compute.diff(socket.assigns.world, at),
         {:ok, diffs} <- cut(diff, part),
         true <- Enum.all?(diffs, &(offer(socket, "diff", Publisher.payload(&1, form)) == :ok)) || :crowded do
      Egress.subscribe(socket, Publisher.key(socket.topic, part, form), tick)
      {:noreply, socket}
    else
      false ->
        {:noreply, socket}

      :crowded ->
        Process.send_after(self(), message, again_ms())
        {:noreply, socket}

      _ ->
        {:noreply, renew(socket)}
    end
  end

  # The world has been started again.
  def handle_info({:DOWN, monitor, :process, _, _}, %{assigns: %{publisher: monitor}} = socket),
    do: {:noreply, renew_later(socket, again_ms())}

  def handle_info({:DOWN, monitor, :process, _, _}, socket) do
    if Mailbox.gone?(socket, monitor), do: {:stop, {:shutdown, :rejoin}, socket}, else: {:noreply, socket}
  end

  def handle_info(_, socket), do: {:noreply, socket}

  # One part is in one piece.
  defp cut(diff, "all"), do: {:ok, [diff]}

  defp cut(diff, part) do
    with {:ok, parts} <- Compute.split_diff(diff, [String.to_integer(part)]),
         do: {:ok, Enum.map(parts, &elem(&1, 1))}
  end

  # A look that came too early waits, and a later one takes its place.
  defp ask(%{assigns: %{asked: before}} = socket, ask) do
    with {_, ref} <- before, do: answer(ref, {:error, %{reason: "a later look has come", field: "cell"}})
    assign(socket, :asked, ask)
  end

  defp look(socket, payload) do
    case Area.parse(payload, socket.assigns.world) do
      {:ok, :all} -> {assign(socket, :area, :all), {:ok, %{area: "all"}}}
      {:ok, area} -> {assign(socket, :area, area), {:ok, %{area: area}}}
      {:error, field, message} -> {socket, {:error, %{reason: message, field: field}}}
    end
  end

  defp answer(nil, _), do: :ok
  defp answer(ref, reply), do: reply(ref, reply)

  # A keyframe of the area as it is now, soon.
  defp renew(%{assigns: %{renewal: nil}} = socket) do
    early_ms = early_ms(socket)

    with true <- early_ms <= 0,
         {:ok, world} <- GamePlatform.world(socket.assigns.game),
         if(world.pid != socket.assigns.world.pid, do: send(self(), :enter)),
         {:ok, tick, keyframe, socket} <- socket |> assign(:world, world) |> watch() do
      begin(socket, tick, keyframe)
    else
      false -> renew_later(socket, early_ms)
      # It is being started again.
      _ -> renew_later(socket, again_ms())
    end
  end

  defp renew(socket), do: socket

  defp early_ms(socket), do: socket.assigns.due - now_ms() - (@keyframes - 1) * @keyframe_ms

  defp renew_later(%{assigns: %{renewal: nil}} = socket, ms),
    do: assign(socket, :renewal, Process.send_after(self(), :renew, max(ms, 0)))

  defp renew_later(socket, _), do: socket

  defp begin(socket, tick, keyframe) do
    case offer(socket, "keyframe", Publisher.payload(keyframe, socket.assigns.form)) do
      :ok -> socket |> assign(:due, max(socket.assigns.due, now_ms()) + @keyframe_ms) |> follow(tick)
      :crowded -> renew_later(socket, again_ms())
    end
  end

  # From that tick on the steps of the area come: after the keyframe, so that none comes before it.
  defp follow(%{assigns: %{area: area, form: form, followed: before}, topic: topic} = socket, tick) do
    keys = for part <- Publisher.parts(area), do: Publisher.key(topic, part, form)
    for key <- before -- keys, do: Egress.unsubscribe(socket, key)
    for key <- keys, do: Egress.subscribe(socket, key, tick)
    assign(socket, :followed, keys)
  end

  defp offer(socket, event, payload),
    do: Egress.offer(socket, socket.join_ref, event, GamePlatform.Channel.encode!(payload))

  defp watch(%{assigns: %{game: game, area: area, form: form}} = socket) do
    publisher = Instance.via(game, :publisher)

    with pid when is_pid(pid) <- GenServer.whereis(publisher),
         {:ok, tick, keyframe} <- Publisher.watch(pid, area, form) do
      if socket.assigns[:publisher], do: Process.demonitor(socket.assigns.publisher, [:flush])
      {:ok, tick, keyframe, assign(socket, :publisher, Process.monitor(pid))}
    end
  catch
    :exit, _ -> {:error, :not_running}
  end

  defp boxes(%{assigns: %{watch: true}, topic: topic}), do: [{:topic, topic}]
  defp boxes(%{assigns: %{player: player}, topic: topic}), do: [{:topic, topic}, {:player, player}]

  defp now_ms, do: System.monotonic_time(:millisecond)
  defp again_ms, do: @again_ms + :rand.uniform(2 * @again_ms)

  defp refuse(socket, field, message),
    do: {:reply, {:error, %{reason: message, field: field}}, socket}
end
