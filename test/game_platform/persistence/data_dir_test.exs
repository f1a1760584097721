defmodule GamePlatform.Persistence.DataDirTest do
  use ExUnit.Case, async: true

  import Bitwise

  alias GamePlatform.OtherVM
  alias GamePlatform.Persistence.DataDir

  doctest GamePlatform.Persistence.DataDir

  @moduletag :tmp_dir

  # Doctests have no directory.
  setup context, do: {:ok, dir: Path.join(context[:tmp_dir] || "", "data")}

  defp refused(answer) do
    assert {:error, {:data_dir, %{reason: reason, dir: _, hint: _}} = error} = answer
    {reason, DataDir.describe(error)}
  end

  test "is made for its user alone, with a version and a lock", %{dir: dir} do
    assert {:ok, data} = DataDir.open(dir)
    assert (File.stat!(dir).mode &&& 0o777) == 0o700
    assert File.read!(Path.join(dir, "version")) == "1\n"
    assert File.read!(Path.join(dir, "lock")) == System.pid() <> "\n"
    assert data.path == dir
    assert DataDir.log(data) == Path.join(dir, "events.db")
    assert DataDir.close(data) == :ok
    assert DataDir.close(data) == :ok
    assert {:ok, data} = DataDir.open(dir)
    DataDir.close(data)
  end

  test "directories above it are made, too", %{dir: dir} do
    assert {:ok, _} = DataDir.open(Path.join(dir, "deep/er"))
  end

  test "another process of this VM is told so", %{dir: dir} do
    {:ok, data} = DataDir.open(dir)
    assert {:in_use, sentence} = refused(DataDir.open(dir))
    # Had it been collected as garbage, the directory would be free.
    DataDir.close(data)

    assert sentence ==
             "data directory #{dir} is in use by this process (#{System.pid()}) already: stop that one, or choose " <>
               "another with --data-dir"
  end

  test "it is free when the process that opened it has ended", %{dir: dir} do
    {:ok, data} = fn -> DataDir.open(dir) end |> Task.async() |> Task.await()
    assert {:ok, again} = DataDir.open(dir)
    assert data.lock != again.lock
  end

  test "another VM is named by its number, and reading goes on", %{dir: dir} do
    other =
      OtherVM.start("""
      {:ok, data} = GamePlatform.Persistence.DataDir.open(#{inspect(dir)})
      tell.(%{os_pid: String.to_integer(System.pid()), data: data.path})
      IO.gets("")
      """)

    assert {:in_use, sentence} = refused(DataDir.open(dir))

    assert sentence ==
             "data directory #{dir} is in use by process #{other.os_pid}: stop that one, or choose another with --data-dir"

    assert {:ok, %{lock: nil, version: 1}} = DataDir.read(dir)
    System.cmd("/bin/sh", ["-c", "kill -KILL #{other.os_pid}"])
    OtherVM.await_exit(other.port)
    assert {:ok, _} = DataDir.open(dir)
  end

  test "what was left unfinished is removed, and nothing else", %{dir: dir} do
    {:ok, data} = DataDir.open(dir)
    world = Path.join(dir, "worlds/main")
    File.mkdir_p!(world)
    names = ["version.tmp", "worlds/main/0000000000000040.gps.tmp", "worlds/main/0000000000000030.gps"]
    for name <- names, do: File.write!(Path.join(dir, name), "")
    DataDir.close(data)
    assert {:ok, _} = DataDir.open(dir)
    assert for(name <- names, do: File.exists?(Path.join(dir, name))) == [false, false, true]
  end

  test "a name that a pattern would read otherwise", %{dir: dir} do
    dir = dir <> "[a]{b}*?"
    {:ok, data} = DataDir.open(dir)
    File.write!(Path.join(dir, "version.tmp"), "")
    DataDir.close(data)
    {:ok, _} = DataDir.open(dir)
    refute File.exists?(Path.join(dir, "version.tmp"))
  end

  test "a newer version is left alone", %{dir: dir} do
    File.mkdir!(dir)
    File.write!(Path.join(dir, "version"), "2\n")
    File.write!(Path.join(dir, "version.tmp"), "")

    for answer <- [DataDir.open(dir), DataDir.read(dir)] do
      assert {:newer_version, sentence} = refused(answer)

      assert sentence ==
               "data directory #{dir} has version 2, and this release reads up to 1: use the release that wrote " <>
                 "it, or choose another with --data-dir"
    end

    assert Enum.sort(File.ls!(dir)) == ["version", "version.tmp"]
  end

  test "a version that is none", %{dir: dir} do
    File.mkdir!(dir)

    for text <- ["", "one", "0", "-1", "1 2", <<0xFF, 0, 1>>] do
      File.write!(Path.join(dir, "version"), text)
      assert {:bad_version, sentence} = refused(DataDir.open(dir))
      assert sentence =~ "which is none: restore the file `version` from a backup"
      assert {:bad_version, _} = refused(DataDir.read(dir))
    end
  end

  test "a data directory without its version is not taken for a new one", %{dir: dir} do
    {:ok, data} = DataDir.open(dir)
    DataDir.close(data)
    File.write!(Path.join(dir, "events.db"), "")
    File.rm!(Path.join(dir, "version"))
    assert {:no_version, sentence} = refused(DataDir.open(dir))
    assert sentence =~ "has no file `version`"
    assert {:no_version, _} = refused(DataDir.read(dir))
    refute File.exists?(Path.join(dir, "version"))
  end

  test "a directory that holds other files is left alone", %{dir: dir} do
    File.mkdir!(dir)
    for name <- ~w(d c b a worlds), do: File.write!(Path.join(dir, name), "")
    assert {:holds_other_files, sentence} = refused(DataDir.open(dir))
    assert sentence =~ "holds other files (a, b, c, 1 more): give an empty one"
    assert Enum.sort(File.ls!(dir)) == ~w(a b c d worlds)
  end

  test "an open that was cut short, and what file systems have, do not matter", %{dir: dir} do
    File.mkdir!(dir)
    for name <- ~w(lock version.tmp .gitkeep), do: File.write!(Path.join(dir, name), "")
    File.mkdir!(Path.join(dir, "lost+found"))
    assert {:ok, _} = DataDir.open(dir)
  end

  test "what is no directory", %{dir: dir} do
    File.write!(dir, "")
    assert {:not_a_directory, sentence} = refused(DataDir.open(dir))
    assert sentence =~ "is no directory: remove the file of that name"
    assert {:not_a_directory, _} = refused(DataDir.read(dir))
    assert {:not_a_directory, _} = refused(DataDir.open(Path.join(dir, "below")))
  end

  test "reading makes nothing", %{dir: dir} do
    assert {:no_such_directory, sentence} = refused(DataDir.read(dir))
    assert sentence =~ "does not exist: give one that a server has used"
    refute File.exists?(dir)
    File.mkdir!(dir)
    assert {:no_version, _} = refused(DataDir.read(dir))
    assert File.ls!(dir) == []
  end

  test "a place where nothing can be made" do
    assert {:cannot_create, sentence} = refused(DataDir.open("/proc/data"))
    assert sentence =~ "data directory /proc/data cannot be made"
  end
end
