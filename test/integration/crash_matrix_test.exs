defmodule GamePlatform.CrashMatrixTest do
  # What was acknowledged is there, whoever is killed, and when.
  use ExUnit.Case, async: false

  alias GamePlatform.CrashMatrix

  @moduletag :tmp_dir
  @moduletag timeout: 300_000

  @seconds String.to_integer(System.get_env("CRASH_SECONDS", "60"))
  @seed String.to_integer(System.get_env("CRASH_SEED", "1"))

  test "the VM and its programs are killed, at rest and at 2,000 actions a second", %{tmp_dir: dir} do
    report = CrashMatrix.run(dir: dir, seed: @seed, seconds: @seconds, players: 120)
    IO.puts("\n#{CrashMatrix.sentence(report)}")
  end
end
