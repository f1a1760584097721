defmodule GamePlatform.Sessions.Tokens do
  @moduledoc false
  # Tokens of sessions: what is in them, and whether they are still good.

  alias GamePlatform.{Mail, Sessions}
  alias GamePlatform.Sessions.{SessionId, Settings}
  alias GamePlatform.Transport.Token

  @world "main"

  @doc """
  The second at which a token is issued that is made now. One that is made in the second of a revocation is not one of
  those that were revoked. To be asked before it is seen whether the player may have one: what is revoked after that
  revokes it, too.
  """
  @spec issued_at(atom, String.t()) :: pos_integer
  def issued_at(game, player), do: max(now_s(), (revoked_at(game, player) || 0) + 1)

  @doc "A token of a device, which begins after `seq`."
  @spec sign(Settings.t(), String.t(), SessionId.t(), non_neg_integer, pos_integer) ::
          {:ok, Sessions.token()} | {:error, term}
  def sign(config, player, id, seq, issued_at) do
    expires_at = now_s() + config.token_s
    claims = %{sub: player, sid: id, world: @world, seq: seq, iat: issued_at, exp: expires_at}

    with {:ok, token} <- Token.sign(claims, config.secret.(), issuer: config.issuer) do
      {:ok,
       %{
         token: token,
         session_id: id,
         player_id: player,
         expires_at: expires_at,
         expires_in: config.token_s
       }}
    end
  end

  @doc "What a token says, if it is good."
  @spec claims(atom, Settings.t(), term) :: {:ok, Token.claims()} | {:error, :revoked | Token.error()}
  def claims(game, config, token) do
    with {:ok, claims} <- Token.verify(token, config.secret.(), issuer: config.issuer) do
      if revoked_before?(game, claims), do: {:error, :revoked}, else: {:ok, claims}
    end
  end

  defp revoked_before?(game, %{"sub" => player} = claims), do: revoked?(game, player, iat(claims))
  defp revoked_before?(_, _), do: false

  defp revoked?(game, player, issued_at) do
    at = revoked_at(game, player)
    at != nil and issued_at <= at
  end

  defp iat(claims), do: Map.get(claims, "iat", 0)

  defp revoked_at(game, player) do
    with {at, _until} <- Mail.revoked(game, player_key(player)), do: at
  end

  @doc "The key by which tokens of a player are revoked."
  @spec player_key(String.t()) :: String.t()
  # A name may be as long as a claim, and a key may not.
  def player_key(player) when byte_size(player) <= 64, do: "player:" <> player
  def player_key(player), do: "player:" <> Base.encode16(:crypto.hash(:sha256, player))

  @doc "Who shows a token; others may have made it, who have a `sid` of their own."
  @spec identity(atom, Settings.t(), term) :: {:ok, Sessions.identity()} | {:error, :revoked | Token.error()}
  def identity(game, config, token) do
    with {:ok, claims} <- claims(game, config, token),
         {:ok, player} <- subject(claims),
         {:ok, id} <- session_id(game, config, player, claims["sid"]) do
      {:ok,
       %{
         player: player,
         session_id: id,
         issued_at: iat(claims),
         expires_at: claims["exp"],
         seq: seq(id, claims["seq"])
       }}
    end
  end

  @doc "Whether what a token said when it was shown has not been revoked since then."
  @spec good?(atom, Sessions.identity()) :: boolean
  def good?(game, %{player: player, session_id: id, issued_at: issued_at}),
    do: not revoked?(game, player, issued_at) and (id == nil or Mail.revoked(game, id) == nil)

  defp subject(%{"sub" => player}), do: {:ok, player}
  defp subject(_), do: {:error, {:missing_claim, %{claim: "sub"}}}

  defp session_id(game, config, player, id) do
    cond do
      SessionId.whose(config.secret.(), id, player) != :own -> {:ok, nil}
      Mail.revoked(game, id) != nil -> {:error, :revoked}
      true -> {:ok, id}
    end
  end

  defp seq(nil, _), do: nil
  defp seq(_, seq), do: if(is_integer(seq) and seq >= 0, do: seq)

  defp now_s, do: System.os_time(:second)
end
