defmodule GamePlatform.Text do
  @moduledoc false
  # Text of whatever comes, for logs and reports: it must hold when nothing else does.

  @shown [limit: 50, printable_limit: 1000]

  # Any binary as UTF-8: each byte that is none becomes U+FFFD.
  def utf8(binary) do
    if String.valid?(binary), do: binary, else: binary |> parts() |> IO.iodata_to_binary()
  end

  defp parts(<<char::utf8, rest::binary>>), do: [<<char::utf8>> | parts(rest)]
  defp parts(<<_, rest::binary>>), do: ["\uFFFD" | parts(rest)]
  defp parts(<<>>), do: []

  # `inspect/2`, which runs the code of others for structs.
  def shown(term) do
    term |> inspect(@shown) |> utf8()
  catch
    _, _ -> "(cannot be shown)"
  end
end
