defmodule GamePlatformWeb.UserSocket do
  @moduledoc """
  The socket of a world's clients: who may connect.

  A client shows a token: in the header `Authorization: Bearer`, as the parameter `token`, or as the `authToken` of
  `phoenix.js` 1.8. It is one that `POST /api/v1/connect` gave it, or that somebody else signed with `JWT_SECRET` (HS256;
  it must have an `exp`; its `sub` is the player's id). When the token expires, the socket is closed with 1008
  `token_expired`; the event `refresh` of `world:main` gives another one in time. Without `JWT_SECRET` a client may come
  without a token, as a guest, unless `GUESTS=false`, and the server listens on the loopback interface only.

  A guest who shows the parameter `guest`, a secret of its own of 16 to 128 bytes, comes back as the same player;
  without it every connection is a new one. The parameter `name` is what a guest wants to be called; another name with the
  same secret is another player.

  The parameter `resume`, the last `seq` that the client has seen, has it get what came since then
  (`GamePlatformWeb.WorldChannel`).
  """

  use GamePlatform.Socket

  alias GamePlatform.{Sessions, Transport}
  alias GamePlatform.Sessions.Names
  alias GamePlatform.Transport.Token

  channel("world:*", GamePlatformWeb.WorldChannel)
  channel("player:*", GamePlatformWeb.PlayerChannel)

  @nobody %{player: nil, session_id: nil, issued_at: nil, expires_at: nil, seq: nil}

  @impl true
  def connect(params, socket, info) do
    with {:ok, socket} <- who(token(info.headers, params), params, socket),
         do: {:ok, assign(socket, transport: info.transport, resume: resume(params["resume"]))}
  end

  # JavaScript makes text of what is not there yet.
  defp resume(nothing) when nothing in ["", "undefined", "null"], do: nil
  defp resume(seq), do: seq

  defp who({:error, :missing_token}, params, %{assigns: %{jwt: nil}} = socket) do
    if Sessions.guests?(socket.assigns.game),
      do: guest(params, socket),
      else: {:error, "this server takes no guests: connect with a token of who runs it"}
  end

  defp who({:error, :missing_token}, _, _),
    do: {:error, "a token is needed: send it as the parameter token or in the header Authorization: Bearer"}

  defp who({:ok, token}, params, socket) do
    case Sessions.authorize(socket.assigns.game, token) do
      {:ok, %{player: player, session_id: id, expires_at: expires_at} = identity} ->
        # Logging out closes it, and so does the end of the token.
        if id, do: Transport.subscribe(socket.endpoint, "session:" <> id)
        Transport.expire(socket, ceil(expires_at))
        {:ok, known(socket, identity, player)}

      # It says only that its bearer may come in.
      {:error, {:missing_claim, %{claim: "sub"}}} ->
        guest(params, socket)

      {:error, reason} ->
        {:error, "the token is refused: #{Token.describe(reason)}"}
    end
  end

  defp who({:error, reason}, _, _), do: {:error, "the token is refused: #{Token.describe(reason)}"}

  defp known(socket, identity, player),
    do: assign(socket, player: player, identity: %{identity | player: player})

  defp guest(params, socket) do
    case Names.guest_id(params["name"], params["guest"]) do
      {:ok, guest} -> {:ok, known(socket, @nobody, guest)}
      {:error, {_, %{option: option, expected: expected}}} -> {:error, "#{option} is #{expected}"}
    end
  end

  @impl true
  def id(socket), do: "player:" <> socket.assigns.player

  # The edge takes it out of the WebSocket's subprotocol.
  defp token(headers, params) do
    case List.keyfind(headers, "x-phoenix-authtoken", 0) do
      {_, token} -> {:ok, token}
      nil -> Token.from_request(headers, params)
    end
  end
end
