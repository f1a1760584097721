for file <- ["server", "contestants"], do: Code.require_file("edge/#{file}.exs", __DIR__)

defmodule GamePlatform.Bench.Edge do
  # What sockets cost: answers, broadcasts, and being there. `bench/README.md` says how each case is measured.

  import GamePlatform.Bench.Edge.Contestants, only: [command: 2, measured: 2, memory: 1, processes: 1]

  alias GamePlatform.Bench.Edge.Contestants

  @bytes 512
  # Deliveries a second that are asked for where cost and latency are measured: a part of what there is room for.
  @offered 20_000

  def run(quick?, load) do
    unless File.exists?("/proc/self/smaps_rollup"), do: Mix.raise("the suite edge reads /proc of Linux")
    contestants = Contestants.start(load)

    try do
      cases(contestants, plan(quick?))
    after
      Contestants.stop(contestants)
    end
  end

  defp plan(true),
    do: %{
      rounds: 1,
      idle: 2_000,
      settle_ms: 2_000,
      fanout_s: 2,
      burst: 60_000,
      diff_s: 5,
      replies: {5, 1_000}
    }

  # Phoenix has its channels hibernate after 15 s.
  defp plan(false),
    do: %{
      rounds: 3,
      idle: 10_000,
      settle_ms: 20_000,
      fanout_s: 5,
      burst: 200_000,
      diff_s: 20,
      replies: {15, 2_000}
    }

  # From many sockets to few, so that each is opened once.
  defp cases(all, plan) do
    idle = idle_socket(all, plan)
    many = [fanout(all, 10_000, plan), diff(all, plan), fanout(all, 2_000, plan), fanout(all, 500, plan)]
    few = [reply(:reply_100, all, 100, plan), reply_on_one_core(all, plan), reply(:reply_1, all, 1, plan)]
    List.flatten([Enum.reverse(few), Enum.reverse(many), idle])
  end

  defp idle_socket(contestants, %{idle: sockets, settle_ms: ms}) do
    bytes =
      for contestant <- contestants do
        # Code is loaded and tables are made by the first.
        command(contestant, ["sockets", 1])
        command(contestant, ["echo", 1, 100])
        command(contestant, ["fanout", 0, 10, @bytes])
        before = memory(contestant)
        command(contestant, ["sockets", sockets + 1])
        command(contestant, ["rest", ms])
        grown = for {part, bytes} <- memory(contestant), do: {part, (bytes - before[part]) / sockets}
        parts = if length(grown) > 1, do: grown, else: []

        [{:bytes, "B", grown |> Keyword.values() |> Enum.sum(), :less}] ++
          for({part, bytes} <- parts, do: {:"#{part}_bytes", "B", bytes, nil})
      end

    rows(:idle_socket, contestants, [bytes])
  end

  defp fanout(contestants, sockets, plan) do
    rate = div(@offered, sockets)

    rounds(:"fanout_#{sockets}", contestants, sockets, plan.rounds, fn contestant ->
      {report, cpu} = measured(contestant, ["fanout", rate, rate * plan.fanout_s, @bytes])
      burst = command(contestant, ["fanout", 0, div(plan.burst, sockets), @bytes])

      cpu(cpu, report, "_us_per_delivery") ++
        [
          {:deliveries_per_s, "/s", burst["messages"] / burst["seconds"], :more},
          {:p99_ms, "ms", report["p99_us"] / 1_000, :less}
        ]
    end)
  end

  # A diff a second for everyone, as a slow world has it.
  defp diff(contestants, %{diff_s: seconds}) do
    rounds(:diff_10000, contestants, 10_000, 1, fn contestant ->
      {_, cpu} = measured(contestant, ["fanout", 1, seconds, @bytes])
      [{:cpu_percent, "%", Enum.sum(Map.values(cpu)) / seconds / 10_000, :less}]
    end)
  end

  # Who shares a core with whom decides more than the work: this is without it.
  defp reply_on_one_core(contestants, plan) do
    if System.find_executable("taskset") do
      cores = Enum.flat_map(contestants, &pin/1)

      try do
        reply(:reply_1_one_core, contestants, 1, plan)
      after
        for {pid, cores} <- cores, do: taskset(pid, cores)
      end
    else
      []
    end
  end

  # To the first core that it may use, all threads; where it was before.
  defp pin(contestant) do
    for pid <- processes(contestant) do
      [_, cores, first] = Regex.run(~r/Cpus_allowed_list:\s*((\d+)\S*)/, File.read!("/proc/#{pid}/status"))
      taskset(pid, first)
      {pid, cores}
    end
  end

  defp taskset(pid, cores) do
    {_, 0} = System.cmd("taskset", ["-a", "-c", "-p", cores, "#{pid}"], stderr_to_stdout: true)
  end

  defp reply(name, contestants, clients, %{replies: {rounds, count}}) do
    for contestant <- contestants do
      command(contestant, ["sockets", clients])
      command(contestant, ["echo", 1, 500])
    end

    rounds(name, contestants, clients, rounds, fn contestant ->
      {report, cpu} = measured(contestant, ["echo", clients, count])

      [{:p50_us, "us", report["p50_us"], :less}, {:p99_us, "us", report["p99_us"], :less}] ++
        cpu(cpu, report, "_us")
    end)
  end

  # Of the server, and where it goes; the load client is no part of the sum.
  defp cpu(cpu, %{"messages" => messages} = report, suffix) do
    parts = if map_size(cpu) > 1, do: Map.put(cpu, :client, report["cpu_us"]), else: %{}
    sum = {:"cpu#{suffix}", "us", Enum.sum(Map.values(cpu)) / messages, :less}
    [sum | for({part, us} <- parts, do: {:"#{part}_cpu#{suffix}", "us", us / messages, nil})]
  end

  # Contestants take turns. Sockets that have just closed are still work for the server.
  defp rounds(name, contestants, sockets, rounds, fun) do
    for contestant <- contestants, do: command(contestant, ["sockets", sockets])
    for contestant <- contestants, do: command(contestant, ["rest", 1_000])
    rows(name, contestants, for(_ <- 1..rounds, do: Enum.map(contestants, fun)))
  end

  defp rows(name, contestants, rounds) do
    [ours | theirs] = rounds |> Enum.zip_with(&medians/1)
    rivals = contestants |> tl() |> Enum.map(& &1.name)

    for {metric, unit, value, better} <- ours do
      {rival, their_value} =
        with true <- better != nil, [rival | _] <- rivals, [their | _] <- theirs do
          {rival, Enum.find_value(their, fn {other, _, value, _} -> if other == metric, do: value end)}
        else
          _ -> {nil, nil}
        end

      row(name, metric, unit, value, rival, their_value, ratio(better, value, their_value))
    end
  end

  defp medians(rounds) do
    Enum.zip_with(rounds, fn [{metric, unit, _, better} | _] = same ->
      values = same |> Enum.map(&elem(&1, 2)) |> Enum.sort()
      {metric, unit, Enum.at(values, div(length(values), 2)), better}
    end)
  end

  defp ratio(_, _, nil), do: nil
  defp ratio(:more, ours, theirs), do: ours / theirs
  defp ratio(:less, ours, theirs), do: theirs / max(ours, 1.0e-9)

  defp row(name, metric, unit, value, rival, rival_value, ratio) do
    %{
      "suite" => "edge",
      "case" => "#{name}",
      "metric" => "#{metric}",
      "unit" => unit,
      "value" => value,
      "baseline" => rival && "#{rival}",
      "baseline_value" => rival_value,
      "ratio" => ratio
    }
  end
end
