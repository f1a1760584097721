defmodule GamePlatform.Sessions.SessionId do
  @moduledoc false
  # The id of a device: it is known by itself whose it is, whatever has been restarted meanwhile.
  #
  # 9 random bytes, 6 that say that it was made here, and 9 that say for whom, in base64url.

  @random 9
  @made_here 6
  @made_for 9
  @length div((@random + @made_here + @made_for) * 4, 3)

  @type t :: String.t()

  @doc "The pattern of ids."
  @spec pattern() :: String.t()
  def pattern, do: "^[A-Za-z0-9_-]{#{@length}}$"

  @spec new(binary, String.t()) :: t
  def new(secret, player) do
    random = :crypto.strong_rand_bytes(@random)

    Base.url_encode64(
      random <> made_here(secret, random) <> made_for(secret, random, player),
      padding: false
    )
  end

  @doc """
  Whether an id is that of a device of the player, of somebody else, or of nobody.

      iex> alias GamePlatform.Sessions.SessionId
      iex> id = SessionId.new("secret", "ann")
      iex> {SessionId.whose("secret", id, "ann"), SessionId.whose("secret", id, "bob")}
      {:own, :foreign}
      iex> SessionId.whose("another secret", id, "ann")
      :unknown
  """
  @spec whose(binary, term, String.t()) :: :own | :foreign | :unknown
  def whose(secret, id, player) when is_binary(id) and byte_size(id) == @length do
    with {:ok, <<random::binary-size(@random), here::binary-size(@made_here), owner::binary-size(@made_for)>>} <-
           Base.url_decode64(id, padding: false),
         true <- :crypto.hash_equals(here, made_here(secret, random)) do
      if :crypto.hash_equals(owner, made_for(secret, random, player)), do: :own, else: :foreign
    else
      _ -> :unknown
    end
  end

  def whose(_, _, _), do: :unknown

  defp made_here(secret, random), do: mac(secret, ["game_platform session ", random], @made_here)
  defp made_for(secret, random, player), do: mac(secret, ["game_platform owner ", random, player], @made_for)
  defp mac(secret, text, bytes), do: :hmac |> :crypto.mac(:sha256, secret, text) |> binary_part(0, bytes)
end
