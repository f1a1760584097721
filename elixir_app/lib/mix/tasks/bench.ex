defmodule Mix.Tasks.Bench do
  @shortdoc "Runs benchmarks, each beside a rival in the same run"
  @moduledoc """
  Runs benchmarks and prints a table. `bench/README.md` says what each asks and how it is measured.

      mix bench ipc
      mix bench all --quick --json results.json

  Suites: `ipc`, `tick`, `edge`, `store`, `sessions`, `all`. `--quick` stays under a minute each. `PHOENIX_PATH` names a built Phoenix
  application that `edge` measures beside ours, `bench/README.md` says which. `--json FILE` writes
  `{"machine": {…}, "results": [{"suite", "case", "metric", "unit", "value", "baseline", "baseline_value",
  "ratio"}]}`; `-` is standard output, and then the table goes to standard error.
  """
  use Mix.Task

  alias GamePlatform.{CLI, Compute, JSON}
  alias Mix.Tasks.Compile.Native

  @requirements ["app.start"]
  @suites ["ipc", "tick", "edge", "store", "sessions"]

  @impl true
  def run(args) do
    if Mix.Project.config()[:app] != :game_platform do
      Mix.raise("the benchmarks need the sources: run `mix bench` in a checkout of game_platform")
    end

    {suites, opts} = parse!(args)
    # Thousands of clients connect, and a line for each is neither a figure nor free.
    Logger.configure(level: :warning)
    if opts[:json] not in [nil, "-"], do: CLI.writable!(opts[:json])
    print = if opts[:json] == "-", do: &IO.puts(:stderr, &1), else: &IO.puts/1
    results = Enum.flat_map(suites, &suite(&1, opts[:quick] == true, print))
    print.(table(results))

    if file = opts[:json] do
      json = JSON.encode!(%{machine: machine(), results: results})
      if file == "-", do: IO.puts(json), else: File.write!(file, json <> "\n")
    end
  end

  defp parse!(args) do
    if Enum.any?(args, &(&1 in ["--help", "-h"])) do
      Mix.Task.run("help", ["bench"])
      System.halt(0)
    end

    case OptionParser.parse(args, strict: [json: :string, quick: :boolean]) do
      {opts, names, []} ->
        names = Enum.uniq(names)

        case names -- ["all" | @suites] do
          [] -> {if(names == [] or "all" in names, do: @suites, else: names), opts}
          [name | _] -> Mix.raise("no suite #{inspect(name)}; there are #{Enum.join(@suites, ", ")}, all")
        end

      {_, _, [{flag, _} | _]} ->
        Mix.raise("#{flag} is unknown or lacks its value; see `mix help bench`")
    end
  end

  # What is measured from Elixir lies beside the native benchmarks, and is compiled when it is run.
  defp suite("ipc", quick?, print) do
    print.("ipc: a call to another process through shared memory, beside other ways to make one")
    raw_spin = for row <- native("spin", quick?), do: {String.to_atom(row["metric"]), row["value"]}
    [{module, _}] = root() |> Path.join("bench/ipc.exs") |> Code.require_file()
    module.run(quick?, raw_spin)
  end

  defp suite("tick", quick?, print) do
    print.("tick: the field rule at f = 1000, one thread, every row acting, beside its rivals")
    rows = native("tick", quick?)
    dense = Enum.find(rows, &(&1["case"] == "field_dense"))
    beam = beam_cells_per_s(if quick?, do: 1, else: 3)

    slow = %{
      dense
      | "baseline" => "beam",
        "baseline_value" => beam,
        "ratio" => dense["value"] / beam
    }

    List.insert_at(rows, Enum.count(rows, &(&1["case"] == "field_dense")), slow)
  end

  defp suite("edge", quick?, print) do
    print.("edge: sockets of Phoenix channels that ask, listen or are just there")
    {cargo, args} = gp_bench(["edge-load"])
    # Its time to build is nobody's latency.
    {_, 0} = System.cmd(cargo, ["build" | tl(Enum.take_while(args, &(&1 != "--")))], cd: root())
    module = [root(), "bench/edge.exs"] |> Path.join() |> Code.require_file() |> List.last() |> elem(0)
    module.run(quick?, {cargo, args})
  end

  defp suite("store", quick?, print) do
    print.("store: actions that are answered when they are on disk, snapshots, and a restart")
    [{module, _}] = root() |> Path.join("bench/store.exs") |> Code.require_file()
    module.run(quick?)
  end

  defp suite("sessions", quick?, print) do
    print.("sessions: players on each transport, what they wait for an outcome, and what being there costs")
    module = [root(), "bench/sessions.exs"] |> Path.join() |> Code.require_file() |> List.last() |> elem(0)
    module.run(quick?)
  end

  # The specification in Elixir with every row acting, on a world that it can hold.
  defp beam_cells_per_s(ticks) do
    text = :game_platform |> Application.app_dir("priv/rulesets/default.toml") |> File.read!()
    dense = String.replace(text, "beat = 16", "beat = 1")
    world = CLI.ok!(Compute.new_world(seed: 7, frequency: 48, backend: :beam, ruleset: {:text, dense}))
    CLI.ok!(Compute.advance(world, 1))
    {us, _} = :timer.tc(fn -> CLI.ok!(Compute.advance(world, ticks)) end)
    Compute.close(world)
    world.cells * ticks * 1_000_000 / us
  end

  defp native(suite, quick?) do
    {cargo, args} = gp_bench([suite | if(quick?, do: ["--quick"], else: [])])

    case System.cmd(cargo, args, cd: root()) do
      {lines, 0} -> for line <- String.split(lines, "\n", trim: true), do: CLI.ok!(JSON.decode(line))
      {_, status} -> Mix.raise("gp_bench stopped with status #{status}, see above")
    end
  end

  defp gp_bench(args) do
    {CLI.ok!(Native.find_cargo()),
     ["run", "--release", "--quiet", "-p", "bench", "--bin", "gp_bench", "--"] ++ args}
  end

  defp root, do: Path.dirname(Mix.Project.project_file())

  defp table(rows) do
    metrics = rows |> Enum.uniq_by(&{&1["case"], &1["metric"]}) |> Enum.frequencies_by(& &1["case"])

    lines =
      for row <- rows do
        ratio = if row["ratio"], do: "#{:erlang.float_to_binary(row["ratio"] / 1, decimals: 2)}x", else: ""

        rival =
          if row["baseline"], do: "#{row["baseline"]} #{figure(row["baseline_value"], row["unit"])}", else: ""

        name = if metrics[row["case"]] > 1, do: "#{row["case"]} #{row["metric"]}", else: row["case"]
        [name, figure(row["value"], row["unit"]), ratio, rival]
      end

    header = ["case", "value", "ratio", "rival"]

    widths =
      for column <- 0..3, do: [header | lines] |> Enum.map(&String.length(Enum.at(&1, column))) |> Enum.max()

    Enum.map_join([header | lines], "\n", fn line ->
      line
      |> Enum.zip(widths)
      |> Enum.map_join("  ", fn {text, n} -> String.pad_trailing(text, n) end)
      |> String.trim_trailing()
    end)
  end

  defp figure(value, "ns"), do: "#{:erlang.float_to_binary(value / 1000, decimals: 2)} µs"
  defp figure(value, "us"), do: "#{:erlang.float_to_binary(value / 1, decimals: 2)} µs"
  defp figure(value, "ms"), do: "#{:erlang.float_to_binary(value / 1, decimals: 2)} ms"
  defp figure(value, "%"), do: "#{:erlang.float_to_binary(value / 1, decimals: 2)} %"
  defp figure(value, unit), do: "#{CLI.si(value)}#{unit}"

  defp machine do
    %{
      cpu: cpu(),
      cores: System.schedulers_online(),
      os: "#{:erlang.system_info(:system_architecture)}",
      otp: System.otp_release(),
      elixir: System.version(),
      date: Date.to_iso8601(Date.utc_today())
    }
  end

  defp cpu do
    with {:ok, text} <- File.read("/proc/cpuinfo"),
         [_, name] <- Regex.run(~r/^model name\s*:\s*(.+)$/m, text) do
      name
    else
      _ -> "unknown"
    end
  end
end
