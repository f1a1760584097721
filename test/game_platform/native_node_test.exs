defmodule GamePlatform.NativeNodeTest do
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog
  import GamePlatform.Eventually

  alias GamePlatform.{NativeNode, NativePeer}

  @moduletag :capture_log
  # Only to notice a test that hangs.
  @watchdog 30_000

  setup_all do
    NativePeer.path()
    :ok
  end

  defp start(flags \\ [], opts \\ []) do
    start_supervised!({NativeNode, NativePeer.options(flags, opts)}, id: make_ref(), restart: :temporary)
  end

  defp await_up!(server) do
    assert {:ok, up} = NativeNode.await_up(server, @watchdog)
    assert_receive {:handle_up, %{generation: generation} = run} when generation == up.generation
    {up, run}
  end

  defp await_down(generation) do
    assert_receive {:handle_down, ^generation, reason}, @watchdog
    reason
  end

  # Nothing is left of a run.
  defp alone?(run), do: {NativePeer.alive?(run.os_pid), File.ls(run.dir)} == {false, {:error, :enoent}}

  test "a program comes up, answers calls, and is gone after stop" do
    server = start()
    {up, run} = await_up!(server)
    assert %{generation: 1, os_pid: os_pid, node: node} = up
    assert up.up.run == run
    assert GenServer.call(run.server, {:echo, [1, -1, {:a, "b"}]}) == [1, -1, {:a, "b"}]
    assert Node.ping(node) == :pong
    assert node in Node.list(:hidden) and node not in Node.list()
    assert %{state: :up, os_pid: ^os_pid, node: ^node, generation: 1, restarts: 0} = NativeNode.info(server)
    # The socket is gone once the peer is connected.
    refute File.exists?(Path.join(run.dir, "dist.sock"))
    assert Bitwise.band(File.stat!(run.dir).mode, 0o777) == 0o700

    monitor = Process.monitor(run.server)
    assert NativeNode.stop(server) == :ok
    assert alone?(run)
    assert await_down(1) == :stopped
    assert_receive {:DOWN, ^monitor, _, _, _}, @watchdog
    assert NativeNode.await_up(server) == {:error, :worker_down}
  end

  test "a killed program is replaced after its handler has been told" do
    server = start()
    {up, run} = await_up!(server)
    NativePeer.signal(up.os_pid, "KILL")
    reason = await_down(1)
    assert reason in [{:exit_status, 137}, :connection_lost]
    # Told once, and before the next one is up.
    {next, _} = await_up!(server)
    assert next.generation == 2 and next.os_pid != up.os_pid
    refute_received {:handle_down, _, _}
    assert alone?(run)
    assert %{restarts: 1, last_exit: ^reason} = NativeNode.info(server)
  end

  test "a stopped program is missed, killed and replaced; waking it changes nothing" do
    server = start([], hang_checks: 3)
    {up, run} = await_up!(server)
    NativePeer.signal(up.os_pid, "STOP")
    assert await_down(1) == :hung
    assert alone?(run)
    NativePeer.signal(up.os_pid, "CONT")
    {next, run} = await_up!(server)
    assert next.generation == 2
    assert GenServer.call(run.server, {:echo, 1}) == 1
    assert %{state: :up, generation: 2} = NativeNode.info(server)
  end

  test "a program that says it works and does not is hung; an idle one is not" do
    start(["--stuck"], hang_checks: 2)
    assert await_down(1) == :hung

    server = start([], args: [], hang_checks: 1, check_ms: 1)
    {%{generation: generation}, _} = await_up!(server)
    Process.sleep(50)
    assert %{state: :up, generation: ^generation} = NativeNode.info(server)
  end

  test "the process that watches may be killed: its program, even a stopped one, is dead before there is another" do
    name = :"native_#{System.unique_integer([:positive])}"
    options = Keyword.put(NativePeer.options([], []), :name, name)
    {:ok, supervisor} = Supervisor.start_link([{NativeNode, options}], strategy: :one_for_one)
    {up, first_run} = await_up!(name)
    NativePeer.signal(up.os_pid, "STOP")
    first = Process.whereis(name)
    Process.exit(first, :kill)
    wait_until(fn -> Process.whereis(name) not in [nil, first] end)
    {next, run} = await_up!(name)
    assert next.os_pid != up.os_pid
    assert alone?(first_run)
    Supervisor.stop(supervisor)
    assert alone?(run)
  end

  test "a corrupt program is replaced; a report on an earlier one is ignored" do
    server = start()
    {up, _} = await_up!(server)
    NativeNode.report_corrupt(server, up.generation, :bad_magic)
    assert await_down(1) == {:corrupt, :bad_magic}
    {next, _} = await_up!(server)
    NativeNode.report_corrupt(server, up.generation, :late)
    assert %{state: :up, generation: 2, os_pid: os_pid} = NativeNode.info(server)
    assert os_pid == next.os_pid
  end

  test "a program that ends by itself is started again, ever later, until it is healthy" do
    dir = make_dir()
    # Misbehaves while the file is there.
    program = Path.join(dir, "flaky")
    bad = Path.join(dir, "bad")
    File.write!(bad, "")
    real = NativePeer.path()
    File.write!(program, "#!/bin/sh\nif [ -e '#{bad}' ]; then read -r _; exit 7; fi\nexec '#{real}' \"$@\"\n")
    File.chmod!(program, 0o755)

    server = start([], program: program, healthy_ms: 20, backoff: {1, 8})
    wait_until(fn -> NativeNode.info(server).generation > 5 end)
    assert %{last_exit: {:exit_status, 7}, backoff_ms: 8} = NativeNode.info(server)
    assert NativeNode.await_up(server, 1) == {:error, :worker_down}
    refute_received {:handle_up, _}

    File.rm!(bad)
    {up, run} = await_up!(server)
    wait_until(fn -> NativeNode.info(server).backoff_ms == 0 end)
    NativePeer.signal(up.os_pid, "KILL")
    await_down(up.generation)
    {next, _} = await_up!(server)
    assert next.generation == up.generation + 1
    assert alone?(run)
  end

  test "whatever keeps a program from serving ends the attempt" do
    for {flags, opts, expected} <- [
          {["--never-ready"], [start_timeout_ms: 300], :start_timeout},
          {["--hang"], [start_timeout_ms: 300], :start_timeout},
          {["--exit-first", "3"], [], {:exit_status, 3}},
          {["--exit", "4"], [], {:exit_status, 4}},
          {[], [server: :nobody], :refused_by_handler}
        ] do
      server = start(flags, [backoff: {100_000, 100_000}] ++ opts)
      wait_until(fn -> NativeNode.info(server).last_exit != nil end)

      case NativeNode.info(server).last_exit do
        {:refused_by_handler, _} -> assert expected == :refused_by_handler
        # Ended before it was given the cookie.
        {:input_closed, :epipe} -> assert expected == {:exit_status, 3}
        last -> assert last == expected
      end

      NativeNode.stop(server)
      refute_received {:handle_down, _, _}
    end
  end

  test "a file that is missing or no program is reported with what to do, and tried again" do
    dir = make_dir()
    program = Path.join(dir, "later")
    server = start([], program: program)

    assert {:error, {:worker_not_started, %{reason: :enoent, hint: hint}}} = NativeNode.await_up(server)
    assert hint =~ program
    File.write!(program, "")
    wait_until(fn -> match?({:worker_not_started, %{reason: :eacces}}, NativeNode.info(server).last_exit) end)
    File.rm!(program)
    File.ln_s!(NativePeer.path(), program)
    wait_until(fn -> NativeNode.info(server).state == :up end)
  end

  test "two programs live beside each other" do
    {one, _} = await_up!(start())
    {other, run} = await_up!(start())
    assert one.node != other.node
    NativePeer.signal(one.os_pid, "KILL")
    await_down(1)
    assert GenServer.call(run.server, {:echo, 2}) == 2
  end

  test "a program that does not stop when told to is killed" do
    server = start(["--stubborn"], stop_timeout_ms: 50)
    {_, run} = await_up!(server)
    NativeNode.stop(server)
    assert alone?(run)

    server = start([], stop_timeout_ms: 50, hang_checks: 100_000)
    {up, run} = await_up!(server)
    NativePeer.signal(up.os_pid, "STOP")
    NativeNode.stop(server)
    assert alone?(run)
  end

  test "output that is no part of the protocol is logged" do
    log =
      capture_log(fn ->
        await_up!(start())
      end)

    assert log =~ "peer: a line that is no part of the protocol"
  end

  test "options that do not fit are refused" do
    for {bad, option} <- [
          {[program: "relative"], :program},
          {[handler: {String, 1}], :handler},
          {[check_ms: 0], :check_ms},
          {[backoff: {5, 1}], :backoff},
          {[unknown: 1], :unknown}
        ] do
      opts = NativePeer.options([], bad)
      assert {:error, {:invalid_option, %{option: ^option}}} = NativeNode.start_link(opts)
    end

    assert {:error, {:invalid_option, %{option: :program}}} = NativeNode.start_link([])
  end

  test "the program and its directory go with a VM that is killed" do
    ebin = :game_platform |> :code.lib_dir() |> Path.join("ebin")

    script = """
    {:ok, server} = GamePlatform.NativeNode.start_link(
      program: #{inspect(NativePeer.path())}, server: :peer, handler: {GamePlatform.NativePeer, self()})
    {:ok, up} = GamePlatform.NativeNode.await_up(server, 30_000)
    IO.puts("up " <> Enum.join([System.pid(), up.os_pid, up.up.run.dir], " "))
    # Ends with this test, should that fail.
    IO.read(:line)
    """

    elixir = System.find_executable("elixir")
    args = ["-pa", "#{ebin}", "-e", script]
    port = Port.open({:spawn_executable, elixir}, [:binary, {:line, 1_000}, {:args, args}])
    assert_receive {^port, {:data, {:eol, "up " <> line}}}, @watchdog
    [vm, os_pid, dir] = String.split(line, " ")
    {vm, os_pid} = {String.to_integer(vm), String.to_integer(os_pid)}
    assert NativePeer.alive?(os_pid) and File.dir?(dir)

    NativePeer.signal(vm, "KILL")
    wait_until(fn -> not NativePeer.alive?(os_pid) and not File.exists?(dir) end)
  end

  defp make_dir do
    {:ok, dir} = GamePlatform.NativeNode.Distribution.make_dir("gp_test_")
    on_exit(fn -> File.rm_rf(dir) end)
    dir
  end
end
