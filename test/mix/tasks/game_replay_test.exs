defmodule Mix.Tasks.Game.ReplayTest do
  # Also of `mix game.world`, what is about kept worlds.
  use ExUnit.Case, async: false

  import ExUnit.CaptureIO

  alias GamePlatform.Kept
  alias GamePlatform.Persistence.Snapshots
  alias Mix.Tasks.Game

  @moduletag :tmp_dir
  @moduletag :capture_log

  setup %{tmp_dir: dir} do
    dir = Path.join(dir, "data")
    {:ok, Map.put(Kept.make!(dir, snapshots: [10, 20]), :dir, dir)}
  end

  defp replay(dir, args), do: run(Game.Replay, ["--data-dir", dir, "--backend", "nif" | args])
  defp run(task, args), do: capture_io(fn -> task.run(args) end)
  defp hex(digest), do: Base.encode16(digest, case: :lower)

  test "a line for each snapshot, and the digest", %{dir: dir, digests: digests, last: last} do
    out = replay(dir, ["--world", "main"])
    assert ["tick 10 equal", "tick 20 equal", done, digest] = String.split(out, "\n", trim: true)
    assert done =~ ~r"^tick #{last + 1}, from tick 0: [\d,]+ actions, [\d.]+ [kM]?actions/s$"
    assert digest == "digest #{hex(digests[last + 1])}"
    assert replay(dir, ~w(--until 15)) =~ "\ndigest #{hex(digests[15])}\n"
  end

  test "the first that differs ends it", %{dir: dir, tmp_dir: tmp} do
    other = Path.join(tmp, "other")
    Kept.make!(other, snapshots: [20], random: 12)
    File.cp!(Snapshots.path(other, "main", 20), Snapshots.path(dir, "main", 20))

    out =
      capture_io(fn ->
        assert_raise Mix.Error,
                     ~r/^tick 20 differs, in the ticks 10..20: (chunk \d+, )?(cell \d+, )?.+/,
                     fn ->
                       Game.Replay.run(["--data-dir", dir, "--backend", "nif"])
                     end
      end)

    assert out == "tick 10 equal\n"
  end

  test "one that is damaged is named", %{dir: dir} do
    File.write!(Snapshots.path(dir, "main", 10), "")
    out = replay(dir, [])
    assert out =~ "tick 10 not compared: snapshot #{Snapshots.path(dir, "main", 10)} is damaged: "
    assert out =~ "tick 20 equal\n"
  end

  test "a world as it was", %{dir: dir, digests: digests, tmp_dir: tmp} do
    png = Path.join(tmp, "then.png")
    args = ~w(--at 17 --digest --backend nif --size 64 --data-dir) ++ [dir, "--png", png]

    assert run(Game.World, args) ==
             "tick 17, 642 cells\ndigest #{hex(digests[17])}\npicture #{png}\n"

    assert <<0x89, "PNG", _::binary>> = File.read!(png)
  end

  test "a fork", %{dir: dir, digests: digests, tmp_dir: tmp} do
    to = Path.join(tmp, "fork")
    args = ["fork", "--data-dir", dir, "--to", to, "--at", "17", "--backend", "nif"]

    assert run(Game.World, args) ==
             "world main at tick 17 is in #{to}\ndigest #{hex(digests[17])}\n"

    assert run(Game.World, ["--data-dir", to, "--digest", "--backend", "nif"]) =~ hex(digests[17])
  end

  test "two worlds are compared at the newest tick that both have", %{
    dir: dir,
    digests: digests,
    tmp_dir: tmp
  } do
    to = Path.join(tmp, "fork")
    run(Game.World, ["fork", "--data-dir", dir, "--to", to, "--at", "17", "--backend", "nif"])
    file = Snapshots.path(to, "main", 17)
    equal = "equal at tick 17\ndigest #{hex(digests[17])}\n"

    for {a, b} <- [{dir, to}, {to, dir}, {file, dir}, {file, file}],
        do: assert(run(Game.World, ["--backend", "nif", "--compare", a, b]) == equal)

    # A file decides when.
    assert run(Game.World, ["--compare", dir, Snapshots.path(dir, "main", 10), "--backend", "nif"]) =~
             "equal at tick 10\n"

    other = Path.join(tmp, "other")
    Kept.make!(other, random: 12)

    assert_raise Mix.Error, ~r/^#{dir} and #{other} differ: (chunk \d+, )?(cell \d+, )?.+$/, fn ->
      Game.World.run(["--compare", dir, other, "--at", "9", "--backend", "nif"])
    end

    for {args, sentence} <- [
          {["--compare", dir], "--compare takes two data directories or snapshot files"},
          {["--compare", dir, "--at"],
           "--compare takes two data directories or snapshot files, and --at is none"},
          {["--compare", dir, tmp <> "/none"], "#{tmp}/none: no such file or directory"},
          {["--compare", dir, file, "--at", "3"],
           "--at is for data directories, and #{file} is none: leave it out"},
          {["--compare", dir, to, "--world", "x"], "#{dir} has no world \"x\": those that it has are main"}
        ] do
      assert %Mix.Error{message: ^sentence} = catch_error(run(Game.World, args))
    end
  end

  test "what is wrong is one line", %{dir: dir, tmp_dir: tmp} do
    for {task, args, sentence} <- [
          {Game.Replay, ["--data-dir", dir, "--world", "nain"],
           "#{dir} has no world \"nain\": those that it has are main"},
          {Game.Replay, ["--data-dir", tmp <> "/none"],
           "data directory #{tmp}/none does not exist: give one that a server has used, with --data-dir"},
          {Game.Replay, ["--data-dir", dir, "--until", "soon"],
           "--until is \"soon\", expected a whole number in 0..9007199254740991"},
          {Game.Replay, ["--data-dir", dir, "--world", "No"],
           "world is \"No\", expected the id of a world, 1..64 of the characters a-z, 0-9, _ and -"},
          {Game.World, ["--data-dir", dir, "--at", "999"],
           ~r/^tick 999 of world main is not kept: #{dir} has 0..\d+$/},
          {Game.World, ["--data-dir", dir, "--ticks", "3"],
           "--ticks is for a new world: leave it out with --data-dir, --world and --at"},
          {Game.World, ["fork", "--data-dir", dir], ~r/^--to is missing: the directory to make of it/},
          {Game.World, ["fork", "--data-dir", dir, "--to", dir],
           "--to is #{dir}, where the world is: choose another directory"}
        ] do
      error = catch_error(run(task, args))
      assert %Mix.Error{message: message} = error
      if is_binary(sentence), do: assert(message == sentence), else: assert(message =~ sentence)
      refute message =~ "\n"
    end
  end
end
