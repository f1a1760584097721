defmodule Mix.Tasks.Game.Replay do
  @shortdoc "Runs a world's log again and compares it with its snapshots"
  @moduledoc """
  Runs again what the event log of a world has, from the oldest snapshot on, or from the beginning if the log is
  complete, and compares every snapshot on the way with what comes of it.

      mix game.replay --data-dir ./data --world main

  ## Options

  #{GamePlatform.CLI.Past.flags()}
    * `--until TICK`: how far; default where a restart would go on
  #{GamePlatform.Config.flags(GamePlatform.CLI.Past.world_options())}

  The directory is only read: a server may be using it. For each snapshot it prints `tick N equal`. At the first that
  differs it ends with exit status 1 and names the ticks between which the two parted, the chunk and the cell. A snapshot
  that is damaged is named and left out. At the end it prints how many actions there were, and the line
  `digest <64 hex digits>`.
  """
  use Mix.Task

  alias GamePlatform.{CLI, Persistence}
  alias GamePlatform.CLI.Past

  @requirements ["app.start"]

  @impl true
  def run(args) do
    own = [data_dir: :string, world: :string, until: :string]
    opts = CLI.parse!("mix game.replay", args, Past.world_options(), own)
    until = Past.tick!("--until", opts[:until])
    options = Past.options!(opts) ++ [until: until, told: &told/1]
    {us, answer} = :timer.tc(fn -> Persistence.replay(Past.data_dir(opts), Past.world(opts), options) end)
    report = CLI.ok!(answer)
    rate = CLI.si(report.actions * 1_000_000 / max(us, 1))

    if report.differs, do: Mix.raise(sentence(report.differs))

    IO.puts(
      "tick #{report.tick}, from tick #{report.from}: #{CLI.grouped(report.actions)} actions, #{rate}actions/s"
    )

    Past.digest(report.digest)
  end

  defp told({:equal, tick}), do: IO.puts("tick #{tick} equal")
  defp told({:damaged, tick, sentence}), do: IO.puts("tick #{tick} not compared: snapshot #{sentence}")

  defp sentence(%{after: from, tick: tick} = about),
    do: "tick #{tick} differs, in the ticks #{from}..#{tick}: #{Past.place(about)}"
end
