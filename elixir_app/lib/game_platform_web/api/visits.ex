defmodule GamePlatformWeb.API.Visits do
  @moduledoc false
  # Coming, staying and going.

  alias GamePlatform.{Multiplayer, Sessions}
  alias GamePlatform.Sessions.Settings
  alias GamePlatformWeb.API
  alias GamePlatformWeb.API.Errors

  def connect(%{game: game, config: config, request: request, identity: %{token: token}, params: params}) do
    given = params |> Map.take([:name, :guest]) |> Map.put(:token, token) |> Map.to_list()

    with :ok <- allowed(game, config, request.peer),
         {:ok, connection} <- Sessions.connect(game, given) do
      {201, connection}
    else
      {:error, {:invalid_option, %{option: field, expected: expected}}} ->
        Errors.error(:out_of_range, field: field, message: "#{field} is #{expected}")

      {:error, {:token, reason}} ->
        API.unauthorized(reason)

      {:error, :token_needed} ->
        Errors.error(:unauthorized,
          message: "This server takes no guests: connect with a token of who runs it."
        )

      {:error, :too_many_sessions} ->
        Errors.error(:busy, retry_s: 10)

      other ->
        failed(other)
    end
  end

  defp allowed(game, %{connect: {rate, _} = limit}, peer) do
    with {:error, retry_s} <- Settings.take(game, :connect, {:address, address(peer)}, limit),
         do: Errors.error(:rate_limited, retry_s: retry_s, limit: rate)
  end

  @doc """
  Whose connects are counted together: those of an IPv4 address, or of a network of IPv6 addresses, which are one's for
  the asking.

      iex> alias GamePlatformWeb.API.Visits
      iex> Enum.map(["10.0.0.7:5555", "[2001:db8::1:2:3:4]:80", "nobody"], &Visits.address/1)
      ["10.0.0.7", {8193, 3512, 0, 0}, "nobody"]
  """
  def address(peer) do
    host = peer |> String.replace(~r/:\d+\z/, "") |> String.trim_leading("[") |> String.trim_trailing("]")

    case host |> String.to_charlist() |> :inet.parse_address() do
      {:ok, {0, 0, 0, 0, 0, 0xFFFF, _, _} = mapped} -> mapped
      {:ok, {a, b, c, d, _, _, _, _}} -> {a, b, c, d}
      _ -> host
    end
  end

  def refresh(%{game: game, identity: %{token: token}}) do
    with {:ok, token} <- Sessions.refresh(game, token), do: {200, token}, else: (other -> failed(other))
  end

  def logout(%{game: game, identity: %{token: token}}) do
    with {:ok, saved} <- Sessions.logout(game, token), do: {200, saved}, else: (other -> failed(other))
  end

  def me(%{game: game, identity: %{player: player, session_id: id} = identity}) do
    if id, do: Sessions.heard(game, identity, id)

    case you(game, player) do
      {:ok, %{} = you} -> {200, Map.merge(you, %{session_id: id, devices: Sessions.devices(game, player)})}
      {:error, :not_running} -> Errors.error(:restarting)
      _ -> Errors.error(:no_player)
    end
  end

  # A world that was started anew knows nobody, and one who has just come is in it from the next tick on.
  defp you(game, player) do
    with {:error, :unknown_player} <- Multiplayer.player(game, player), do: Multiplayer.enter(game, player)
  end

  defp failed({:error, _, _} = error), do: error
  defp failed({:error, :no_session}), do: Errors.error(:no_session)
  defp failed({:error, :revoked}), do: API.unauthorized(:revoked)
  defp failed({:error, {:log_behind, message}}), do: Errors.error(:log_behind, message: message)
  defp failed({:error, :not_running}), do: Errors.error(:restarting)
  # A token may have expired meanwhile; what else there is, is not the client's.
  defp failed({:error, :expired}), do: API.unauthorized(:expired)
  defp failed({:error, _}), do: Errors.error(:log_behind)
end
