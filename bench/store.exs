defmodule GamePlatform.Bench.Store do
  # What it costs that nothing is lost. `bench/README.md` says what each case asks.

  alias GamePlatform.{CLI, Compute}
  alias GamePlatform.Persistence.Log

  @name GamePlatform.Bench.Store.Instance
  @players 100
  @senders 10

  def run(quick?) do
    dir = Path.join(System.tmp_dir!(), "gp_bench_store#{System.pid()}")
    File.rm_rf!(dir)
    File.mkdir_p!(dir)

    try do
      syncs(dir, 50)
      first = start(dir)
      world = world()
      join(world)
      rows = acks(world, dir, if(quick?, do: 5, else: 20)) ++ rate(world, if(quick?, do: 3, else: 10))
      wanted = if quick?, do: 100_000, else: 1_000_000
      fill(world, wanted)
      logged = logged()
      rows ++ snapshots(if(quick?, do: 256, else: 1000)) ++ restart(first, dir, logged)
    after
      File.rm_rf!(dir)
    end
  end

  # Snapshots are taken all the time, and all are kept, so that the log is complete.
  defp start(dir) do
    {us, {:ok, pid}} =
      :timer.tc(fn ->
        GamePlatform.start_link(
          name: @name,
          data_dir: Path.join(dir, "data"),
          frequency: 64,
          snapshot_s: 2,
          snapshots: 1_000
        )
      end)

    %{pid: pid, us: us}
  end

  defp world, do: CLI.ok!(GamePlatform.world(@name))
  defp log, do: GamePlatform.Instance.via(@name, :log)
  defp logged, do: Log.info(log()).durable

  # Far from each other, and from where they act.
  defp join(world) do
    joins = for n <- 1..@players, do: %{action: "join", by: "player #{n}", cell: 100 * n}
    replies = CLI.ok!(Compute.submit(world, joins))
    :accepted = replies |> Enum.map(& &1.status) |> Enum.uniq() |> List.first()
    {:ok, tick} = Compute.tick(world)
    wait(world, tick + 2)
  end

  defp wait(world, tick) do
    case Compute.tick(world) do
      {:ok, now} when now >= tick -> :ok
      _ -> Process.sleep(10) && wait(world, tick)
    end
  end

  # It is executed, and refused by the rules: a pentagon is nobody's.
  defp action(n), do: %{action: "claim", by: "player #{rem(n, @players) + 1}", action_id: "a#{n}", cell: 0}

  # A thousand actions a second from some processes, each at its own time.
  defp acks(world, dir, seconds) do
    each = div(1_000, @senders)
    count = each * seconds
    start = System.monotonic_time(:microsecond) + 10_000
    period = div(1_000_000, each)

    tasks =
      for sender <- 0..(@senders - 1) do
        Task.async(fn ->
          for n <- 0..(count - 1) do
            at = start + n * period + div(sender * period, @senders)
            sleep_until(at)
            {us, {:ok, [reply]}} = :timer.tc(fn -> Compute.submit(world, [action(n * @senders + sender)]) end)
            %{status: :accepted, durability: :logged} = reply
            us
          end
        end)
      end

    times = tasks |> Task.await_many(:infinity) |> Enum.concat()
    stats = GamePlatform.stats(@name)
    fsync = syncs(dir, 300)

    for {metric, percent} <- [p50_ms: 50, p99_ms: 99] do
      value = percentile(times, percent) / 1000
      rival = percentile(fsync, percent) / 1000
      row(:ack_logged_1000, metric, "ms", value, :fsync, rival, rival / value)
    end ++
      [
        row(:ack_logged_1000, :tick_p99_ms, "ms", stats.tick_p99_us / 1000),
        row(:ack_logged_1000, :missed_ticks, "", stats.missed)
      ]
  end

  defp sleep_until(at) do
    us = at - System.monotonic_time(:microsecond)
    if us > 0, do: Process.sleep(div(us, 1000) + 1)
  end

  # What the disk itself takes to make a page safe, in microseconds.
  defp syncs(dir, count) do
    path = Path.join(dir, "sync")
    {:ok, file} = :file.open(path, [:raw, :write, :binary])
    page = :crypto.strong_rand_bytes(4096)

    times =
      for _ <- 1..count do
        {us, :ok} = :timer.tc(fn -> with :ok <- :file.write(file, page), do: :file.datasync(file) end)
        us
      end

    :ok = :file.close(file)
    File.rm!(path)
    times
  end

  # As fast as they are answered.
  defp rate(world, seconds) do
    first = 10_000_000
    before = GamePlatform.stats(@name).missed

    {us, count} =
      :timer.tc(fn -> flood(world, first, System.monotonic_time(:millisecond) + seconds * 1000) end)

    stats = GamePlatform.stats(@name)

    [
      row(:ack_rate, :actions_per_s, "/s", count * 1_000_000 / us),
      row(:ack_rate, :tick_p99_ms, "ms", stats.tick_p99_us / 1000),
      row(:ack_rate, :missed_ticks, "", stats.missed - before)
    ]
  end

  defp flood(world, first, until) do
    1..@senders
    |> Enum.map(&(first + 1_000_000 * &1))
    |> Enum.map(&Task.async(fn -> send_lists(world, &1, until, 0) end))
    |> Task.await_many(:infinity)
    |> Enum.sum()
  end

  @list 200
  defp send_lists(world, n, until, count) do
    if System.monotonic_time(:millisecond) >= until do
      count
    else
      {:ok, replies} = Compute.submit(world, Enum.map(n..(n + @list - 1), &action/1))
      accepted = Enum.count(replies, &(&1.status == :accepted))
      send_lists(world, n + @list, until, count + accepted)
    end
  end

  defp fill(world, wanted, round \\ 2) do
    if logged() < wanted do
      flood(world, 100_000_000 * round, System.monotonic_time(:millisecond) + 500)
      fill(world, wanted, round + 1)
    end
  end

  # The log from its first action on.
  defp restart(first, dir, logged) do
    Supervisor.stop(first.pid)
    File.rm_rf!(Path.join(dir, "data/worlds"))
    again = start(dir)
    replay = logged * 1_000_000 / max(again.us - first.us, 1)
    Supervisor.stop(again.pid)

    [
      row(:replay, :actions_per_s, "/s", replay),
      row(:restart, :actions, "", logged),
      row(:restart, :ms, "ms", again.us / 1000)
    ]
  end

  # Of a world at rest, and of one that ticks. Bytes are those of the cells: three for each.
  defp snapshots(frequency) do
    world = CLI.ok!(Compute.new_world(frequency: frequency, seed: 7))
    {:ok, _} = Compute.advance(world, 200)
    bytes = 3 * world.cells
    times = for _ <- 1..5, do: :timer.tc(fn -> CLI.ok!(Compute.snapshot(world)) end)
    {_, binary} = hd(times)
    restores = for _ <- 1..3, do: restore(binary)
    take = percentile(Enum.map(times, &elem(&1, 0)), 50)
    Compute.close(world)

    [
      row(:snapshot, :bytes_per_s, "B/s", bytes * 1_000_000 / take),
      row(:snapshot, :percent_of_raw, "%", 100 * byte_size(binary) / bytes),
      row(:restore, :bytes_per_s, "B/s", bytes * 1_000_000 / percentile(restores, 50))
    ]
  end

  defp restore(binary) do
    {us, world} = :timer.tc(fn -> CLI.ok!(Compute.restore(binary, [])) end)
    Compute.close(world)
    us
  end

  defp percentile(times, percent) do
    sorted = Enum.sort(times)
    Enum.at(sorted, min(div(length(sorted) * percent, 100), length(sorted) - 1))
  end

  defp row(name, metric, unit, value, baseline \\ nil, baseline_value \\ nil, ratio \\ nil) do
    %{
      "suite" => "store",
      "case" => "#{name}",
      "metric" => "#{metric}",
      "unit" => unit,
      "value" => value,
      "baseline" => baseline && "#{baseline}",
      "baseline_value" => baseline_value,
      "ratio" => ratio
    }
  end
end
