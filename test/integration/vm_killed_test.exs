defmodule GamePlatform.VMKilledTest do
  # However a VM ends, it leaves no process, no file and no memory behind.
  use ExUnit.Case, async: true

  import GamePlatform.Eventually
  import GamePlatform.Harm, only: [signal: 2, stop: 1]

  alias GamePlatform.{NativePeer, OtherVM}

  # Two workers, one of the platform's and one of its own, each with a world that is being advanced.
  @script """
  {:ok, _} = Application.ensure_all_started(:game_platform)
  alias GamePlatform.Compute
  {:ok, _} = Compute.Worker.start_link(name: Other)
  workers = [Compute.Worker.default(), Other]

  for worker <- workers do
    {:ok, world} = Compute.new_world(worker: worker, frequency: 100)
    spawn(fn -> Compute.advance(world, 100_000_000) end)
    wait = fn wait -> if Compute.tick(world) < {:ok, 100}, do: wait.(wait) end
    wait.(wait)
  end

  os_pids = for worker <- workers, do: Compute.Worker.up(worker) |> elem(1) |> Map.fetch!(:os_pid)
  tell.(%{vm: String.to_integer(System.pid()), workers: os_pids})
  """

  defp start(then \\ "Process.sleep(:infinity)") do
    vm = OtherVM.start(@script <> then)
    on_exit(fn -> File.rm_rf!(vm.dir) end)
    assert length(vm.workers) == 2
    vm
  end

  defp assert_nothing_left(vm) do
    OtherVM.await_exit(vm.port)
    wait_until(fn -> not Enum.any?(vm.workers, &NativePeer.alive?/1) end)
    wait_until(fn -> File.ls!(vm.dir) == [] end)
    refute NativePeer.alive?(vm.vm)
  end

  test "kill -9" do
    vm = start()
    assert Enum.all?(vm.workers, &NativePeer.alive?/1)
    assert length(File.ls!(vm.dir)) == 2
    signal(vm.vm, "KILL")
    assert_nothing_left(vm)
  end

  test "kill -9 while a worker is stopped" do
    vm = start()
    stop(%{os_pid: hd(vm.workers)})
    signal(vm.vm, "KILL")
    assert_nothing_left(vm)
  end

  test "SIGTERM" do
    vm = start()
    signal(vm.vm, "TERM")
    assert_nothing_left(vm)
  end

  test "a halt, which shuts nothing down" do
    assert_nothing_left(start("System.halt(0)"))
  end

  test "a stop, which takes its time to shut down what is supervised" do
    assert_nothing_left(start("System.stop(0); Process.sleep(:infinity)"))
  end
end
