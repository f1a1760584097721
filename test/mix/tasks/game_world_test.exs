defmodule Mix.Tasks.Game.WorldTest do
  use ExUnit.Case, async: false

  import ExUnit.CaptureIO

  defp run(args), do: capture_io(fn -> Mix.Tasks.Game.World.run(args) end)

  test "prints the tick, the rate and the golden digest, on every backend" do
    %{digest: digest} = Enum.find(GamePlatform.Golden.digests(), &(&1.seed == 7 and &1.frequency == 24))
    args = ~w(--seed 7 --frequency 24 --ticks 200 --digest)

    for more <- [[], ~w(--threads 2), ~w(--backend nif), ~w(--backend beam)] do
      assert [first, "digest " <> hex] = String.split(run(args ++ more), "\n", trim: true)
      assert first =~ ~r/^tick 200, 5,762 cells, [\d.]+ [kMG]? ?cells\/s$/
      assert Base.decode16!(hex, case: :lower) == digest
    end
  end

  @tag :tmp_dir
  test "writes a picture", %{tmp_dir: dir} do
    path = Path.join(dir, "world.png")

    assert run(["--frequency", "4", "--png", path, "--size", "64", "--longitude", "-10.5"]) =~
             "picture #{path}"

    assert <<0x89, "PNG\r\n", 0x1A, "\n", _::32, "IHDR", 64::32, 64::32, _::binary>> = File.read!(path)

    assert_raise Mix.Error, ~r/no such file/, fn ->
      run(["--frequency", "2", "--png", dir <> "/no/where.png"])
    end
  end

  test "bad input ends with one line that says what is expected" do
    for {args, line} <- [
          {~w(--frequency 0), "frequency is \"0\", expected an integer in 1..4096"},
          {~w(--seed -1), "seed is \"-1\", expected an integer in 0..18446744073709551615"},
          {~w(--backend fast), "backend is \"fast\", expected node, nif or beam"},
          {~w(--ticks many), "--ticks is \"many\", expected a whole number in 0..9007199254740991"},
          {~w(--frequency), "--frequency is unknown or lacks its value; see `mix help game.world`"},
          {~w(--fast), "--fast is unknown or lacks its value; see `mix help game.world`"},
          {~w(fast), "\"fast\" is not understood; see `mix help game.world`"},
          {~w(--ruleset /nowhere.toml), "/nowhere.toml: no such file or directory"}
        ] do
      assert_raise Mix.Error, line, fn -> run(args) end
    end
  end
end
