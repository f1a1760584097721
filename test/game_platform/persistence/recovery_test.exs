defmodule GamePlatform.Persistence.RecoveryTest do
  # An instance with a data directory, whose parts and files come to harm.
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog
  import GamePlatform.Eventually

  alias GamePlatform.{Compute, Instance, Persistence, Tiny}
  alias GamePlatform.Compute.Worker
  alias GamePlatform.Persistence.{Link, Log, Snapshots, Snapshotter}

  alias GamePlatformWeb.Admin.{Metrics, Sources}

  @moduletag capture_log: true

  setup do
    dir = Path.join(System.tmp_dir!(), "gp_recovery#{System.pid()}_#{System.unique_integer([:positive])}")
    on_exit(fn -> File.rm_rf!(dir) end)
    %{dir: dir, name: Module.concat(__MODULE__, "I#{System.unique_integer([:positive])}")}
  end

  defp start!(%{dir: dir, name: name}, opts \\ []) do
    start_supervised!({GamePlatform, opts(dir, name, opts)}, id: name)
    {:ok, world} = GamePlatform.world(name)
    world
  end

  defp opts(dir, name, opts) do
    Keyword.merge(
      [
        name: name,
        data_dir: dir,
        frequency: 8,
        ruleset: Tiny.path(),
        ups: 100,
        backend: :nif,
        snapshot_s: 1000
      ],
      opts
    )
  end

  # What `start_link` says.
  defp refused(%{dir: dir, name: name}, opts) do
    Process.flag(:trap_exit, true)
    assert {:error, reason} = GamePlatform.start_link(opts(dir, name, opts))
    reason
  end

  defp part(%{name: name}, part), do: Instance.via(name, part)
  defp path(%{dir: dir}, tick), do: Snapshots.path(dir, "main", tick)

  defp act!(world, actions) do
    {:ok, replies} = Compute.submit(world, actions)
    for reply <- replies, do: %{status: :accepted, durability: :logged} = reply
    replies
  end

  defp join!(world, names), do: act!(world, Enum.map(names, &Tiny.join/1))

  # Until what was accepted is executed.
  defp pass(world, ticks) do
    {:ok, now} = Compute.tick(world)
    wait_until(fn -> match?({:ok, tick} when tick >= now + ticks, Compute.tick(world)) end)
  end

  # Tick and digest at one moment.
  defp state(world) do
    {:ok, binary} = Compute.snapshot(world)
    {:ok, info} = Compute.snapshot_info(binary)
    Map.take(info, [:tick, :digest])
  end

  test "a world goes on where it was", context do
    world = start!(context)
    join!(world, ["ann"])
    act!(world, [Tiny.act("ann", "1", "claim", cell: 300)])
    pass(world, 3)
    {:ok, player} = Compute.player(world, "ann")
    stop_supervised!(context.name)
    [last | _] = Snapshots.list(context.dir, "main")

    world = start!(context)
    %{tick: tick, digest: digest} = state(world)
    assert tick >= last
    assert replay(context, tick) == digest
    assert {:ok, ^player} = Compute.player(world, "ann")
    # The same action has its answer, and no second effect.
    assert [%{tick: first}] = act!(world, [Tiny.act("ann", "1", "claim", cell: 300)])
    assert first <= last
    act!(world, [Tiny.act("ann", "2", "release", cell: 300)])
    pass(world, 3)
    assert {:ok, [_, %{action_id: "2", outcome: :applied}]} = Compute.outcomes(world, 0)
  end

  for {what, backend} <- [world: :nif, world_server: :node, log: :node, link: :nif, worker: :node, data: :nif] do
    test "the death of the #{what} (#{backend}) loses nothing", context do
      worker = Module.concat(context.name, Worker)
      start_supervised!({GamePlatform.Worker, name: worker})
      world = start!(context, backend: unquote(backend), worker: worker)
      join!(world, ["ann"])

      for n <- 1..6 do
        # A world whose journal has died answers until it hears of it.
        wait_until(fn ->
          answer = Compute.submit(world(context), [Tiny.act("ann", "#{n}", "claim", cell: 300 + n)])
          match?({:ok, [%{status: :accepted, durability: :logged}]}, answer)
        end)

        if n in [2, 4], do: harm(unquote(what), context, worker)
      end

      world = world(context)

      wait_until(fn ->
        match?({:ok, outcomes} when length(outcomes) == 6, Compute.outcomes(world(context), 0))
      end)

      {:ok, outcomes} = Compute.outcomes(world, 0)
      assert Enum.map(outcomes, & &1.action_id) == Enum.map(1..6, &"#{&1}")
      %{tick: tick, digest: digest} = state(world)
      assert replay(context, tick) == digest
    end
  end

  # The world of the instance, which may be on its way.
  defp world(context) do
    wait_until(fn ->
      with {:ok, world} <- GamePlatform.world(context.name),
           {:ok, _} <- Compute.tick(world),
           {:ok, [%{status: :accepted}]} <- Compute.submit(world, [Tiny.join("probe")]),
           do: true,
           else: (_ -> false)
    end)

    {:ok, world} = GamePlatform.world(context.name)
    world
  end

  defp harm(:world, context, _) do
    {:ok, world} = GamePlatform.world(context.name)
    kill(world.pid)
  end

  defp harm(:world_server, context, _), do: kill(GenServer.whereis(part(context, :world_server)))
  defp harm(:log, context, _), do: kill(GenServer.whereis(part(context, :log)))
  defp harm(:data, context, _), do: kill(Process.whereis(Module.concat(context.name, Data)))

  defp harm(:link, context, _) do
    %{os_pid: os_pid} = Link.stats(part(context, :link), 5_000)
    System.cmd("kill", ["-KILL", "#{os_pid}"])
  end

  defp harm(:worker, _, worker) do
    {:ok, %{os_pid: os_pid}} = Worker.up(worker)
    System.cmd("kill", ["-KILL", "#{os_pid}"])
  end

  defp kill(pid) do
    monitor = Process.monitor(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^monitor, _, _, _}, 5_000
  end

  # The digest that the log makes of nothing, at a tick.
  defp replay(context, tick) do
    link = part(context, :link)
    {:ok, batches, false} = Link.call(link, {:batches, "main", 0, 10_000_000})
    {:ok, %{meta: meta, complete: true}} = Link.call(link, {:world, "main"})
    {:ok, meta} = GamePlatform.Persistence.Meta.decode(meta)

    {:ok, again} =
      Compute.new_world(
        backend: :nif,
        seed: meta.seed,
        frequency: meta.frequency,
        ruleset: {:text, meta.ruleset}
      )

    {:ok, ^tick} =
      Compute.WorldProcess.replay(again.pid, for({at, _, batch} <- batches, do: {at, batch}), tick)

    {:ok, digest} = Compute.digest(again)
    Compute.close(again)
    digest
  end

  test "a damaged snapshot is named and skipped", context do
    world = start!(context)
    join!(world, ["ann"])
    {:ok, first} = Snapshotter.take(part(context, :snapshotter))
    act!(world, [Tiny.act("ann", "1", "claim", cell: 300)])
    pass(world, 3)
    stop_supervised!(context.name)
    assert [newest, ^first] = Snapshots.list(context.dir, "main")
    file = path(context, newest)
    bytes = File.read!(file)
    File.write!(file, binary_part(bytes, 0, byte_size(bytes) - 10))

    log = capture_log(fn -> send(self(), {:world, start!(context)}) end)
    assert_received {:world, world}
    assert log =~ file
    assert log =~ "is not used"
    assert {:ok, %{claims: 1}} = Compute.player(world, "ann")

    # Without any the log is played from its beginning.
    stop_supervised!(context.name)
    File.rm_rf!(Path.join(context.dir, "worlds"))
    assert {:ok, %{claims: 1}} = Compute.player(start!(context), "ann")
  end

  test "a log that no longer begins at the beginning needs a snapshot", context do
    world = start!(context, snapshots: 1)
    join!(world, ["ann"])
    pass(world, 2)
    {:ok, tick} = Snapshotter.take(part(context, :snapshotter))
    act!(world, [Tiny.act("ann", "1", "claim", cell: 300)])
    pass(world, 2)
    stop_supervised!(context.name)
    File.rm_rf!(Path.join(context.dir, "worlds"))
    assert {:event_log, %{reason: :no_snapshot, hint: hint}} = refused(context, [])
    assert hint =~ "begins at tick"
    assert hint =~ "backup"
    assert tick > 0
  end

  test "another world than the one that is there is refused, if it was asked for", context do
    start!(context, seed: 4)
    stop_supervised!(context.name)
    assert {:another_world, %{option: :seed, hint: hint}} = refused(context, seed: 5)
    assert hint =~ "has a world with seed 4, not 5"
    assert {:another_world, %{option: :frequency}} = refused(context, frequency: 9)
    assert {:another_world, %{option: :ruleset}} = refused(context, ruleset: :default)

    start_supervised!({GamePlatform, [name: context.name, data_dir: context.dir]}, id: context.name)
    assert %{seed: 4, frequency: 8} = GamePlatform.stats(context.name)
  end

  test "a directory in use, and one of a newer release, are refused", context do
    start!(context)
    other = %{context | name: Module.concat(context.name, Other)}
    assert {:data_dir, %{reason: :in_use, os_pid: os_pid}} = refused(other, [])
    assert "#{os_pid}" == System.pid()
    stop_supervised!(context.name)
    File.write!(Path.join(context.dir, "version"), "2\n")
    assert {:data_dir, %{reason: :newer_version, found: 2}} = refused(context, [])
  end

  test "a damaged log is refused with what is wrong", context do
    world = start!(context)
    {:ok, first} = Snapshotter.take(part(context, :snapshotter))
    join!(world, Enum.map(1..50, &"player #{&1}"))
    pass(world, 2)
    stop_supervised!(context.name)
    for tick <- Snapshots.list(context.dir, "main"), tick > first, do: File.rm!(path(context, tick))
    file = Path.join(context.dir, "events.db")
    bytes = File.read!(file)
    {at, _} = :binary.match(bytes, "player 17")
    <<before::binary-size(at), "player", rest::binary>> = bytes
    File.write!(file, <<before::binary, "Player", rest::binary>>)
    assert {:event_log, %{reason: :corrupt, hint: hint}} = refused(context, [])
    assert hint =~ "events.db"
    assert hint =~ ~r/entry|seq/
  end

  test "without a directory nothing is kept, and answers say so", context do
    start_supervised!({GamePlatform, [name: context.name, frequency: 8, ruleset: Tiny.path()]},
      id: context.name
    )

    {:ok, world} = GamePlatform.world(context.name)
    assert {:ok, [%{durability: :memory}]} = Compute.submit(world, [Tiny.join("ann")])
    refute GenServer.whereis(part(context, :log))
  end

  test "an operator is told how it is kept", context do
    assert Persistence.info(context.name) == nil
    world = start!(context)
    join!(world, ["ann"])
    {:ok, tick} = Snapshotter.take(part(context, :snapshotter))

    assert %{log: %{status: :ok, durable: 1, waiting: 0}, snapshots: %{tick: ^tick, error: nil}, link: link} =
             Persistence.info(context.name)

    assert link.db_bytes > 0

    assert [%{part: "log", status: :up, durable: 1}, %{part: "snapshots", status: :up}] =
             Sources.kept_parts(context.name)

    {text, []} = context.name |> Sources.kept() |> Metrics.render()
    assert text =~ "game_platform_log_up 1\n"
    assert text =~ "game_platform_snapshot_tick #{tick}"
    assert text =~ ~s(game_platform_log_bytes{file="database"})

    # While the log is not there, it is said so.
    :ok = Supervisor.terminate_child(Instance.data(context.name), Log)
    assert [%{part: "log", status: :down}] = Sources.kept_parts(context.name)
    assert Sources.kept(context.name) == []
  end

  test "classes of durability", context do
    world = start!(context, durability: %{"claim" => :memory, "default" => :stored})
    assert {:ok, [%{durability: :stored}]} = Compute.submit(world, [Tiny.join("ann")])
    assert {:ok, [%{durability: :memory}]} = Compute.submit(world, [Tiny.act("ann", "1", "claim", cell: 300)])
    wait_until(fn -> Log.info(part(context, :log)).durable == 2 end)
  end
end
