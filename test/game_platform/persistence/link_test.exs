defmodule GamePlatform.Persistence.LinkTest do
  use ExUnit.Case, async: true

  alias GamePlatform.{NativeNode, NativePeer}
  alias GamePlatform.Persistence.Link

  @moduletag :tmp_dir
  @moduletag :capture_log

  setup context, do: {:ok, name: Module.concat(__MODULE__, "L#{context.line}")}

  defp start(context, more \\ %{}),
    do: start_supervised!({Link, Map.merge(%{name: context.name, dir: context.tmp_dir}, Map.new(more))})

  test "opens the log and answers", context do
    start(context)
    assert Link.call(context.name, :worlds) == {:ok, []}
    assert Link.call(context.name, {:create_world, "main", "meta"}) == :ok
    assert {:ok, %{meta: "meta", marked_tick: -1, complete: true}} = Link.call(context.name, {:world, "main"})
    assert {:error, {:unknown_world, sentence}} = Link.call(context.name, {:world, "none"})
    assert is_binary(sentence)
    assert %{os_pid: os_pid, restarts: 0} = Link.stats(context.name)
    assert NativePeer.alive?(os_pid)
  end

  test "who subscribes is told when it is up, down, and up again", context do
    start(context, subscriber: self())
    assert_receive {:link, :up, first}, 10_000
    # It is told again when it says who it is.
    Link.subscribe(context.name)
    assert {:ok, ref} = Link.request(first, {:create_world, "main", "meta"})
    assert_receive {^ref, :ok}, 5_000
    NativePeer.signal(Link.stats(context.name).os_pid, "KILL")
    assert_receive {:link, :down}, 5_000
    assert_receive {:link, :up, second}, 10_000
    assert second != first
    # Nothing that is for one run gets to another.
    Link.request(first, {:create_world, "lost", "meta"})
    assert {:ok, ref} = Link.request(second, :worlds)
    assert_receive {^ref, {:ok, ["main"]}}, 5_000
  end

  test "another one may subscribe, before and after it is up", context do
    assert Link.subscribe(context.name) == nil
    start(context)
    assert_receive {:link, :up, pid}, 10_000
    {:ok, _} = NativeNode.await_up(context.name)

    Task.await(
      Task.async(fn ->
        assert Link.subscribe(context.name) == pid
        assert_receive {:link, :up, ^pid}, 5_000
      end)
    )
  end

  test "one that hangs is replaced", context do
    start(context, native: [check_ms: 50, hang_checks: 20], subscriber: self())
    assert_receive {:link, :up, first}, 10_000
    NativePeer.signal(Link.stats(context.name).os_pid, "STOP")
    assert_receive {:link, :down}, 20_000
    assert_receive {:link, :up, second}, 10_000
    assert second != first
  end

  test "whoever finds it wrong has it replaced, unless it has been", context do
    start(context, subscriber: self())
    assert_receive {:link, :up, first}, 10_000
    {:ok, _} = NativeNode.await_up(context.name)
    Link.replace(context.name, first, "an answer that cannot be")
    assert_receive {:link, :down}, 5_000
    assert_receive {:link, :up, second}, 10_000
    Link.replace(context.name, first, "late")
    assert {:ok, []} = Link.call(context.name, :worlds)
    refute_received {:link, :down}
    assert is_pid(second)
  end

  test "calls of a link that does not come up, or is gone", context do
    assert Link.call(context.name, :worlds) == {:error, :link_down}
    assert Link.stats(context.name) == nil
    start(context, native: [program: "/no/such/program"])
    assert {:error, {:worker_not_started, %{hint: hint}}} = Link.call(context.name, :worlds)
    assert hint =~ "/no/such/program"
  end

  test "a call that was under way when it died", context do
    start(context, subscriber: self())
    assert_receive {:link, :up, _}, 10_000
    {:ok, _} = NativeNode.await_up(context.name)
    %{os_pid: os_pid} = Link.stats(context.name)
    NativePeer.signal(os_pid, "STOP")
    call = Task.async(fn -> Link.call(context.name, :worlds) end)
    Process.sleep(50)
    NativePeer.signal(os_pid, "KILL")
    assert Task.await(call) == {:error, :link_down}
  end

  describe "for one who reads" do
    test "what there is is told at once, while another writes", context do
      start(context)
      :ok = Link.call(context.name, {:create_world, "main", "meta"})
      assert {:ok, reader} = Link.open(%{dir: context.tmp_dir, mode: :read})
      assert Link.call(reader, :worlds) == {:ok, ["main"]}
      :ok = Link.call(context.name, {:create_world, "second", "meta"})
      assert Link.call(reader, :worlds) == {:ok, ["main", "second"]}
      %{os_pid: os_pid} = Link.stats(reader)
      assert Link.close(reader) == :ok
      refute NativePeer.alive?(os_pid)
      refute_received {:link, _, _}
    end

    test "why there is nothing to read is told at once", context do
      assert {:error, {reason, sentence}} = Link.open(%{dir: Path.join(context.tmp_dir, "none"), mode: :read})
      assert reason == :cannot_open
      assert sentence =~ "none"
      File.write!(Path.join(context.tmp_dir, "events.db"), String.duplicate("no database ", 1000))
      assert {:error, {:corrupt, sentence}} = Link.open(%{dir: context.tmp_dir, mode: :read})
      assert sentence =~ "events.db"
    end

    test "a program that cannot be started", context do
      native = [program: "/no/such/program"]

      assert {:error, {:worker_not_started, _}} =
               Link.open(%{dir: context.tmp_dir, mode: :read, native: native})
    end
  end
end
