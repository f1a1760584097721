defmodule GamePlatform.Native.LockTest do
  use ExUnit.Case, async: true

  alias GamePlatform.{Eventually, Native, OtherVM}

  @moduletag :tmp_dir

  setup %{tmp_dir: dir}, do: {:ok, path: Path.join(dir, "lock")}

  defp own, do: String.to_integer(System.pid())

  test "one has it at a time, and its number is in the file", %{path: path} do
    assert {:ok, lock} = Native.lock_take(path)
    assert File.read!(path) == System.pid() <> "\n"
    assert Native.lock_take(path) == {:error, {:held, own()}}
    assert Native.lock_release(lock) == :ok
    assert {:ok, again} = Native.lock_take(path)
    # An old one has nothing to give back any more.
    assert Native.lock_release(lock) == :ok
    assert Native.lock_take(path) == {:error, {:held, own()}}
    assert Native.lock_release(again) == :ok
  end

  test "a longer number of another holder is written over", %{path: path} do
    File.write!(path, "123456789012\n and more")
    assert {:ok, _} = Native.lock_take(path)
    assert File.read!(path) == System.pid() <> "\n"
  end

  test "it ends with the process that took it, whoever has its state", %{path: path} do
    test = self()

    {pid, monitor} =
      spawn_monitor(fn ->
        send(test, {:taken, Native.lock_take(path)})
        receive(do: (:end -> :ok))
      end)

    assert_receive {:taken, {:ok, lock}}
    assert Native.lock_take(path) == {:error, {:held, own()}}
    send(pid, :end)
    assert_receive {:DOWN, ^monitor, _, _, _}
    Eventually.wait_until(fn -> match?({:ok, _}, Native.lock_take(path)) end)
    assert is_reference(lock)
  end

  test "another VM has it until it dies, and no program that it started keeps it", %{path: path} do
    other =
      OtherVM.start("""
      {:ok, lock} = GamePlatform.Native.lock_take(#{inspect(path)})
      port = Port.open({:spawn_executable, "/bin/sleep"}, args: ["60"])
      {:os_pid, sleeper} = Port.info(port, :os_pid)
      tell.(%{os_pid: String.to_integer(System.pid()), sleeper: sleeper})
      IO.gets("")
      {lock, port}
      """)

    assert Native.lock_take(path) == {:error, {:held, other.os_pid}}
    System.cmd("/bin/sh", ["-c", "kill -KILL #{other.os_pid}"])
    OtherVM.await_exit(other.port)
    assert {:ok, _} = Native.lock_take(path)
    assert File.read!(path) == System.pid() <> "\n"
    System.cmd("/bin/sh", ["-c", "kill -KILL #{other.sleeper}"], stderr_to_stdout: true)
  end

  test "a file that cannot be one says why", %{tmp_dir: dir} do
    assert {:error, {:no_lock, sentence}} = Native.lock_take(dir)
    assert sentence =~ "#{dir} cannot be opened: Is a directory"
    assert {:error, {:no_lock, sentence}} = Native.lock_take(Path.join(dir, "no/lock"))
    assert sentence =~ "No such file"
  end

  test "a holder that has written no number", %{path: path} do
    # As one that was stopped between the two.
    assert {:ok, lock} = Native.lock_take(path)
    File.write!(path, "")
    assert Native.lock_take(path) == {:error, {:held, nil}}
    File.write!(path, "no number\n")
    assert Native.lock_take(path) == {:error, {:held, nil}}
    # Until now, whatever is collected.
    Native.lock_release(lock)
  end
end
