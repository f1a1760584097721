defmodule GamePlatform.CrashesSoakTest do
  # SOAK_CRASHES kills of a game's VM and of its programs, and SOAK_CUTS power cuts; SOAK_SEED chooses others.
  use ExUnit.Case, async: false

  import GamePlatform.SoakReport

  alias GamePlatform.{CrashMatrix, PowerCut}

  @moduletag :soak
  @moduletag :tmp_dir
  @moduletag timeout: :infinity

  @crashes String.to_integer(System.get_env("SOAK_CRASHES", "1000"))
  @seed String.to_integer(System.get_env("SOAK_SEED", "1"))
  # Kills of one game; every other one forgets its past.
  @each 125
  @players 120

  setup_all do
    begin()
  end

  test "kills of the VM and of its programs", %{tmp_dir: dir} do
    note(31, "crashes: failed")

    reports =
      for {kills, n} <- Enum.with_index(games(@crashes)) do
        own = Path.join(dir, "#{n}")
        File.mkdir!(own)
        snapshots = if rem(n, 2) == 0, do: 1_000, else: 2
        opts = [dir: own, seed: @seed + n, kills: kills, players: @players, snapshots: snapshots]
        report = CrashMatrix.run(opts)
        IO.puts("\n#{CrashMatrix.sentence(report)}")
        File.rm_rf!(own)
        report
      end

    kills = reports |> Enum.map(& &1.kills) |> Enum.reduce(&Map.merge(&1, &2, fn _, a, b -> a + b end))
    by = fn index -> kills |> Enum.group_by(&elem(elem(&1, 0), index), &elem(&1, 1)) end

    told = fn counts ->
      Enum.map_join(counts, ", ", fn {what, counts} -> "#{Enum.sum(counts)} #{what}" end)
    end

    sum = fn key -> reports |> Enum.map(& &1[key]) |> Enum.sum() end

    note(
      31,
      "#{sum.(:count)} times a program of a game was killed under #{@players} players (#{told.(by.(0))}; #{told.(by.(1))}; " <>
        "#{told.(by.(2))}): #{sum.(:logged)} actions acknowledged as logged, at up to #{Enum.max(Enum.map(reports, & &1.best))} a " <>
        "second, are in the log, and each has one outcome in it; #{sum.(:snapshots)} snapshots and the final state of " <>
        "#{length(reports)} games agree with the log played again from nothing"
    )
  end

  @cuts String.to_integer(System.get_env("SOAK_CUTS", "400"))

  @tag capture_log: true
  test "power cuts", %{tmp_dir: dir} do
    note(32, "power cuts: failed")
    :rand.seed(:exsss, @seed)

    games =
      for snapshots <- [1_000, 2] do
        own = Path.join(dir, "#{snapshots}")
        File.mkdir!(own)
        records = PowerCut.Game.record(own, 10_000, snapshots)
        {length(records), PowerCut.Game.cuts(records, own, div(@cuts, 2), snapshots == 1_000)}
      end

    {operations, told} = Enum.unzip(games)

    note(
      32,
      "#{@cuts} power cuts at any of #{Enum.sum(operations)} operations on the files of two games, before which #{Enum.sum(told)} " <>
        "actions had been acknowledged (the same ones again and again): each game was brought back and is what its log makes of it"
    )
  end

  defp games(kills) when kills <= @each, do: [kills]
  defp games(kills), do: [@each | games(kills - @each)]
end
