defmodule GamePlatformWeb.WorldChannel do
  @moduledoc """
  A client that watches a world: a keyframe when it joins, then a diff for each step of the network rate.

  Join `world:main`. With `{"binary": true}`, `keyframe` and `diff` are binary messages, the keyframe right after
  the answer; otherwise, and where the transport has none (long poll, V1), they are base64, the keyframe in the answer.
  The bytes are those of `GamePlatform.Compute.keyframe/2` and `diff/3`, described in `docs/ipc.md`.

  Events from the client: `look` (`{"all": true}` or `{"cell": id, "radius": steps}`) chooses the area that it is told
  of, `resync` asks for a keyframe, `ping` is answered with the tick.
  """

  use GamePlatform.Channel

  alias GamePlatform.{Compute, Instance, Presence, Socket}
  alias GamePlatform.Multiplayer.Publisher
  alias GamePlatform.Transport.Egress

  # A whole world is told of up to so many cells, which are two megabytes of keyframe.
  @most_cells 700_000
  # Where a client begins in a larger one.
  @home 0
  @radius 48
  # How soon a world that is being started again is looked for.
  @again_ms 100

  # One for each kind, for clients that draw.
  @colors ~w(#77726e #2985bd #72a751 #2a6754 #96653a #a45fd0 #ff6200 #4f2c10)

  @impl true
  def join("world:main", params, socket) when is_map(params) do
    %{game: game} = socket.assigns
    form = if params["binary"] == true and Socket.binary?(socket), do: :binary, else: :json

    with {:ok, world} <- GamePlatform.world(game),
         %{ups: _} = stats <- GamePlatform.stats(game),
         area = if(world.cells <= @most_cells, do: :all, else: area!(world, @home, @radius)),
         socket = assign(socket, world: world, form: form, area: area),
         {:ok, tick, keyframe, socket} <- watch(socket) do
      send(self(), {:joined, tick, if(form == :binary, do: keyframe)})

      reply = %{
        tick: tick,
        frequency: world.frequency,
        seed: world.seed,
        cells: world.cells,
        kinds: world.kinds,
        colors: @colors,
        ups: stats.target_ups,
        player: socket.assigns.player,
        area: if(area == :all, do: "all", else: area),
        keyframe: if(form == :json, do: Base.encode64(keyframe))
      }

      {:ok, reply, socket}
    else
      _ -> {:error, %{reason: "the world is being started: join again"}}
    end
  end

  def join("world:" <> _, _, _), do: {:error, %{reason: "there is no such world: join world:main"}}

  @impl true
  def handle_in("look", %{"all" => true}, %{assigns: %{world: world}} = socket) do
    if world.cells <= @most_cells,
      do: look(socket, :all),
      else:
        refuse(
          socket,
          "all",
          "this world has #{world.cells} cells: at most #{@most_cells} are told of at once"
        )
  end

  def handle_in("look", %{"cell" => cell} = payload, %{assigns: %{world: world}} = socket) do
    case Compute.chunks_around(world.frequency, cell, Map.get(payload, "radius", @radius)) do
      {:ok, chunks} when length(chunks) * 4096 > @most_cells ->
        refuse(
          socket,
          "radius",
          "at most #{div(@most_cells, 4096)} chunks are told of at once: ask for a smaller one"
        )

      {:ok, chunks} ->
        look(socket, chunks)

      {:error, {_, %{option: field, expected: expected}}} ->
        refuse(socket, field, "expected #{expected}")
    end
  end

  def handle_in("look", _, socket), do: refuse(socket, "cell", "give all: true, or a cell and a radius")

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

  def handle_in(event, _, socket), do: refuse(socket, "event", "#{event} is none of look, resync, ping")

  @impl true
  # After the answer.
  def handle_info({:joined, tick, keyframe}, socket) do
    if keyframe, do: push(socket, "keyframe", {:binary, keyframe})
    follow(socket, tick)
    {:ok, _} = Presence.track(socket, socket.assigns.player, %{online_at: System.os_time(:second)})
    push(socket, "presence_state", Presence.list(socket))
    {:noreply, socket}
  end

  def handle_info(:resync, socket), do: {:noreply, resync(socket)}

  # The client was too slow for some steps: one that has them all, if there is one.
  def handle_info({:lagged, part, at}, %{assigns: %{form: form}} = socket) do
    part = String.replace_suffix(part, "/json", "")

    with true <- is_integer(at) and part in Publisher.parts(socket.assigns.area),
         {:ok, <<"gpd1", _::32, _::64, tick::64-little, _::binary>> = diff} <-
           Compute.diff(socket.assigns.world, at),
         {:ok, diffs} <- cut(diff, part) do
      for diff <- diffs, do: push(socket, "diff", Publisher.payload(diff, form))
      Egress.subscribe(socket, Publisher.key(socket.topic, part, form), tick)
      {:noreply, socket}
    else
      false when is_integer(at) -> {:noreply, socket}
      _ -> {:noreply, resync(socket)}
    end
  end

  # The world has been started again, at its beginning.
  def handle_info({:DOWN, monitor, :process, _, _}, %{assigns: %{publisher: monitor}} = socket) do
    Process.send_after(self(), :again, @again_ms)
    {:noreply, socket}
  end

  def handle_info(:again, socket) do
    with {:ok, world} <- GamePlatform.world(socket.assigns.game),
         {:ok, tick, keyframe, socket} <- socket |> assign(:world, world) |> watch() do
      {:noreply, begin(socket, tick, keyframe)}
    else
      _ ->
        Process.send_after(self(), :again, @again_ms)
        {:noreply, socket}
    end
  end

  def handle_info(_, socket), do: {:noreply, socket}

  defp cut(diff, "all"), do: {:ok, [diff]}

  defp cut(diff, part) do
    with {:ok, parts} <- Compute.split_diff(diff, [String.to_integer(part)]),
         do: {:ok, Enum.map(parts, &elem(&1, 1))}
  end

  defp look(%{assigns: %{area: before, form: form}} = socket, area) do
    case socket |> assign(:area, area) |> watch() do
      {:ok, tick, keyframe, socket} ->
        for part <- Publisher.parts(before) -- Publisher.parts(area),
            do: Egress.unsubscribe(socket, Publisher.key(socket.topic, part, form))

        {:reply, {:ok, %{area: if(area == :all, do: "all", else: area)}}, begin(socket, tick, keyframe)}

      _ ->
        {:reply, {:error, %{reason: "the world is being started"}}, socket}
    end
  end

  defp resync(socket) do
    case watch(socket) do
      {:ok, tick, keyframe, socket} -> begin(socket, tick, keyframe)
      # It is being started again, and told of then.
      _ -> socket
    end
  end

  defp begin(socket, tick, keyframe) do
    push(socket, "keyframe", Publisher.payload(keyframe, socket.assigns.form))
    follow(socket, tick)
    socket
  end

  # From that tick on the steps of the area come: after the keyframe, so that none comes before it.
  defp follow(%{assigns: %{area: area, form: form}, topic: topic} = socket, tick) do
    for part <- Publisher.parts(area), do: Egress.subscribe(socket, Publisher.key(topic, part, form), tick)
  end

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

  defp area!(world, cell, radius) do
    {:ok, chunks} = Compute.chunks_around(world.frequency, cell, radius)
    chunks
  end

  defp refuse(socket, field, message),
    do: {:reply, {:error, %{reason: message, field: field}}, socket}
end
