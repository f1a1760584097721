defmodule GamePlatform.Sessions.Names do
  @moduledoc false
  # What guests are called: the name that they want, and something that makes it theirs alone.

  alias GamePlatform.Config

  @max_bytes 40
  @guest_bytes 16..128
  @name "letters, digits, spaces, _ . and -, 1..#{@max_bytes} bytes"
  @guest "a secret of 16 to 128 bytes that you have chosen"

  @doc """
  The id of a guest. With the secret `guest` it is always the same, and does not tell it; else nobody has had it.

      iex> {:ok, id} = GamePlatform.Sessions.Names.guest_id("Zoë", "sixteen bytes are enough")
      iex> {:ok, ^id} = GamePlatform.Sessions.Names.guest_id(" Zoë ", "sixteen bytes are enough")
      iex> {String.slice(id, 0..3), byte_size(id)}
      {"Zoë-", 21}
  """
  @spec guest_id(term, term) :: {:ok, String.t()} | {:error, Config.error()}
  def guest_id(name, guest) do
    with {:ok, name} <- name(name), {:ok, <<bytes::binary-size(8), _::binary>>} <- bytes(guest) do
      {:ok, name <> "-" <> Base.encode16(bytes, case: :lower)}
    end
  end

  defp name(nil), do: {:ok, "guest"}

  defp name(name) when is_binary(name) and byte_size(name) <= 4 * @max_bytes do
    with true <- String.valid?(name),
         trimmed = name |> String.trim() |> String.normalize(:nfc),
         true <- byte_size(trimmed) in 1..@max_bytes and trimmed =~ ~r/\A[\p{L}\p{M}\p{Nd} _.\-]+\z/u do
      {:ok, trimmed}
    else
      _ -> Config.invalid(:name, name, @name)
    end
  end

  defp name(other), do: Config.invalid(:name, other, @name)

  defp bytes(nil), do: {:ok, :crypto.strong_rand_bytes(8)}

  defp bytes(guest) when is_binary(guest) and byte_size(guest) in @guest_bytes,
    do: {:ok, :crypto.hash(:sha256, "game_platform guest " <> guest)}

  # It is a secret, however wrong it is.
  defp bytes(_), do: {:error, {:invalid_option, %{option: :guest, value: :hidden, expected: @guest}}}
end
