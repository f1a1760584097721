defmodule GamePlatform.JSON.Any do
  @moduledoc false
  # JSON for logs and reports, in plain Elixir: it must hold when nothing else does.

  import GamePlatform.Text

  # Deeper and longer terms are shown as text, or cut.
  @max_depth 8
  @max_items 1000

  def encode(term), do: term |> write(0) |> IO.iodata_to_binary()

  defp write(nil, _), do: "null"
  defp write(flag, _) when is_boolean(flag), do: Atom.to_string(flag)
  defp write(atom, _) when is_atom(atom), do: string(Atom.to_string(atom))
  defp write(n, _) when is_integer(n), do: Integer.to_string(n)
  defp write(n, _) when is_float(n), do: Float.to_string(n)
  defp write(text, _) when is_binary(text), do: string(text)
  defp write(term, depth) when depth >= @max_depth, do: term |> shown() |> string()
  defp write(%_{} = struct, _), do: struct |> shown() |> string()

  defp write(%{} = map, depth) do
    # By their text, because 1, "1" and :"1" would be one name.
    fields = map |> Enum.take(@max_items) |> Map.new(fn {key, value} -> {name(key), value} end)
    between("{", Enum.map(fields, fn {name, value} -> [string(name), ?:, write(value, depth + 1)] end), "}")
  end

  defp write(list, depth) when is_list(list) do
    if List.improper?(list),
      do: list |> shown() |> string(),
      else: between("[", list |> Enum.take(@max_items) |> Enum.map(&write(&1, depth + 1)), "]")
  end

  defp write(term, _), do: term |> shown() |> string()

  defp between(left, items, right), do: [left, Enum.intersperse(items, ?,), right]

  defp name(key) when is_binary(key), do: key
  defp name(key) when is_atom(key), do: Atom.to_string(key)
  defp name(key), do: shown(key)

  defp string(text), do: [?", text |> utf8() |> escape(), ?"]

  defp escape(text), do: for(<<char::utf8 <- text>>, into: "", do: escaped(char))

  defp escaped(?"), do: "\\\""
  defp escaped(?\\), do: "\\\\"
  defp escaped(?\n), do: "\\n"
  defp escaped(?\r), do: "\\r"
  defp escaped(?\t), do: "\\t"

  defp escaped(char) when char < 0x20 or char in [0x7F, 0x2028, 0x2029],
    do: "\\u" <> (char |> Integer.to_string(16) |> String.pad_leading(4, "0"))

  defp escaped(char), do: <<char::utf8>>
end
