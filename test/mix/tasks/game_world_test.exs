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

  describe "a file of actions" do
    @tiny ~w(--frequency 8 --backend beam --ruleset priv/rulesets/tiny.toml --ticks 20 --digest)

    defp play(dir, lines, args \\ @tiny) do
      path = Path.join(dir, "a.jsonl")
      File.write!(path, lines)
      String.replace(run(args ++ ["--actions", path]), path, "FILE")
    end

    @tag :tmp_dir
    test "is played at its ticks, and tells what was refused", %{tmp_dir: dir} do
      lines = """
      {"by": "ann", "action": "join", "cell": 300}
      {"by": "ann", "action": "claim", "cell": 300, "action_id": "mine"}

      {"tick": 3, "by": "bob", "action": "join", "cell": 301}
      {"by": "bob", "action": "release", "cell": 300}
      {"by": "eve", "action": "release", "cell": 300}
      {"tick": 5, "by": "bob", "action": "move", "cell": 302}
      {"tick": 19, "by": "bob", "action": "move", "cell": 303}
      """

      assert play(dir, lines) =~ """
             FILE:6: release refused: unknown_player. No player of that name is in this world: join first, or look at how the name is written.
             FILE:5: release refused in tick 4: not_yours. Cell 300 is ann's: ask ann for a grant, or use a cell of your own.
             7 actions: 4 applied, 2 refused, 1 unfinished
             tick 20, 642 cells, \
             """

      # The same again is the same world, another tick another.
      digest = fn lines -> dir |> play(lines) |> String.split("digest ") |> List.last() end
      assert digest.(lines) == digest.(lines)
      assert digest.(lines) != digest.(String.replace(lines, "19", "18"))
    end

    @tag :tmp_dir
    test "that is wrong names the line and what is expected", %{tmp_dir: dir} do
      for {lines, expected} <- [
            {~s({"by": "ann"}\n{"by"), ~r/a.jsonl:2: /},
            {"[]", ~r/a.jsonl:1: expected an object, such as/},
            {~s({"tick": 20}),
             ~r/a.jsonl:1: tick is 20, expected a whole number that is not below 0, .* and below 20, /},
            {~s({"tick": 3}\n{"tick": 2}),
             ~r/a.jsonl:2: tick is 2, expected a whole number that is not below 3/},
            {~s({"by": "ann", "action": "join", "cell": 700}),
             ~r/a.jsonl:1: cell is 700, expected a cell id in 0..641$/},
            {~s({"by": "ann", "action": "fly"}), ~r/a.jsonl:1: action is "fly", expected one of join/}
          ] do
        assert_raise Mix.Error, expected, fn -> play(dir, lines) end
      end

      assert_raise Mix.Error, ~r/nowhere.jsonl: no such file/, fn ->
        run(@tiny ++ ~w(--actions /nowhere.jsonl))
      end
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
