defmodule GamePlatform.PowerCutTest do
  # The power goes, and with it what the disk had not written yet: what was acknowledged is there.
  use ExUnit.Case, async: false

  alias GamePlatform.PowerCut.Game

  @moduletag :tmp_dir
  @moduletag :capture_log
  @moduletag timeout: :infinity

  @seed String.to_integer(System.get_env("CUT_SEED", "1"))
  @cuts String.to_integer(System.get_env("CUTS", "15"))

  for {what, snapshots} <- [{"all of its past", 1000}, {"two snapshots", 2}] do
    test "a game that keeps #{what}", %{tmp_dir: dir} do
      :rand.seed(:exsss, @seed)
      records = Game.record(dir, 4_000, unquote(snapshots))
      told = Game.cuts(records, dir, @cuts, unquote(snapshots) == 1000)
      IO.puts("\n#{@cuts} power cuts in #{length(records)} operations: #{told} actions acknowledged before")
    end
  end
end
