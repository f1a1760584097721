defmodule Mix.Tasks.Game.Bots do
  @shortdoc "Players that are programs: they build factories through the public API"
  @moduledoc """
  Has programs play: each joins over a WebSocket, as every client does, builds the first factory of the guide near its
  home (ore, iron, gears, bricks), feeds it, and goes on building.

      mix game.bots --players 20 --minutes 5

  ## Options

    * `--players N`: how many, 1..10000, default 5
    * `--minutes M`: for how long, default 2; a part of a minute will do
    * `--url URL`: where, such as `#{GamePlatform.Bots.default_url()}`, which is taken by itself if a server runs there;
      if none does, one is started on a free port for the bots alone, with the options below
    * `--token TOKEN`: for a server that asks for one. All bots then play as the same player, if the token names one
  #{GamePlatform.Config.flags([:seed, :frequency, :ups, :backend, :threads, :ruleset])}

  Every ten seconds it prints what happened since the line before and in all: actions sent in a second; of all, how many
  were accepted, and refused by which code; outcomes; gears made; machines that stand; and, of a server of its own, the
  tick and how many were missed. It fails if nobody has made a gear after 3,000 ticks or more.
  """
  use Mix.Task

  alias GamePlatform.{Bots, CLI, Config}

  @requirements ["app.start"]
  @server [:seed, :frequency, :ups, :backend, :threads, :ruleset]
  # Fifty seconds are what the guide needs; a bot may have a way to go for its rock.
  @gear_ticks 3_000

  @impl true
  def run(args) do
    own = [players: :string, minutes: :string, url: :string, token: :string]
    given = CLI.parse!("mix game.bots", args, @server, own)
    players = CLI.number!("--players", given[:players] || "5", 10_000)
    minutes = minutes!(given[:minutes] || "2")
    server = CLI.ok!(Config.parse(:server, Map.take(given, @server)))
    Logger.configure(level: :warning)

    {:ok, last} = Agent.start_link(fn -> %{seconds: 0, sent: 0} end)

    print = fn report ->
      before = Agent.get_and_update(last, &{&1, report})
      IO.puts(line(report, before))
    end

    report =
      [players: players, ms: round(minutes * 60_000), url: given[:url], token: given[:token]]
      |> Keyword.merge(server: Map.to_list(server), print: print)
      |> Bots.run()
      |> CLI.ok!()

    IO.puts("in all: " <> line(report, %{seconds: 0, sent: 0}))
    ticks = report.ticks || round(minutes * 60 * (server[:ups] || 20))

    judge!(report, ticks)
  end

  @doc false
  def judge!(%{makers: 0}, ticks) when ticks >= @gear_ticks,
    do: Mix.raise("no bot has made a gear in #{ticks} ticks")

  def judge!(_, _), do: :ok

  defp minutes!(text) do
    case Float.parse(text) do
      {minutes, ""} when minutes > 0 and minutes <= 100_000 -> minutes
      _ -> Mix.raise("--minutes is #{inspect(text)}, expected a number above 0")
    end
  end

  @doc false
  def line(report, before) do
    rate = (report.sent - before.sent) / max(report.seconds - before.seconds, 1)

    [
      "#{report.seconds} s",
      "#{report.players} bots",
      "#{Float.round(rate, 1)} actions/s",
      "accepted #{report.accepted} of #{report.sent}",
      counts("refused", report.refused),
      "applied #{report.applied}",
      counts("failed", report.failed),
      if(report.unheard > 0, do: "unheard #{report.unheard}"),
      "gears #{report.gears} by #{report.makers}",
      "machines #{report.machines}",
      counts("lost", report.lost),
      if(report.ticks, do: "tick #{report.ticks} missed #{report.missed}")
    ]
    |> Enum.reject(&is_nil/1)
    |> Enum.join("  ")
  end

  defp counts(_, counts) when counts == %{}, do: nil

  defp counts(name, counts) do
    listed =
      counts |> Enum.sort_by(fn {_, n} -> -n end) |> Enum.map_join(", ", fn {code, n} -> "#{code} #{n}" end)

    "#{name} #{counts |> Map.values() |> Enum.sum()} (#{listed})"
  end
end
