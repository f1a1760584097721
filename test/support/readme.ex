defmodule GamePlatform.Readme do
  @external_resource "README.md"

  # The tour in the README, its code blocks joined to one session, as a doctest.
  @moduledoc "README.md"
             |> File.read!()
             |> String.split("```elixir\n")
             |> tl()
             |> Enum.map_join(fn block -> block |> String.split("```") |> hd() end)
             |> String.replace(~r/^/m, "    ")
end
