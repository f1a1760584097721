defmodule GamePlatform.Bench.Ipc do
  # What a call to another process costs, from Elixir. `bench/README.md` says what each case asks.

  alias GamePlatform.{CLI, Compute, Native}
  alias GamePlatform.Compute.{Ring, Worker}

  @payload 65_536
  @callers 8
  @idle_ms 5

  def run(quick?, raw_spin) do
    {:ok, up} = Worker.up()
    port = Port.open({:spawn_executable, System.find_executable("cat")}, [:binary, :stream])
    rounds = if quick?, do: 5, else: 15

    hot = [
      ping_hot: fn -> {:ok, _} = Compute.ping() end,
      distribution: fn -> :pong = GenServer.call(up.server, :ping) end,
      port: fn -> <<0>> = through(port, <<0>>) end,
      nif_empty: fn -> :ok = Native.native_nothing() end,
      nif_dirty: fn -> :ok = Native.native_nothing_dirty() end
    ]

    idle = Keyword.take(hot, [:ping_hot, :distribution, :port, :nif_dirty])

    rows =
      latencies(:ping_hot, hot, rounds, if(quick?, do: 200, else: 1_000), 0, raw_spin) ++
        latencies(:ping_idle, idle, rounds, if(quick?, do: 10, else: 40), @idle_ms, []) ++
        pipeline(up, rounds, if(quick?, do: 500, else: 2_000)) ++
        echo(up, port, rounds, if(quick?, do: 50, else: 200)) ++
        [idle_cpu(up, if(quick?, do: 5, else: 20))]

    Port.close(port)
    rows
  end

  # Contestants take turns; all samples of one are put together. What reading the clock takes is taken off.
  defp latencies(name, contestants, rounds, samples, idle_ms, more) do
    clock = sample(fn -> :ok end, 1_000, 0) |> percentile(50)

    times =
      for(_ <- 1..rounds, {who, fun} <- contestants, do: {who, sample(fun, samples, idle_ms)})
      |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
      |> Map.new(fn {who, rounds} -> {who, Enum.concat(rounds)} end)

    ours = times[:ping_hot]

    for {metric, percent} <- [p50_ns: 50, p99_ns: 99],
        {who, theirs} <- Map.to_list(Map.delete(times, :ping_hot)) ++ [{:raw_spin, nil}],
        rival = if(theirs, do: max(percentile(theirs, percent) - clock, 1), else: more[metric]) do
      value = max(percentile(ours, percent) - clock, 1)
      row(name, metric, "ns", value, who, rival, rival / value)
    end
  end

  defp sample(fun, samples, idle_ms) do
    fun.()

    for _ <- 1..samples do
      if idle_ms > 0, do: Process.sleep(idle_ms)
      start = :erlang.monotonic_time(:nanosecond)
      fun.()
      :erlang.monotonic_time(:nanosecond) - start
    end
  end

  defp percentile(times, percent) do
    sorted = Enum.sort(times)
    Enum.at(sorted, min(div(length(sorted) * percent, 100), length(sorted) - 1))
  end

  # Several processes call as fast as they can.
  defp pipeline(up, rounds, calls) do
    [ours, theirs] =
      rates(rounds, @callers * calls, [
        fn -> crowd(calls, fn -> {:ok, _} = Compute.ping() end) end,
        fn -> crowd(calls, fn -> :pong = GenServer.call(up.server, :ping) end) end
      ])

    [row(:pipeline, :requests_per_s, "/s", ours, :distribution, theirs, ours / theirs)]
  end

  defp crowd(calls, fun) do
    1..@callers
    |> Enum.map(fn _ -> Task.async(fn -> Enum.each(1..calls, fn _ -> fun.() end) end) end)
    |> Task.await_many(:infinity)
  end

  defp echo(up, port, rounds, calls) do
    payload = :crypto.strong_rand_bytes(@payload)

    [ours | theirs] =
      rates(rounds, calls * @payload, [
        fn -> for _ <- 1..calls, do: {:ok, ^payload} = Ring.echo(up.ring, payload) end,
        fn -> for _ <- 1..calls, do: ^payload = GenServer.call(up.server, {:echo, payload}) end,
        fn -> for _ <- 1..calls, do: ^payload = through(port, payload) end
      ])

    for {who, rate} <- Enum.zip([:distribution, :port], theirs),
        do: row(:echo_64k, :bytes_per_s, "B/s", ours, who, rate, ours / rate)
  end

  # Median rates of contestants that take turns.
  defp rates(rounds, work, contestants) do
    times =
      for _ <- 1..rounds do
        for fun <- contestants, do: fun |> :timer.tc() |> elem(0)
      end

    for us <- times |> Enum.zip() |> Enum.map(&Tuple.to_list/1), do: work * 1_000_000 / percentile(us, 50)
  end

  defp through(port, data) do
    Port.command(port, data)
    collect(port, byte_size(data), [])
  end

  defp collect(_, 0, parts), do: parts |> Enum.reverse() |> IO.iodata_to_binary()

  defp collect(port, left, parts) do
    receive do
      {^port, {:data, part}} -> collect(port, left - byte_size(part), [part | parts])
    end
  end

  # Processor time of the VM and the worker while nobody asks for anything.
  defp idle_cpu(up, seconds) do
    pids = [System.pid(), "#{up.os_pid}"]
    Process.sleep(1_000)
    before = Enum.map(pids, &ticks/1)
    Process.sleep(seconds * 1_000)
    used = Enum.zip_with(pids, before, &(ticks(&1) - &2)) |> Enum.sum()
    {hz, 0} = System.cmd("getconf", ["CLK_TCK"])
    percent = 100 * used / (hz |> String.trim() |> String.to_integer()) / seconds
    row(:idle_cpu, :percent_of_a_core, "%", percent, nil, nil, nil)
  end

  defp ticks(pid) do
    fields = "/proc/#{pid}/stat" |> File.read!() |> String.split(")") |> List.last() |> String.split()
    CLI.ok!({:ok, String.to_integer(Enum.at(fields, 11)) + String.to_integer(Enum.at(fields, 12))})
  end

  defp row(name, metric, unit, value, baseline, baseline_value, ratio) do
    %{
      "suite" => "ipc",
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
