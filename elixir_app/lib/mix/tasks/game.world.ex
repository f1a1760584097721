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

  ## The past of a world that is kept

      mix game.world --data-dir ./data --at 1200 --png then.png

  shows a world as it was. The directory is only read: a server may be using it.

  #{GamePlatform.CLI.Past.flags()}
    * `--at TICK`: when; default where a restart would go on
    * `--digest`, `--png FILE` and its options, `--backend`, `--threads`, `--max-bytes`: as above

  ## Forks

      mix game.world fork --data-dir ./data --to ./fork --at 1200

  makes a data directory of its own from a world as it was. A server that is started with it goes on from there.

    * `--data-dir DIR`, `--world ID`, `--at TICK`, `--backend`, `--threads`, `--max-bytes`: as above
    * `--to DIR`: the directory, which is made if there is none; required
    * `--as ID`: what the world is called there; default the same

  ## The first difference

      mix game.world --compare ./data ./fork

  compares two worlds that are kept, each a data directory or a snapshot file. It prints `equal at tick N` and the
  digest, or ends with exit status 1 and the chunk, the cell and what differs there.

    * `--at TICK`: when, for two directories; default the newest tick that both have come to
    * `--world ID`, `--backend`, `--threads`, `--max-bytes`: as above
  """
  use Mix.Task

  alias GamePlatform.{CLI, Compute, Config, Persistence}
  alias GamePlatform.CLI.{Compare, Past, Script}

  @requirements ["app.start"]
  @world [:seed, :frequency, :backend, :threads, :ruleset, :max_bytes]
  @picture [:size, :longitude, :latitude]

  @past [data_dir: :string, world: :string, at: :string]
  # What a world that is kept has already.
  @fresh [:seed, :frequency, :ruleset, :ticks, :actions]

  @impl true
  def run(["fork" | args]), do: fork(args)

  def run(args) do
    case Enum.split_while(args, &(&1 != "--compare")) do
      {before, ["--compare", a, b | rest]} -> compare(a, b, before ++ rest)
      {_, ["--compare" | _]} -> Mix.raise("--compare takes two data directories or snapshot files")
      {_, []} -> run_one(args)
    end
  end

  defp compare(a, b, args) do
    if wrong = Enum.find([a, b], &String.starts_with?(&1, "--")),
      do: Mix.raise("--compare takes two data directories or snapshot files, and #{wrong} is none")

    Compare.run!(a, b, CLI.parse!("mix game.world", args, Past.world_options(), world: :string, at: :string))
  end

  defp run_one(args) do
    own = [ticks: :string, digest: :boolean, png: :string, actions: :string] ++ @past
    opts = CLI.parse!("mix game.world", args, @world ++ @picture, own)
    if Enum.any?(Keyword.keys(@past), &opts[&1]), do: past(opts), else: fresh(opts)
  end

  defp fresh(opts) do
    ticks = CLI.number!("--ticks", opts[:ticks] || "0", Config.max_tick())
    world_opts = CLI.ok!(Config.parse(:world, Map.take(opts, @world)))
    picture_opts = CLI.ok!(Config.parse(:picture, Map.take(opts, @picture)))

    lines = if opts[:actions], do: Script.read!(opts[:actions], ticks)

    if opts[:png], do: CLI.writable!(opts[:png])

    world = world_opts |> Map.to_list() |> Compute.new_world() |> CLI.ok!()
    {us, tick} = :timer.tc(fn -> advance(world, opts[:actions], lines, ticks) end)
    rate = if ticks > 0, do: ", #{CLI.si(world.cells * ticks * 1_000_000 / max(us, 1))} cells/s", else: ""
    IO.puts("tick #{tick}, #{CLI.grouped(world.cells)} cells#{rate}")

    show(world, opts, picture_opts)
  end

  defp show(world, opts, picture_opts) do
    if opts[:digest], do: world |> Compute.digest() |> CLI.ok!() |> Past.digest()

    if path = opts[:png] do
      png = world |> Compute.picture(Map.to_list(picture_opts)) |> CLI.ok!()
      with {:error, posix} <- File.write(path, png), do: Mix.raise("#{path}: #{:file.format_error(posix)}")
      IO.puts("picture #{path}")
    end

    Compute.close(world)
  end

  defp past(opts) do
    if given = Enum.find(@fresh, &opts[&1]),
      do: Mix.raise("--#{given} is for a new world: leave it out with --data-dir, --world and --at")

    tick = Past.tick!("--at", opts[:at])
    picture_opts = CLI.ok!(Config.parse(:picture, Map.take(opts, @picture)))
    if opts[:png], do: CLI.writable!(opts[:png])
    options = Past.options!(opts)
    world = CLI.ok!(Persistence.view(Past.data_dir(opts), Past.world(opts), tick, options))
    IO.puts("tick #{CLI.ok!(Compute.tick(world))}, #{CLI.grouped(world.cells)} cells")
    show(world, opts, picture_opts)
  end

  defp fork(args) do
    own = [to: :string, as: :string] ++ @past
    opts = CLI.parse!("mix game.world", args, Past.world_options(), own)
    unless opts[:to], do: Mix.raise("--to is missing: the directory to make of it; see `mix help game.world`")

    if Path.expand(opts.to) == Path.expand(Past.data_dir(opts)),
      do: Mix.raise("--to is #{opts.to}, where the world is: choose another directory")

    options = Past.options!(opts) ++ [to: opts.to, at: Past.tick!("--at", opts[:at])]
    options = if opts[:as], do: [as: opts.as] ++ options, else: options
    made = CLI.ok!(Persistence.fork(Past.data_dir(opts), Past.world(opts), options))
    IO.puts("world #{made.world} at tick #{made.tick} is in #{made.dir}")
    Past.digest(made.digest)
  end

  defp advance(world, path, lines, ticks) do
    if lines, do: Script.run!(world, path, lines, ticks)
    world |> Compute.advance_to(ticks) |> CLI.ok!()
  end
end
