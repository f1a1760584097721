defmodule GamePlatform.CLI.Compare do
  @moduledoc false
  # Two worlds that are kept, each a snapshot file or a data directory: whether they are the same, and where they first
  # differ.

  alias GamePlatform.{CLI, Compute, Persistence}
  alias GamePlatform.CLI.Past

  @doc "`opts`: `:world`, `:at`, and the options of worlds that are made for it."
  def run!(a, b, opts) do
    options = Past.options!(opts)
    tick = tick([a, b], opts)
    [one, other] = for path <- [a, b], do: snapshot!(path, Past.world(opts), tick, options)

    case Compute.compare(one, other) do
      :equal ->
        {:ok, %{tick: tick, digest: digest}} = Compute.snapshot_info(one)
        IO.puts("equal at tick #{tick}")
        Past.digest(digest)

      {:differs, about} ->
        Mix.raise("#{a} and #{b} differ: #{Past.place(about)}")

      {:error, reason} ->
        Mix.raise(CLI.describe(reason))
    end
  end

  # Worlds that go on are compared where both have come to.
  defp tick(paths, %{at: at}) do
    if file = Enum.find(paths, &(not File.dir?(&1))),
      do: Mix.raise("--at is for data directories, and #{file} is none: leave it out")

    Past.tick!("--at", at)
  end

  # A file is of one tick only.
  defp tick(paths, opts) do
    {dirs, files} = Enum.split_with(paths, &File.dir?/1)

    case Enum.map(files, &info!(&1).tick) do
      [] -> dirs |> Enum.map(&newest!(&1, Past.world(opts))) |> Enum.min()
      [tick | _] -> tick
    end
  end

  # A world that is not there is told of by whoever looks at it.
  defp newest!(dir, id) do
    worlds = CLI.ok!(Persistence.worlds(dir))
    with %{tick: tick} <- Enum.find(worlds, &(&1.id == id)), do: tick, else: (_ -> 0)
  end

  defp info!(file) do
    case file |> read!() |> Compute.snapshot_info() do
      {:ok, info} -> info
      {:error, reason} -> Mix.raise("#{file}: #{CLI.describe(reason)}")
    end
  end

  defp read!(file) do
    case File.read(file) do
      {:ok, binary} -> binary
      {:error, posix} -> Mix.raise("#{file}: #{:file.format_error(posix)}")
    end
  end

  defp snapshot!(path, id, tick, options) do
    if File.dir?(path) do
      world = CLI.ok!(Persistence.view(path, id, tick, options))
      snapshot = CLI.ok!(Compute.snapshot(world))
      Compute.close(world)
      snapshot
    else
      read!(path)
    end
  end
end
