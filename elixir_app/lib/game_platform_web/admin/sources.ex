defmodule GamePlatformWeb.Admin.Sources do
  @moduledoc """
  What there is to tell of a running platform: health and metrics of its world, its workers, its edge and the VM.

  Metrics begin with `game_platform_`. Times are in seconds, sizes in bytes; counters end in `_total` and begin
  at zero again when what they count is started anew.
  """

  alias GamePlatform.{Compute, Instance, Persistence, Transport}
  alias GamePlatformWeb.Admin.{Metrics, Visitors}

  @type part :: %{required(:part) => String.t(), required(:status) => atom, optional(atom) => term}

  @worker_counters [
    submitted: "Calls that were handed to the worker.",
    hits: "Calls answered while the caller spun.",
    parks: "Calls answered by message.",
    wakes: "Times the worker had to be woken.",
    busy: "Calls refused because the ring was full.",
    taken: "Calls that the worker has taken.",
    sleeps: "Times the worker went to sleep.",
    spins_won: "Times the worker found work while it stayed awake."
  ]
  # Of the statistics of an edge; everything else only grows.
  @edge_gauges [:connections, :websockets, :longpolls, :subscriptions, :keys, :api_waiting]
  @memory [:processes, :atom, :binary, :code, :ets]

  @doc """
  The options `:parts` and `:metrics` of `GamePlatformWeb.Admin.start_link/1` for an instance: its world
  and how that is kept, its sessions and their mail, the workers, the VM, and its `GamePlatform.Transport` if it has one. Keyword lists, to be added to.
  """
  @spec options(atom, atom) :: [parts: keyword, metrics: keyword]
  def options(name \\ GamePlatform, transport \\ nil) do
    parts = [
      world: fn -> [world_part(name)] end,
      kept: fn -> kept_parts(name) end,
      sessions: fn -> Visitors.parts(name) end,
      workers: &worker_parts/0
    ]

    metrics = [
      world: fn -> world(name) end,
      kept: fn -> kept(name) end,
      sessions: fn -> Visitors.metrics(name) end,
      workers: &workers/0,
      vm: &vm/0
    ]

    if transport do
      [
        parts: parts ++ [edge: fn -> [edge_part(transport)] end],
        metrics: metrics ++ [edge: fn -> transport |> Transport.stats() |> transport() end]
      ]
    else
      [parts: parts, metrics: metrics]
    end
  end

  @doc "The health of the edge of a `GamePlatform.Transport`."
  @spec edge_part(atom) :: part
  def edge_part(transport) do
    case Transport.stats(transport) do
      %{edge: %{os_pid: os_pid, restarts: restarts}} = stats ->
        stats
        |> Map.take([:connections, :channels])
        |> Map.merge(%{part: "edge", status: :up, os_pid: os_pid, restarts: restarts})

      stats ->
        stats |> Map.take([:connections, :channels]) |> Map.merge(%{part: "edge", status: :down})
    end
  end

  defp transport(%{edge: edge, egress: egress, channels: channels}) do
    [
      gauge("channels", "Channels that clients have joined, now.", [{%{}, channels}]),
      gauge("egress_waiting", "Commands that wait for the edge, now.", [{%{}, egress.waiting}]),
      gauge("egress_waiting_bytes", "Their bytes.", [{%{}, egress.bytes}]),
      counter("egress_sent", "Commands that were sent to the edge.", [{%{}, egress.sent}]),
      counter("egress_dropped", "Steps of streams that were dropped because the edge took nothing.", [
        {%{}, egress.dropped}
      ]),
      counter("egress_stalls", "Times that the edge took nothing.", [{%{}, egress.stalls}])
    ] ++ edge(edge && Map.delete(edge, :os_pid))
  end

  @doc "The health of an instance's world."
  @spec world_part(atom) :: part
  def world_part(name \\ GamePlatform) do
    case GamePlatform.stats(name) do
      {:error, reason} ->
        %{part: "world", status: :down, name: inspect(name), reason: reason}

      stats ->
        stats
        |> Map.take([:tick, :ups, :target_ups, :missed, :backend, :frequency])
        |> Map.merge(%{part: "world", status: :up, name: inspect(name)})
    end
  end

  @doc "The health of the event log and of the snapshots of an instance, if it keeps its world."
  @spec kept_parts(atom) :: [part]
  def kept_parts(name \\ GamePlatform) do
    case Persistence.info(name) do
      nil ->
        # It is to be kept, and is not at this moment.
        if Process.whereis(Instance.data(name)), do: [%{part: "log", status: :down}], else: []

      %{log: log, snapshots: snapshots} ->
        log_status = if log.status == :ok, do: :up, else: log.status
        snapshots_status = if snapshots.error, do: :failing, else: :up

        [
          log |> Map.drop([:idle, :status]) |> Map.merge(%{part: "log", status: log_status}),
          Map.merge(snapshots, %{part: "snapshots", status: snapshots_status})
        ]
    end
  end

  @doc "Metrics of the event log and of the snapshots."
  @spec kept(atom) :: [Metrics.metric()]
  def kept(name \\ GamePlatform) do
    case Persistence.info(name) do
      nil -> []
      %{log: log, snapshots: snapshots, link: link} -> log(log) ++ snapshots(snapshots) ++ link(link)
    end
  end

  defp log(log) do
    [
      gauge("log_up", "Whether the event log can be written.", [{%{}, if(log.status == :ok, do: 1, else: 0)}]),
      gauge("log_waiting", "Actions that are not on the disk yet.", [{%{}, log.waiting}]),
      gauge("log_commit_seconds", "Duration of the last commit.", [{%{}, log.commit_us / 1_000_000}]),
      counter("log_commits", "Commits.", [{%{}, log.commits}]),
      counter("log_failures", "Commits that failed.", [{%{}, log.failures}])
    ]
  end

  defp snapshots(snapshots) do
    last = fn key, unit -> if snapshots[key], do: [{%{}, snapshots[key] / unit}], else: [] end

    [
      gauge("snapshot_tick", "Tick of the last snapshot.", last.(:tick, 1)),
      gauge("snapshot_bytes", "Its bytes.", last.(:bytes, 1)),
      gauge("snapshot_seconds", "How long it took.", last.(:duration_us, 1_000_000)),
      gauge("snapshot_age_seconds", "Time since then.", last.(:age_s, 1)),
      counter("snapshots", "Snapshots taken.", [{%{}, snapshots.taken}]),
      counter("snapshot_failures", "Snapshots that failed.", [{%{}, snapshots.failures}])
    ]
  end

  defp link(nil), do: []

  defp link(link) do
    [
      gauge("log_bytes", "Size of the event log, by file.", [
        {%{file: "database"}, link.db_bytes},
        {%{file: "wal"}, link.wal_bytes}
      ])
    ]
  end

  @doc "The health of each compute worker; `status` is `:up`, `:starting`, `:backoff` or `:down`."
  @spec worker_parts() :: [part]
  def worker_parts, do: Enum.map(Compute.info().workers, &worker_part/1)

  defp worker_part(info) do
    info
    |> Map.take([:node, :os_pid, :generation, :restarts, :in_flight, :last_exit])
    |> Map.merge(%{part: "worker", status: info.state, name: inspect(info.name)})
  end

  @doc "Metrics of an instance's world. Only `game_platform_world_up` is there while it is not running."
  @spec world(atom) :: [Metrics.metric()]
  def world(name \\ GamePlatform) do
    labels = %{name: inspect(name)}

    case GamePlatform.stats(name) do
      {:error, _} -> [gauge("world_up", "Whether the world runs.", [{labels, 0}])]
      stats -> world(stats, labels)
    end
  end

  defp world(stats, labels) do
    about = %{backend: stats.backend, frequency: stats.frequency, seed: stats.seed}
    quantiles = [{0.5, stats.tick_p50_us / 1_000_000}, {0.99, stats.tick_p99_us / 1_000_000}]

    [
      gauge("world_up", "Whether the world runs.", [{labels, 1}]),
      gauge("world_info", "What the world is made of.", [{Map.merge(labels, about), 1}]),
      counter("world_ticks", "The tick that the world is at.", [{labels, stats.tick}]),
      counter("world_missed_ticks", "Slots of the schedule that passed unused.", [{labels, stats.missed}]),
      gauge("world_updates_per_second", "Ticks in a second.", [{labels, stats.ups}]),
      gauge("world_target_updates_per_second", "Ticks in a second that are aimed at.", [
        {labels, stats.target_ups}
      ]),
      gauge("world_cells", "Cells of the world.", [{labels, stats.cells}]),
      metric("world_tick_duration_seconds", :summary, "Duration of the ticks of the last second.", [
        {labels, %{quantiles: quantiles}}
      ])
    ]
  end

  @doc "Metrics of the compute workers."
  @spec workers() :: [Metrics.metric()]
  def workers do
    workers = Compute.info().workers
    each = fn value -> for worker <- workers, n = value.(worker), do: {%{worker: inspect(worker.name)}, n} end

    [
      gauge("worker_up", "Whether the worker serves.", each.(&if(&1.state == :up, do: 1, else: 0))),
      counter("worker_restarts", "Times the worker was started again.", each.(& &1.restarts)),
      gauge("worker_in_flight", "Calls under way.", each.(& &1[:in_flight])),
      gauge("worker_slots", "Calls that may be under way.", each.(& &1[:slots]))
    ] ++ for {key, help} <- @worker_counters, do: counter("worker_#{key}", help, each.(& &1[key]))
  end

  @doc "Metrics of the VM."
  @spec vm() :: [Metrics.metric()]
  def vm do
    memory = :erlang.memory()
    known = Keyword.take(memory, @memory)
    other = memory[:total] - (known |> Keyword.values() |> Enum.sum())
    {{:input, input}, {:output, output}} = :erlang.statistics(:io)
    info = &:erlang.system_info/1

    [
      gauge(
        "vm_memory_bytes",
        "Memory that the VM has allocated, by what it is for.",
        for({kind, bytes} <- known ++ [other: other], do: {%{kind: kind}, bytes})
      ),
      gauge("vm_processes", "Processes.", [{%{}, info.(:process_count)}]),
      gauge("vm_processes_limit", "Processes that there may be.", [{%{}, info.(:process_limit)}]),
      gauge("vm_ports", "Ports.", [{%{}, info.(:port_count)}]),
      gauge("vm_atoms", "Atoms.", [{%{}, info.(:atom_count)}]),
      gauge("vm_schedulers_online", "Schedulers that are used.", [{%{}, info.(:schedulers_online)}]),
      gauge("vm_run_queue", "Processes that are ready and wait for a scheduler.", [
        {%{}, :erlang.statistics(:total_run_queue_lengths_all)}
      ]),
      gauge("vm_uptime_seconds", "Time since the VM started.", [{%{}, uptime_s()}]),
      counter("vm_reductions", "Work done, in reductions.", [{%{}, elem(:erlang.statistics(:reductions), 0)}]),
      counter("vm_context_switches", "Times a scheduler took up another process.", [
        {%{}, elem(:erlang.statistics(:context_switches), 0)}
      ]),
      counter("vm_garbage_collections", "Garbage collections.", [
        {%{}, elem(:erlang.statistics(:garbage_collection), 0)}
      ]),
      counter("vm_io_bytes", "Bytes through ports.", [
        {%{direction: :in}, input},
        {%{direction: :out}, output}
      ])
    ]
  end

  defp uptime_s, do: (:erlang.monotonic_time() - :erlang.system_info(:start_time)) / second()
  defp second, do: System.convert_time_unit(1, :second, :native)

  @doc """
  Metrics of an edge from the answer to its call `stats`: a map of numbers by name, in which `refused` and `closed`
  are maps of numbers by reason. Without an answer, `nil` or an error, only `game_platform_edge_up` is there.

      iex> alias GamePlatformWeb.Admin.{Metrics, Sources}
      iex> {text, []} = Metrics.render(Sources.edge(%{websockets: 2, bytes_in: 10, refused: %{origin: 1}}))
      iex> text |> String.split("\\n") |> Enum.reject(&(&1 == "" or &1 =~ "# HELP"))
      [
        "# TYPE game_platform_edge_up gauge",
        "game_platform_edge_up 1",
        "# TYPE game_platform_edge_bytes_in_total counter",
        "game_platform_edge_bytes_in_total 10",
        "# TYPE game_platform_edge_refused_total counter",
        ~S(game_platform_edge_refused_total{reason="origin"} 1),
        "# TYPE game_platform_edge_websockets gauge",
        "game_platform_edge_websockets 2"
      ]
  """
  @spec edge(%{optional(atom) => integer | map} | nil | {:error, term}) :: [Metrics.metric()]
  def edge(%{} = stats) do
    [
      gauge("edge_up", "Whether the edge serves.", [{%{}, 1}])
      | stats |> Enum.sort() |> Enum.flat_map(&of_edge/1)
    ]
  end

  def edge(_), do: [gauge("edge_up", "Whether the edge serves.", [{%{}, 0}])]

  defp of_edge({name, by_reason}) when is_map(by_reason) do
    samples = for {reason, n} <- Enum.sort(by_reason), do: {%{reason: reason}, n}
    [counter("edge_#{name}", "#{help(name)}, by reason.", samples)]
  end

  defp of_edge({name, n}) when name in @edge_gauges,
    do: [gauge("edge_#{name}", "#{help(name)}, now.", [{%{}, n}])]

  defp of_edge({name, n}), do: [counter("edge_#{name}", "#{help(name)}, since the edge started.", [{%{}, n}])]

  defp help(name), do: name |> Atom.to_string() |> String.replace("_", " ") |> String.capitalize()

  defp gauge(name, help, samples), do: metric(name, :gauge, help, samples)
  defp counter(name, help, samples), do: metric(name <> "_total", :counter, help, samples)

  defp metric(name, type, help, samples),
    do: %{name: "game_platform_" <> name, type: type, help: help, samples: samples}
end
