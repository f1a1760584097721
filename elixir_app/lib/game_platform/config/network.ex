defmodule GamePlatform.Config.Network do
  @moduledoc false
  # What addresses, origins and secrets look like.

  # As browsers send it: lower case, nothing after the port.
  @origin "\\A[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\\[[0-9a-f:.]+\\])(:[0-9]{1,5})?\\z"

  def address?(text), do: parse(text) != :error

  def loopback?(text) do
    case parse(text) do
      {:ok, {127, _, _, _}} -> true
      {:ok, {0, 0, 0, 0, 0, 0, 0, 1}} -> true
      {:ok, {0, 0, 0, 0, 0, 0xFFFF, high, _}} -> div(high, 256) == 127
      _ -> false
    end
  end

  # The strict form: "1" and "127.1" are addresses elsewhere, and are typos here.
  defp parse(text) do
    with true <- is_binary(text) and String.valid?(text),
         {:ok, address} <- text |> String.to_charlist() |> :inet.parse_strict_address() do
      {:ok, address}
    else
      _ -> :error
    end
  end

  def origins("*"), do: :any
  def origins(text), do: text |> String.downcase() |> String.split(",") |> Enum.map(&String.trim/1)

  def origins?([_ | _] = origins) do
    not List.improper?(origins) and Enum.all?(origins, &(is_binary(&1) and &1 =~ Regex.compile!(@origin)))
  end

  def origins?(_), do: false

  def hidden(secret) when is_binary(secret), do: {:hidden, byte_size(secret)}
  def hidden(nil), do: nil
  def hidden(_), do: :hidden
end
