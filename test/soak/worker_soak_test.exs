defmodule GamePlatform.WorkerSoakTest do
  # The same as the tests of workers that are killed and memory that is broken, thousands of times. `make soak`
  # runs it, and writes what came of it to `docs/soak.md`.
  use ExUnit.Case, async: false

  import GamePlatform.{Harm, SoakReport}

  alias GamePlatform.Compute

  @moduletag :soak
  @moduletag capture_log: true
  @moduletag timeout: :infinity

  @kills String.to_integer(System.get_env("SOAK_KILLS", "3000"))
  @rounds String.to_integer(System.get_env("SOAK_GARBAGE", "1000"))
  @ticks 5_000
  @seed String.to_integer(System.get_env("SOAK_SEED", "#{:erlang.unique_integer([:positive])}"))
  @table 256

  setup_all do
    begin()
  end

  setup context do
    worker = Module.concat(__MODULE__, "W#{context.line}")
    start_worker(worker, context[:worker] || [])
    %{worker: worker}
  end

  test "kills at random ticks", %{worker: worker} do
    note(1, "kills of a worker at random ticks, f = 200: failed, seed #{@seed}")
    opts = [seed: 7, frequency: 200]
    expected = uninterrupted(opts, @ticks)
    {kills, runs} = kill_runs(worker, opts, expected, 0, 0)

    note(
      1,
      "#{kills} kills of a worker at random ticks, f = 200, in #{runs} advances of #{@ticks}: all equal"
    )
  end

  defp kill_runs(_, _, _, kills, runs) when kills >= @kills, do: {kills, runs}

  defp kill_runs(worker, opts, expected, kills, runs) do
    :rand.seed(:exsss, @seed + runs)
    ticks = Enum.sort(for _ <- 1..50, do: Enum.random(0..(@ticks - 50)))
    threads = rem(runs, 2) + 1
    {:ok, world} = Compute.new_world([worker: worker, threads: threads] ++ opts)
    advance = Task.async(fn -> Compute.advance(world, @ticks) end)
    now = kill_at(advance, world, worker, ticks)
    answer = Task.await(advance, :infinity)
    assert answer == {:ok, @ticks}, "seed #{@seed + runs}: #{inspect(answer)}"
    assert Compute.digest(world) == {:ok, expected}, "seed #{@seed + runs}"
    Compute.close(world)
    kill_runs(worker, opts, expected, kills + now, runs + 1)
  end

  test "random garbage in a world's memory", %{worker: worker} do
    note(2, "garbage in a world's memory: failed, seed #{@seed}")
    # Where players change cells, too, a stamp may be wrong and not be noticed.
    opts = [seed: 4, frequency: 12, ruleset: {:text, GamePlatform.Rulesets.field()}]
    expected = Map.new(0..100, &{&1, uninterrupted(opts, &1)})
    for round <- 1..@rounds, do: garbage(worker, opts, expected, @seed + round)
    note(2, "#{@rounds} times garbage at up to 20 places of a world's head and stamps, f = 12: all equal")
  end

  defp garbage(worker, opts, expected, seed) do
    :rand.seed(:exsss, seed)
    tick = Enum.random(0..60)
    {:ok, world} = Compute.new_world([worker: worker] ++ opts)
    {:ok, ^tick} = Compute.advance(world, tick)
    memory = open_memory(up(worker).os_pid, "game_platform_world")

    for _ <- 1..Enum.random(1..20) do
      size = Enum.random([1, 4, 8, 16, 64])
      bytes = Enum.random([&:rand.bytes/1, &:binary.copy(<<0>>, &1), &:binary.copy(<<0xFF>>, &1)])
      :ok = :file.pwrite(memory, Enum.random(0..(@table + 122 * 32 - size)), bytes.(size))
    end

    if Enum.random([true, false]), do: Compute.planes(world)
    if Enum.random([true, false]), do: kill(worker)
    assert Compute.advance_to(world, tick + 40) == {:ok, tick + 40}, "seed #{seed}"
    assert Compute.digest(world) == {:ok, expected[tick + 40]}, "seed #{seed}"
    :ok = :file.close(memory)
    Compute.close(world)
    # The next one has one world, whose memory is easily found.
    kill(worker)
  end

  @tag worker: [hang_checks: 10]
  test "stops", %{worker: worker} do
    stops = max(div(@kills, 30), 1)
    note(3, "stops of a worker: failed")
    opts = [seed: 9, frequency: 60]
    {:ok, world} = Compute.new_world([worker: worker] ++ opts)

    for n <- 1..stops do
      advance = Task.async(fn -> Compute.advance_to(world, n * 500) end)
      spin_until(fn -> match?({:ok, tick} when tick > n * 500 - 400, Compute.tick(world)) end)
      up = up(worker)
      signal(up, "STOP")
      {:ok, _} = Compute.Worker.next(worker, up)
      assert Task.await(advance, :infinity) == {:ok, n * 500}
    end

    assert Compute.digest(world) == {:ok, uninterrupted(opts, stops * 500)}
    note(3, "#{stops} stops (SIGSTOP) of a worker in mid-advance, f = 60: all noticed, the digest equal")
  end
end
