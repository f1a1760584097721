defmodule GamePlatformWeb.UserSocket do
  @moduledoc """
  The socket of a world's clients: who may connect.

  With a secret (`JWT_SECRET`), a client shows a token, signed with it (HS256): in the header `Authorization: Bearer`,
  as the parameter `token`, or as the `authToken` of `phoenix.js` 1.8. It must have an `exp`; its `sub` is the player's
  id. Without a secret everybody may connect, as a guest, and the server listens on the loopback interface only.

  A guest who shows the parameter `guest`, a secret of its own of 16 to 128 bytes, comes back as the same player;
  without it every connection is a new one.
  """

  use GamePlatform.Socket

  alias GamePlatform.Transport.Token

  channel("world:*", GamePlatformWeb.WorldChannel)

  @impl true
  def connect(params, socket, info) do
    case socket.assigns[:jwt] do
      nil ->
        with {:ok, guest} <- guest(params), do: {:ok, assign(socket, :player, guest)}

      %{secret: secret} = jwt ->
        with {:ok, token} <- token(info.headers, params),
             {:ok, claims} <- Token.verify(token, secret.(), issuer: jwt[:issuer]),
             {:ok, player} <- if(sub = claims["sub"], do: {:ok, sub}, else: guest(params)) do
          {:ok, assign(socket, :player, player)}
        else
          {:error, sentence} when is_binary(sentence) ->
            {:error, sentence}

          {:error, :missing_token} ->
            {:error,
             "a token is needed: send it as the parameter token or in the header Authorization: Bearer"}

          {:error, reason} ->
            {:error, "the token is refused: #{describe(reason)}"}
        end
    end
  end

  # Others see the name, so it does not tell the secret.
  defp guest(%{"guest" => secret}) when is_binary(secret) and byte_size(secret) in 16..128,
    do: {:ok, guest_name(:crypto.hash(:sha256, "game_platform guest " <> secret))}

  defp guest(%{"guest" => _}), do: {:error, "guest is a secret of 16 to 128 bytes that you have chosen"}
  defp guest(_), do: {:ok, guest_name(:crypto.strong_rand_bytes(8))}

  defp guest_name(<<bytes::binary-size(8), _::binary>>), do: "guest-" <> Base.encode16(bytes, case: :lower)

  @impl true
  def id(socket), do: "player:" <> socket.assigns.player

  # The edge takes it out of the WebSocket's subprotocol.
  defp token(headers, params) do
    case List.keyfind(headers, "x-phoenix-authtoken", 0) do
      {_, token} -> {:ok, token}
      nil -> Token.from_request(headers, params)
    end
  end

  # For people; a fault of our own options is not a client's to read.
  defp describe({:missing_claim, %{claim: claim}}), do: "the claim #{claim} is missing"

  defp describe({:invalid_claim, %{claim: claim, expected: expected}}),
    do: "the claim #{claim} is not #{expected}"

  defp describe({reason, _}), do: describe(reason)
  defp describe(reason), do: reason |> Atom.to_string() |> String.replace("_", " ")
end
