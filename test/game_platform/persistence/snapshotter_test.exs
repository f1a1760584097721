defmodule GamePlatform.Persistence.SnapshotterTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog
  import GamePlatform.Eventually

  alias GamePlatform.{Compute, Config}
  alias GamePlatform.Compute.WorldProcess
  alias GamePlatform.Game.Simulation.WorldServer
  alias GamePlatform.Persistence.{Snapshotter, Snapshots}

  @moduletag :tmp_dir
  @moduletag :capture_log

  setup %{tmp_dir: dir} = context do
    name = Module.concat(__MODULE__, "World#{context.line}")
    {:ok, options} = Config.validate(:server, frequency: 4, ups: 200, backend: context[:backend] || :nif)
    start_supervised!({WorldServer, {name, options}})
    test = self()

    options = %{
      world_server: name,
      dir: dir,
      world: "main",
      every_s: context[:every_s] || 3600,
      keep: context[:keep] || 1,
      prune: fn tick -> send(test, {:prune, tick}) && {:ok, 0} end
    }

    {:ok, options: options, server: name}
  end

  defp snapshotter(options), do: start_supervised!({Snapshotter, {nil, options}})

  defp tick(server) do
    {:ok, world} = WorldServer.world(server)
    {:ok, tick} = Compute.tick(world)
    tick
  end

  defp reach(server, tick), do: wait_until(fn -> tick(server) >= tick end)

  @tag every_s: 1
  test "writes one every so often", %{options: options, tmp_dir: dir} do
    pid = snapshotter(options)
    assert %{tick: nil, age_s: nil, taken: 0, failures: 0, error: nil} = Snapshotter.info(pid)
    assert_receive {:prune, tick}, 5_000
    assert Snapshots.list(dir, "main") == [tick]
    wait_until(fn -> match?(%{tick: ^tick, taken: 1, error: nil}, Snapshotter.info(pid)) end)
    assert %{bytes: bytes, duration_us: us, age_s: age} = Snapshotter.info(pid)
    assert bytes == File.stat!(Snapshots.path(dir, "main", tick)).size
    assert us > 0 and age in 0..5
    assert_receive {:prune, later}, 5_000
    assert later > tick
  end

  @tag keep: 2
  test "keeps some, and tells the log from where on it is needed", context do
    pid = snapshotter(context.options)

    ticks =
      for _ <- 1..3 do
        {:ok, tick} = Snapshotter.take(pid)
        reach(context.server, tick + 1)
        tick
      end

    [one, two, three] = ticks
    assert Snapshots.list(context.tmp_dir, "main") == [three, two]
    # As long as there is only one, the log is not pruned: it may be damaged.
    assert_receive {:prune, ^one}
    assert_receive {:prune, ^two}
    refute_received {:prune, _}
  end

  @tag backend: :node
  test "the world can be made again from it", context do
    pid = snapshotter(context.options)
    {:ok, tick} = Snapshotter.take(pid)
    reach(context.server, tick + 5)
    {:ok, world} = WorldServer.world(context.server)
    {:ok, _, _} = Compute.planes(world)
    # What it would otherwise be made from is not used.
    %{backend: %{base: {^tick, read}}} = :sys.get_state(world.pid)
    assert read.() == Snapshots.read(context.tmp_dir, "main", tick)
  end

  test "those who ask while one is under way get the next", context do
    pid = snapshotter(context.options)
    takes = for _ <- 1..5, do: Task.async(fn -> Snapshotter.take(pid) end)
    ticks = for {:ok, tick} <- Task.await_many(takes), do: tick
    assert length(ticks) == 5 and length(Enum.uniq(ticks)) <= 5
    assert Snapshotter.info(pid).taken in 2..5
  end

  test "a stop writes the last one", context do
    pid = snapshotter(context.options)
    reach(context.server, 20)
    stop_supervised!(Snapshotter)
    refute Process.alive?(pid)
    assert [tick] = Snapshots.list(context.tmp_dir, "main")
    assert tick >= 20 and tick <= tick(context.server)
    assert_receive {:prune, ^tick}
  end

  test "a stop waits for what is under way", context do
    test = self()

    prune = fn tick ->
      send(test, {:pruning, self(), tick})
      receive(do: (:go_on -> {:ok, 0}))
    end

    {:ok, pid} = Snapshotter.start_link({nil, %{context.options | prune: prune}})
    Process.unlink(pid)
    take = Task.async(fn -> Snapshotter.take(pid) end)
    assert_receive {:pruning, one, tick}, 5_000
    stop = Task.async(fn -> GenServer.stop(pid, :shutdown) end)
    reach(context.server, tick + 10)
    assert Process.alive?(pid)
    send(one, :go_on)
    assert Task.await(take) == {:ok, tick}
    assert_receive {:pruning, ^pid, _}, 5_000
    send(pid, :go_on)
    Task.await(stop)
    assert [last] = Snapshots.list(context.tmp_dir, "main")
    assert last > tick
  end

  test "what fails is told, and done again", context do
    pid = snapshotter(context.options)
    File.write!(Path.join(context.tmp_dir, "worlds"), "")

    log = capture_log(fn -> assert {:error, {:no_snapshot, _}} = Snapshotter.take(pid) end)

    assert log =~ "no snapshot of world main: #{context.tmp_dir}/worlds/main/"
    assert %{failures: 1, taken: 0, tick: nil, error: error} = Snapshotter.info(pid)
    assert error =~ "cannot be written (not a directory)"
    refute_received {:prune, _}
    File.rm!(Path.join(context.tmp_dir, "worlds"))
    assert {:ok, tick} = Snapshotter.take(pid)
    assert %{failures: 1, taken: 1, tick: ^tick, error: nil} = Snapshotter.info(pid)
  end

  test "a log that cannot be pruned does not count as no snapshot", context do
    pid = snapshotter(%{context.options | prune: fn _ -> {:error, {:full, "the disk is full"}} end})
    log = capture_log(fn -> assert {:ok, _} = Snapshotter.take(pid) end)
    assert log =~ "what is old was not removed: the disk is full"
    assert %{failures: 0, taken: 1, error: "what is old" <> _} = Snapshotter.info(pid)
  end

  # A journal that cannot take its marks back.
  defmodule Unsettled do
    @moduledoc false
    @behaviour GamePlatform.Compute.Journal

    @impl true
    def attach(_, _), do: :ok
    @impl true
    def append(_, _, _), do: :ok
    @impl true
    def mark(_, _, _, _), do: :ok
    @impl true
    def unmark(_, _, _), do: :ok
    @impl true
    def reached(_, _), do: :ok
    @impl true
    def settle(_, _, from), do: GenServer.reply(from, {:error, :closed})
  end

  test "none counts while the log has marks that were taken back", context do
    {:ok, world} = WorldServer.world(context.server)
    :ok = WorldProcess.keep(world.pid, {Unsettled, self(), 0}, 0, [], %{})
    pid = snapshotter(context.options)
    assert {:error, {:no_snapshot, _}} = Snapshotter.take(pid)
    assert Snapshots.list(context.tmp_dir, "main") == []
  end

  test "a world that is gone", context do
    pid = snapshotter(context.options)
    stop_supervised!(WorldServer)
    assert {:error, {:no_snapshot, ":closed"}} = Snapshotter.take(pid)
    assert :ok = stop_supervised(Snapshotter)
    assert Snapshots.list(context.tmp_dir, "main") == []
  end

  test "work that dies is a failure", context do
    test = self()
    prune = fn _ -> send(test, {:work, self()}) && Process.sleep(:infinity) end
    {:ok, pid} = Snapshotter.start_link({nil, %{context.options | prune: prune}})
    Process.unlink(pid)
    take = Task.async(fn -> Snapshotter.take(pid) end)
    assert_receive {:work, work}, 5_000
    Process.exit(work, :kill)
    assert {:error, {:no_snapshot, sentence}} = Task.await(take)
    assert sentence =~ "ended: :killed"
    # Or the stop would wait for ever.
    Process.unlink(pid)
    Process.exit(pid, :kill)
  end
end
