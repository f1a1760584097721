defmodule GamePlatform.Compute.MemoryTest do
  use ExUnit.Case, async: true

  alias GamePlatform.Compute.{Beam, Memory, Nif}

  @meminfo "MemTotal: 2000 kB\nMemFree: 10 kB\nMemAvailable:    1000 kB\n"

  defp root(files) do
    root = Path.join(System.tmp_dir!(), "memory_#{System.unique_integer([:positive])}")
    on_exit(fn -> File.rm_rf!(root) end)

    for {path, text} <- files do
      File.mkdir_p!(Path.dirname(Path.join(root, path)))
      File.write!(Path.join(root, path), text)
    end

    root
  end

  test "the least of machine and control group counts" do
    assert Memory.free(root([])) == :unknown
    assert Memory.free(root([{"proc/meminfo", @meminfo}])) == 1_024_000

    for {limit, usage} <- [
          {"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"},
          {"sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes"}
        ] do
      tight = [{"proc/meminfo", @meminfo}, {limit, "5000\n"}, {usage, "2000\n"}]
      assert Memory.free(root(tight)) == 3000
      # The page cache is given up when it is needed.
      stat = {Path.join(Path.dirname(limit), "memory.stat"), "inactive_file 500\ntotal_inactive_file 500\n"}
      assert Memory.free(root([stat | tight])) == 3500
      assert Memory.free(root([{"proc/meminfo", @meminfo}, {limit, "max\n"}, {usage, "2000\n"}])) == 1_024_000
      assert Memory.free(root([{limit, "5000\n"}, {usage, "9000\n"}])) == 0
    end
  end

  test "the process's own control group and its ancestors count, and its own limit" do
    app = "sys/fs/cgroup/system.slice/app.service"
    slice = "sys/fs/cgroup/system.slice"

    files = [
      {"proc/meminfo", @meminfo},
      {"proc/self/cgroup", "0::/system.slice/app.service\n"},
      {app <> "/memory.max", "9000"},
      {app <> "/memory.current", "1000"}
    ]

    assert Memory.free(root(files)) == 8000
    tighter = [{slice <> "/memory.max", "7000"}, {slice <> "/memory.current", "1000"}]
    assert Memory.free(root(files ++ tighter)) == 6000

    v1 = [
      {"proc/self/cgroup", "5:cpu,memory:/jobs/a\n3:pids:/jobs/a\n"},
      {"sys/fs/cgroup/memory/jobs/a/memory.limit_in_bytes", "4000"},
      {"sys/fs/cgroup/memory/jobs/a/memory.usage_in_bytes", "1000"}
    ]

    assert Memory.free(root(v1)) == 3000

    limited = [
      {"proc/self/limits", "Limit  Soft Limit  Hard Limit  Units\nMax address space  50000  50000  bytes\n"},
      {"proc/self/status", "Name: beam.smp\nVmSize:      20 kB\n"}
    ]

    assert Memory.free(root(limited)) == 29_520

    assert Memory.free(root([{"proc/self/limits", "Max address space   unlimited  unlimited  bytes"}])) ==
             :unknown
  end

  test "what is unknown is allowed, what is known is kept to" do
    assert Memory.check(10, 10) == :ok
    assert Memory.check(11, 10) == {:error, {:out_of_memory, %{needed_bytes: 11, available_bytes: 10}}}
  end

  test "a native world's estimate holds its two versions of three bytes a cell" do
    assert Nif.bytes(1000) in 60_000_012..66_000_000
    assert Beam.bytes(1000) > Nif.bytes(1000)
  end
end
