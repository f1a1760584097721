defmodule GamePlatformWeb.API.Worlds do
  @moduledoc false
  # What there is: the server, its worlds, their cells, and who is in them.

  alias GamePlatform.{Compute, JSON, Multiplayer, Presence, Sessions}
  alias GamePlatform.Sessions.{Devices, Settings}
  alias GamePlatformWeb.API
  alias GamePlatformWeb.API.{Errors, Params}

  @world "main"
  # Thousands may be there, and as many may ask.
  @kept_ms 200
  @env Atom.to_string(Mix.env())

  def info(%{config: config}) do
    {rate, burst} = API.session_limit()
    {connect_rate, connect_burst} = config.connect

    {200,
     %{
       name: "game_platform",
       version: to_string(Application.spec(:game_platform, :vsn)),
       protocol: %{phoenix: ["1.0.0", "2.0.0"]},
       hz: config.hz,
       ups: config.ups,
       worlds: [@world],
       env: @env,
       limits: %{
         body_bytes: Params.body_bytes(),
         actions: 100,
         actions_per_s: 20,
         messages: 1_000,
         poll_s: 30,
         devices: Devices.most(),
         requests_per_s: rate,
         requests_burst: burst,
         connects_per_s: connect_rate,
         connects_burst: connect_burst,
         token_s: config.token_s,
         session_s: config.session_s
       }
     }}
  end

  def worlds(%{game: game}) do
    with {:ok, world} <- world(game), {:ok, tick} <- read(Compute.tick(world)) do
      about = world |> Map.take([:frequency, :seed, :cells, :kinds])
      ups = with %{target_ups: ups} <- GamePlatform.stats(game), do: ups, else: (_ -> nil)
      players = Settings.kept(game, :players, @kept_ms, fn -> map_size(Multiplayer.connected(game)) end)
      {200, %{worlds: [Map.merge(about, %{id: @world, tick: tick, ups: ups, players: players})]}}
    end
  end

  def cell(%{game: game, params: %{cell: id}} = context) do
    with {:ok, world} <- world(game),
         :ok <- inside(:cell, id, world.cells - 1),
         :ok <- noted(context),
         {:ok, cell} <- read(Compute.cell(world, id)),
         do: {200, %{cell: cell}}
  end

  def chunk(%{game: game, params: %{chunk: chunk}} = context) do
    with {:ok, world} <- world(game),
         :ok <- inside(:chunk, chunk, Compute.chunks(world.frequency) - 1),
         :ok <- noted(context) do
      if binary?(context), do: keyframe(world, chunk), else: cells(world, chunk)
    end
  end

  defp keyframe(world, chunk) do
    with {:ok, _, keyframe} <- read(Compute.chunk_keyframe(world, chunk)),
         do: {200, [{"content-type", "application/octet-stream"}], keyframe}
  end

  # Written by hand: there may be thousands.
  defp cells(world, chunk) do
    with {:ok, tick, cells} <- read(Compute.chunk(world, chunk)) do
      cells =
        for {id, kind, amount} <- cells,
            do: [?[, to_string(id), ?,, to_string(kind), ?,, to_string(amount), ?]]

      head = [
        ~s({"chunk":),
        to_string(chunk),
        ~s(,"tick":),
        to_string(tick),
        ~s(,"kinds":),
        JSON.encode!(world.kinds)
      ]

      {200, {:json, [head, ~s(,"cells":[), Enum.intersperse(cells, ?,), "]}"]}}
    end
  end

  defp binary?(%{params: %{format: format}}), do: format == "binary"

  defp binary?(%{request: %{headers: headers}}) do
    case List.keyfind(headers, "accept", 0) do
      {_, accept} -> accept |> String.downcase() |> String.starts_with?("application/octet-stream")
      nil -> false
    end
  end

  def players(%{config: %{endpoint: nil}} = context) do
    with :ok <- noted(context), do: {200, %{players: []}}
  end

  def players(%{game: game, config: config} = context) do
    with :ok <- noted(context),
         do: {200, {:json, Settings.kept(game, :present, @kept_ms, fn -> present(config) end)}}
  rescue
    # The table goes with the transport.
    ArgumentError -> Errors.error(:restarting)
  end

  defp present(config) do
    players =
      for {player, %{metas: metas}} <- Enum.sort(Presence.list(config.endpoint, config.topic)) do
        # One who is there twice is where the newest says.
        newest = List.last(metas)
        since = metas |> Enum.map(&Map.get(&1, :online_at, 0)) |> Enum.min()
        transport = Map.get(newest, :transport, "socket")
        %{player: player, online_at: since, position: Map.get(newest, :position), transport: transport}
      end

    JSON.encode!(%{players: players})
  end

  # One who looks is there.
  defp noted(%{game: game, identity: %{session_id: id} = identity}) when id != nil do
    case Sessions.heard(game, identity, id) do
      {:ok, _} -> :ok
      {:error, _} -> Errors.error(:restarting)
    end
  end

  defp noted(_), do: :ok

  defp inside(field, n, last), do: if(n <= last, do: :ok, else: Params.out_of_range(field, 0, last))

  defp world(game) do
    with {:error, _} <- GamePlatform.world(game), do: Errors.error(:restarting)
  end

  defp read({:error, _}), do: Errors.error(:restarting)
  defp read(done), do: done
end
