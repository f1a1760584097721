defmodule GamePlatform.CLI.Past do
  @moduledoc false
  # What the Mix tasks about kept worlds share.

  alias GamePlatform.{CLI, Config}

  @world [:backend, :threads, :max_bytes]

  @doc "Options of a world that is made from what is kept, as flags."
  def world_options, do: @world

  @doc "Documentation of the flags that say which world."
  def flags do
    "  * `--data-dir DIR`: where it is kept; default `DATA_DIR`, or `./data`\n" <>
      "  * `--world ID`: which one; default `main`"
  end

  def data_dir(opts), do: opts[:data_dir] || System.get_env("DATA_DIR") || "./data"
  def world(opts), do: opts[:world] || "main"

  def tick!(_, nil), do: :newest
  def tick!(flag, text), do: CLI.number!(flag, text, Config.max_tick())

  @doc "Options for `GamePlatform.Persistence`; what takes long is told a line at a time."
  def options!(opts) do
    {:ok, defaults} = Config.validate(:restore, [])
    given = CLI.ok!(Config.parse(:restore, Map.take(opts, @world)))
    options = defaults |> Map.merge(given) |> Map.take(@world) |> Map.to_list()
    [progress: &progress/1] ++ options
  end

  defp progress(%{tick: tick, from: from, until: until, actions: actions}) do
    percent = div(100 * (tick - from), max(until - from, 1))
    IO.puts("at tick #{tick} of #{until} (#{percent} %), #{CLI.grouped(actions)} actions")
  end

  @doc "Where two snapshots differ, and what."
  def place(%{chunk: chunk, cell: cell, what: what}) do
    Enum.join(for({name, n} when n != nil <- [chunk: chunk, cell: cell], do: "#{name} #{n}, ")) <> what
  end

  def digest(digest), do: IO.puts("digest #{Base.encode16(digest, case: :lower)}")
end
