defmodule GamePlatform.Compute.NodeTest do
  # A worker may end at any moment, in any way: what is computed stays the same.
  use ExUnit.Case, async: true

  import GamePlatform.Eventually
  import GamePlatform.Harm

  alias GamePlatform.{Compute, NativePeer}
  alias GamePlatform.Compute.{Ring, Worker}

  @moduletag capture_log: true

  @ticks 5_000
  # About beats and their ends, and the last ticks of all.
  @chosen [1, 2, 15, 16, 17, 31, 32, 33, 255, 256, 257, 1000, 1001, 1002, 2500] ++
            [3000, 3001, 3002, 4000, 4010, 4020, 4900, 4950, 4980, 4990]

  setup context do
    worker = Module.concat(__MODULE__, "W#{context.line}")
    Map.put(start_worker(worker, context[:worker] || []), :worker, worker)
  end

  defp advance_async(world, ticks), do: Task.async(fn -> Compute.advance(world, ticks) end)

  defp kill_in_advance(opts, worker, ticks) do
    {:ok, world} = Compute.new_world([worker: worker] ++ opts)
    advance = advance_async(world, @ticks)
    kills = kill_at(advance, world, worker, ticks)
    assert Task.await(advance, 60_000) == {:ok, @ticks}
    {:ok, digest} = Compute.digest(world)
    Compute.close(world)
    {kills, digest}
  end

  defp kill_at_random(opts, worker, expected, kills, seed) do
    :rand.seed(:exsss, seed)
    ticks = Enum.sort(for _ <- 1..25, do: Enum.random(0..@ticks))
    {now, digest} = kill_in_advance(opts, worker, ticks)
    assert digest == expected, "random seed #{seed}"
    if kills + now < 100, do: kill_at_random(opts, worker, expected, kills + now, seed + 1)
  end

  describe "killed" do
    @tag timeout: 120_000
    test "a hundred times while a world is advanced, at chosen and at random ticks", %{worker: worker} do
      opts = [seed: 7, frequency: 200]
      expected = uninterrupted(opts, @ticks)

      kills =
        for threads <- [1, 2] do
          assert {kills, ^expected} = kill_in_advance([threads: threads] ++ opts, worker, @chosen)
          assert kills > 0
          kills
        end

      seed = System.unique_integer([:positive])
      kill_at_random(opts, worker, expected, Enum.sum(kills), seed)
      assert info(worker).restarts >= 100
    end

    test "while a world is generated, and while its digest is made", %{worker: worker} do
      opts = [seed: 3, frequency: 400]

      making =
        Task.async(fn ->
          {:ok, world} = Compute.new_world([worker: worker] ++ opts)
          {:ok, 3} = Compute.advance(world, 3)
          Compute.digest(world)
        end)

      # How many steps it takes depends on the machine: the last kills may come too late.
      assert {:ok, digest} = kill_while(making, worker, [1, 5, 30, 2, 90])
      assert digest == uninterrupted(opts, 3)
      assert info(worker).restarts >= 3

      {:ok, world} = Compute.new_world([worker: worker] ++ opts)
      {:ok, 3} = Compute.advance(world, 3)

      # A digest may be done before its worker is.
      wait_until(fn ->
        digesting = Task.async(fn -> Compute.digest(world) end)
        assert {:ok, ^digest} = kill_while(digesting, worker, [1, 2, 10])
        info(worker).restarts >= 10
      end)
    end

    test "while a world is closed", %{worker: worker} do
      for _ <- 1..20 do
        {:ok, world} = Compute.new_world(worker: worker, frequency: 8)
        up = up(worker)
        signal(up, "KILL")
        assert Compute.close(world) == :ok
        refute Process.alive?(world.pid)
        assert Compute.tick(world) == {:error, :closed}
        {:ok, _} = Worker.next(worker, up)
      end

      assert in_flight(worker) == 0
    end

    test "with several worlds, some of them at rest", %{worker: worker} do
      options = for seed <- 1..4, do: [seed: seed, frequency: 30 * seed]

      worlds =
        for opts <- options do
          {:ok, world} = Compute.new_world([worker: worker] ++ opts)
          world
        end

      [first | _] = moving = Enum.take(worlds, 3)
      advances = for world <- moving, do: advance_async(world, 3_000)
      assert kill_at(hd(advances), first, worker, Enum.to_list(100..2_900//400)) > 0
      for advance <- advances, do: assert(Task.await(advance, 60_000) == {:ok, 3_000})

      for {world, opts, ticks} <- Enum.zip([worlds, options, [3_000, 3_000, 3_000, 0]]) do
        assert Compute.digest(world) == {:ok, uninterrupted(opts, ticks)}
      end
    end
  end

  @tag worker: [hang_checks: 10]
  test "a worker that stops is noticed, replaced, and dead for good", %{worker: worker} do
    opts = [seed: 9, frequency: 100]
    {:ok, world} = Compute.new_world([worker: worker] ++ opts)
    advance = advance_async(world, @ticks)
    spin_until(fn -> match?({:ok, tick} when tick > 1_000, Compute.tick(world)) end)
    up = up(worker)
    stop(up)
    {:ok, next} = Worker.next(worker, up)
    assert last_exit(worker) == :hung
    refute NativePeer.alive?(up.os_pid)
    # It is gone: there is nobody to continue.
    signal(up, "CONT")
    assert next.os_pid != up.os_pid
    assert Task.await(advance, 60_000) == {:ok, @ticks}
    assert Compute.digest(world) == {:ok, uninterrupted(opts, @ticks)}

    # At rest too.
    up = up(worker)
    stop(up)
    {:ok, _} = Worker.next(worker, up)
    assert last_exit(worker) == :hung
    assert Compute.advance(world, 1) == {:ok, @ticks + 1}
  end

  test "the process that watches a worker may end too", %{worker: worker} do
    opts = [seed: 6, frequency: 100]
    {:ok, world} = Compute.new_world([worker: worker] ++ opts)
    advance = advance_async(world, @ticks)

    for tick <- [500, 1_500, 2_500] do
      spin_until(fn -> match?({:ok, seen} when seen > tick, Compute.tick(world)) end)
      %{os_pid: os_pid} = up(worker)
      watcher = Process.whereis(worker)
      Process.exit(watcher, :kill)
      wait_until(fn -> Process.whereis(worker) not in [nil, watcher] and not NativePeer.alive?(os_pid) end)
    end

    assert Task.await(advance, 20_000) == {:ok, @ticks}
    assert Compute.digest(world) == {:ok, uninterrupted(opts, @ticks)}
  end

  # The checks that would notice a stopped worker are too many to end before the test.
  @tag worker: [hang_checks: 100_000]
  test "callers that die under way leave nothing behind", %{worker: worker} do
    {:ok, world} = Compute.new_world(worker: worker, seed: 5, frequency: 60)
    up = up(worker)
    stop(up)

    callers =
      for n <- 1..60 do
        spawn(fn ->
          case rem(n, 4) do
            0 -> Compute.advance(world, 10_000_000)
            1 -> Compute.ping(worker: worker)
            2 -> Ring.echo(up.ring, :binary.copy("x", 60_000))
            3 -> Ring.call(up.ring, :stats, [])
          end
        end)
      end

    # Fifteen of each but the advances, which the world's process makes one after another; one echo is too
    # many for the blocks.
    wait_until(fn -> in_flight(worker) >= 45 end)
    for caller <- callers, do: Process.exit(caller, :kill)
    assert in_flight(worker) >= 45
    signal(up, "CONT")
    wait_until(fn -> in_flight(worker) == 0 end)

    assert info(worker).os_pid == up.os_pid
    # Behind whatever slice of a dead caller's advance was under way.
    {:ok, tick} = Compute.advance(world, 0)
    assert Compute.advance(world, 100) == {:ok, tick + 100}
    assert Compute.digest(world) == {:ok, uninterrupted([seed: 5, frequency: 60], tick + 100)}
    # All blocks are free again.
    for _ <- 1..40, do: assert(Ring.echo(up.ring, "again") == {:ok, "again"})
  end

  @tag worker: [hang_checks: 100_000]
  test "a full ring is waited for", %{worker: worker} do
    opts = [seed: 6, frequency: 8]
    [world, closed] = for _ <- 1..2, do: ok(Compute.new_world([worker: worker] ++ opts))
    for world <- [world, closed], do: {:ok, 1} = Compute.advance(world, 1)
    up = up(worker)
    stop(up)
    calls = for _ <- 1..info(worker).slots, do: Task.async(fn -> Ring.call(up.ring, :stats, []) end)
    wait_until(fn -> in_flight(worker) == info(worker).slots end)
    assert Ring.call(up.ring, :stats, []) == {:error, :busy}
    assert Compute.ping(worker: worker) == {:error, :busy}

    advance = advance_async(world, 40)
    assert Compute.close(closed) == :ok
    refute Task.yield(advance, 50)
    signal(up, "CONT")
    for call <- calls, do: assert({:ok, :ok, _} = Task.await(call, 30_000))
    assert Task.await(advance, 30_000) == {:ok, 41}
    assert Compute.digest(world) == {:ok, uninterrupted(opts, 41)}
    # The world that could not be closed at once.
    wait_until(fn -> GenServer.call(up.server, :stats).worlds == 1 end)
  end

  defp ok({:ok, value}), do: value

  @tag worker: [hang_checks: 100_000]
  test "a timeout holds even if the worker has stopped", %{worker: worker} do
    {:ok, world} = Compute.new_world(worker: worker, frequency: 60)
    up = up(worker)
    stop(up)
    assert Compute.advance(world, 1_000_000, timeout_ms: 50) == {:error, :timeout}
    assert Compute.ping(worker: worker, timeout_ms: 50) == {:error, :timeout}
    signal(up, "CONT")
    {:ok, tick} = Compute.advance(world, 0)
    assert Compute.advance(world, 1_000) == {:ok, tick + 1_000}
    refute_received _
  end

  test "a world goes on from what was published and never answered" do
    {:ok, supervisor} =
      Supervisor.start_link([{GamePlatform.Worker, name: __MODULE__.Gone}], strategy: :one_for_one)

    opts = [seed: 4, frequency: 24]
    {:ok, world} = Compute.new_world([worker: __MODULE__.Gone] ++ opts)
    advance = advance_async(world, 100_000_000)
    wait_until(fn -> Compute.tick(world) > {:ok, 100} end)
    Supervisor.terminate_child(supervisor, __MODULE__.Gone)
    assert Task.await(advance, 30_000) == {:error, :worker_down}
    Supervisor.restart_child(supervisor, __MODULE__.Gone)

    {:ok, tick} = Compute.tick(world)
    assert Compute.advance(world, 5, timeout_ms: 4_294_967_295) == {:ok, tick + 5}
    assert Compute.digest(world) == {:ok, uninterrupted(opts, tick + 5)}
    assert info(__MODULE__.Gone).last_exit == nil
    Compute.close(world)
    Supervisor.stop(supervisor)
  end

  test "only a worker's name will do, and no other process is called" do
    {:ok, agent} = Agent.start_link(fn -> :unharmed end, name: __MODULE__.Agent)

    for name <- [__MODULE__.Agent, __MODULE__.Nobody] do
      assert {:error, {:invalid_option, %{option: :worker}}} = Compute.new_world(worker: name)
      assert {:error, {:invalid_option, %{option: :worker}}} = Compute.ping(worker: name, timeout_ms: 10)
    end

    assert Agent.get(agent, & &1) == :unharmed

    assert {:error, {:invalid_option, %{option: :program}}} =
             GamePlatform.Worker.start_link(name: X, program: "/x")

    assert {:error, {:invalid_option, %{option: :name}}} = GamePlatform.Worker.start_link(name: "x")
  end

  test "a worker that always dies is an answer, and its world outlives it", %{worker: worker} do
    # Large enough that no worker lives for a tick of it.
    opts = [seed: 2, frequency: 600]
    {:ok, world} = Compute.new_world([worker: worker] ++ opts)
    killer = spawn_link(fn -> kill_for_ever(worker) end)
    assert Compute.advance(world, 1_000_000) == {:error, :worker_down}
    # One may be done before its worker is.
    wait_until(fn -> Compute.digest(world) == {:error, :worker_down} end)
    assert Process.alive?(world.pid)

    Process.unlink(killer)
    Process.exit(killer, :kill)
    {:ok, tick} = Compute.tick(world)
    assert Compute.advance_to(world, tick + 5) == {:ok, tick + 5}
    assert Compute.digest(world) == {:ok, uninterrupted(opts, tick + 5)}
  end

  defp kill_for_ever(worker) do
    kill(worker)
    kill_for_ever(worker)
  end

  test "a diff leads from the cells of any tick to the present ones, on every backend", %{worker: worker} do
    for seed <- Enum.take_random(0..1_000_000, 4), frequency = Enum.random(2..12) do
      worlds =
        for backend <- [:node, :nif, :beam] do
          {:ok, world} = Compute.new_world(backend: backend, worker: worker, seed: seed, frequency: frequency)
          world
        end

      for ticks <- Enum.map(1..3, fn _ -> Enum.random(0..40) end) do
        [{before, diff, now} | others] = for world <- worlds, do: diff(world, ticks)
        assert Compute.apply_diff(before, diff) == now, "seed #{seed}, frequency #{frequency}"
        for {^before, diff, ^now} <- others, do: assert(Compute.apply_diff(before, diff) == now)
        assert length(others) == 2
      end

      Enum.each(worlds, &Compute.close/1)
    end
  end

  defp diff(world, ticks) do
    {:ok, tick, before} = Compute.planes(world)
    {:ok, _} = Compute.advance(world, ticks)
    {:ok, diff} = Compute.diff(world, tick)
    {:ok, now, planes} = Compute.planes(world)
    {before, diff, {:ok, now, planes}}
  end
end
