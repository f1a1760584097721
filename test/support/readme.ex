defmodule GamePlatform.Readme do
  @external_resource "README.md"

  # The tour in the README, its code blocks joined to one session, as a doctest.
  @moduledoc "README.md"
             |> File.read!()
             |> String.split("```elixir\n")
             |> tl()
             |> Enum.map(fn block -> block |> String.split("```") |> hd() end)
             |> Enum.filter(&String.starts_with?(&1, "iex>"))
             |> Enum.join()
             |> String.replace(~r/^/m, "    ")
end
