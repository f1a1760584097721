defmodule GamePlatformWeb.WorldChannel.Token do
  @moduledoc false
  # A new token in time, so that the socket goes on.

  alias GamePlatform.{Sessions, Transport}

  def refresh(%{assigns: %{game: game, identity: identity}} = socket) do
    case Sessions.renew(game, identity) do
      {:ok, %{token: token, expires_at: expires_at}} ->
        Transport.expire(socket, expires_at)
        {:ok, %{token: token, expires_at: expires_at}}

      {:error, _} ->
        {:error, %{reason: "this connection has no session to go on with: POST /api/v1/connect gives one"}}
    end
  end
end
