defmodule GamePlatform.Persistence.FilesTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Persistence.Files

  doctest GamePlatform.Persistence.Files

  @moduletag :tmp_dir

  test "in place of another one, and of what was left unfinished", %{tmp_dir: dir} do
    path = Path.join(dir, "a")
    File.write!(path, "old, and longer")
    File.write!(path <> ".tmp", "unfinished, and longer than both")
    assert Files.write(path, ["ne", "w"]) == :ok
    assert File.read!(path) == "new"
    assert File.ls!(dir) == ["a"]
  end

  test "nothing is left of a file that cannot be put in its place", %{tmp_dir: dir} do
    path = Path.join(dir, "a")
    File.mkdir!(path)
    assert Files.write(path, "new") == {:error, :eisdir}
    assert File.ls!(dir) == ["a"]
  end

  test "a directory that is not there", %{tmp_dir: dir} do
    assert Files.sync_dir(Path.join(dir, "none")) == {:error, :enoent}
    assert Files.write(Path.join(dir, "none/a"), "") == {:error, :enoent}
  end

  # What the kernel is asked for, as strace sees it in another VM.
  if System.find_executable("strace") do
    test "bytes are on the disk before the name, and the name before the answer", %{tmp_dir: dir} do
      trace = Path.join(dir, "trace")
      path = Path.join(dir, "a")
      script = "IO.inspect(GamePlatform.Persistence.Files.write(#{inspect(path)}, \"new\"))"
      ebin = :game_platform |> :code.lib_dir(:ebin) |> to_string()
      args = ~w(-f -y -e trace=write,writev,pwrite64,fsync,fdatasync,rename,renameat -o) ++ [trace]

      case System.cmd("strace", args ++ ["elixir", "-pa", ebin, "-e", script], stderr_to_stdout: true) do
        {":ok\n", 0} ->
          calls =
            for line <- trace |> File.read!() |> String.split("\n"),
                line =~ dir,
                [_, call] <- [Regex.run(~r/^\d+ +(\w+)\(/, line)],
                do: {call, line}

          assert [{"writev", written}, {"fsync", synced}, {"rename", renamed}, {"fsync", named}] = calls
          assert written =~ "<#{path}.tmp>" and synced =~ "<#{path}.tmp>"
          assert renamed =~ "\"#{path}.tmp\", \"#{path}\""
          assert named =~ "<#{dir}>"

        {refused, _} ->
          # Where containers may not trace.
          assert refused =~ "PTRACE" or refused =~ "ptrace"
      end
    end
  end
end
