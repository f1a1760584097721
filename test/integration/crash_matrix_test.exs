defmodule GamePlatform.CrashMatrixTest do
  # What was acknowledged is there, whoever is killed, and when. CRASH_SECONDS and CRASH_SEED choose another run.
  use ExUnit.Case, async: false

  alias GamePlatform.CrashMatrix

  @moduletag :tmp_dir
  @moduletag timeout: :infinity

  @seconds String.to_integer(System.get_env("CRASH_SECONDS", "60"))
  @seed String.to_integer(System.get_env("CRASH_SEED", "1"))
  # With one machine's two cores between all of them, they come to about 2,000 actions a second.
  @players 120

  test "the VM and its programs are killed, at rest and at work", %{tmp_dir: dir} do
    tell(CrashMatrix.run(dir: dir, seed: @seed, seconds: div(2 * @seconds, 3), players: @players))
  end

  test "the same while old snapshots are removed, and the log before them", %{tmp_dir: dir} do
    tell(CrashMatrix.run(dir: dir, seed: @seed, seconds: div(@seconds, 3), players: @players, snapshots: 2))
  end

  # How fast it was, nobody is to rely on.
  defp tell(report), do: IO.puts("\n#{CrashMatrix.sentence(report)}")
end
