defmodule Mix.Tasks.Game.World do
  @shortdoc "Makes a world, advances it, prints its digest or a picture"
  @moduledoc """
  Makes a world and advances it.

      mix game.world --seed 7 --frequency 24 --ticks 200 --digest

  ## Options

  #{GamePlatform.Config.flags([:seed, :frequency, :backend, :threads, :ruleset, :max_bytes])}
    * `--ticks N`: how far to advance; default 0
    * `--digest`: print one line `digest <64 hex digits>`
    * `--actions FILE`: what players do (`docs/actions.md`), one JSON object a line, as
      `{"tick": 0, "by": "ann", "action": "claim", "cell": 7}`. It is executed in that tick, which is at first 0 and
      then that of the line before. An `action_id` may be left out. Each refused action is printed, and at the end how
      many were applied; those of the body may be unfinished
    * `--png FILE`: write a picture
  #{GamePlatform.Config.flags([:size, :longitude, :latitude])}

  It prints the tick and how many cells a second were advanced: the cells of the world times the ticks,
  by the time they took.
  """
  use Mix.Task

  alias GamePlatform.{CLI, Compute, Config}
  alias GamePlatform.CLI.Script

  @requirements ["app.start"]
  @world [:seed, :frequency, :backend, :threads, :ruleset, :max_bytes]
  @picture [:size, :longitude, :latitude]

  @impl true
  def run(args) do
    own = [ticks: :string, digest: :boolean, png: :string, actions: :string]
    opts = CLI.parse!("mix game.world", args, @world ++ @picture, own)
    ticks = CLI.number!("--ticks", opts[:ticks] || "0", Config.max_tick())
    world_opts = CLI.ok!(Config.parse(:world, Map.take(opts, @world)))
    picture_opts = CLI.ok!(Config.parse(:picture, Map.take(opts, @picture)))

    lines = if opts[:actions], do: Script.read!(opts[:actions], ticks)

    if opts[:png], do: CLI.writable!(opts[:png])

    world = world_opts |> Map.to_list() |> Compute.new_world() |> CLI.ok!()
    {us, tick} = :timer.tc(fn -> advance(world, opts[:actions], lines, ticks) end)
    rate = if ticks > 0, do: ", #{CLI.si(world.cells * ticks * 1_000_000 / max(us, 1))} cells/s", else: ""
    IO.puts("tick #{tick}, #{CLI.grouped(world.cells)} cells#{rate}")

    if opts[:digest] do
      digest = world |> Compute.digest() |> CLI.ok!()
      IO.puts("digest #{Base.encode16(digest, case: :lower)}")
    end

    if path = opts[:png] do
      png = world |> Compute.picture(Map.to_list(picture_opts)) |> CLI.ok!()
      with {:error, posix} <- File.write(path, png), do: Mix.raise("#{path}: #{:file.format_error(posix)}")
      IO.puts("picture #{path}")
    end

    Compute.close(world)
  end

  defp advance(world, path, lines, ticks) do
    if lines, do: Script.run!(world, path, lines, ticks)
    world |> Compute.advance_to(ticks) |> CLI.ok!()
  end
end
