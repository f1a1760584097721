for file <- ["http", "clients"], do: Code.require_file("sessions/#{file}.exs", __DIR__)

defmodule GamePlatform.Bench.Sessions do
  # What a player waits for on each transport, and what sessions cost. `bench/README.md` says what each case asks.

  alias GamePlatform.Bench.Sessions.{Clients, Http}
  alias GamePlatform.{Instance, Sessions, Transport}

  @name GamePlatform.Bench.Sessions.Instance
  @transports [:websocket, :longpoll, :poll, :mailbox]
  # Of all sessions together, in a second.
  @actions 200
  @beat_ms 100
  @settle_ms 3_000
  @makers 16
  @note String.duplicate("x", 100)
  # They come from one address.
  @limits %{
    max_connections: 50_000,
    per_ip: 50_000,
    requests: 50_000,
    requests_per_ip: 50_000,
    request_rate: 1_000_000,
    request_burst: 1_000_000,
    # They keep their connections while they wait.
    header_ms: 600_000
  }

  def run(quick?) do
    unless File.exists?("/proc/self/smaps_rollup"), do: Mix.raise("the suite sessions reads /proc of Linux")
    dir = Path.join(System.tmp_dir!(), "gp_bench_sessions#{System.pid()}")
    File.rm_rf!(dir)
    File.mkdir_p!(dir)

    try do
      plan = plan(quick?)

      played = with_game([data_dir: Path.join(dir, "1"), frequency: 128], &latencies(&1, plan))
      unread = with_game([data_dir: Path.join(dir, "2"), frequency: 24], &unread/1)
      # A world without an economy has no players, and as many sessions as there are.
      played ++ unread ++ with_game([frequency: 24, ruleset: {:text, field()}], &idle(&1, plan))
    after
      File.rm_rf!(dir)
    end
  end

  defp with_game(options, fun) do
    # The field is another question.
    edge = [port: 0, hz: 1, limits: @limits, connect_rate: 100_000, connect_burst: 1_000_000]
    {:ok, game} = GamePlatform.start_link([name: @name, ups: 20, edge: edge] ++ options)
    {:ok, port} = GamePlatform.port(@name)
    rows = fun.(port)
    Supervisor.stop(game)
    rows
  end

  defp field do
    text = :game_platform |> Application.app_dir("priv/rulesets/default.toml") |> File.read!()
    [field, _] = String.split(text, "\n# The economy:")
    field
  end

  defp plan(true), do: %{sessions: 200, seconds: 10, idle: 2_000}
  defp plan(false), do: %{sessions: 1_000, seconds: 60, idle: 20_000}

  # As many on each transport, each acting at a time of its own, and some in the VM that do the same without any.
  defp latencies(port, %{sessions: sessions, seconds: seconds}) do
    every_ms = div(sessions * 1_000, @actions)
    count = fn transport -> div(sessions, if(transport == :multiplayer, do: 20, else: 4)) end

    # To find a home takes longer than all else, so they come one after another.
    tasks =
      for transport <- @transports ++ [:multiplayer] do
        for number <- 1..count.(transport) do
          task = Clients.start(transport, %{port: port, game: @name, number: number, every_ms: every_ms})
          receive(do: (:ready -> task))
        end
      end

    begin = System.monotonic_time(:millisecond) + @settle_ms

    for {some, n} <- Enum.with_index(tasks),
        {task, number} <- Enum.with_index(some),
        do: Clients.go(task, begin + div(every_ms * number, length(some)) + n * 7)

    Process.sleep(@settle_ms)
    beats(begin + seconds * 1_000)
    tasks |> Enum.concat() |> Enum.each(&Clients.stop/1)
    found = for some <- tasks, do: some |> Task.await_many(300_000) |> Enum.concat()
    report(Enum.zip(@transports ++ [:multiplayer], found))
  end

  defp beats(until) do
    if System.monotonic_time(:millisecond) < until do
      {:ok, _} = Sessions.publish(@name, "beat", %{us: System.monotonic_time(:microsecond)})
      Process.sleep(@beat_ms)
      beats(until)
    end
  end

  defp report(found) do
    times =
      for {who, all} <- found,
          {what, us} <- all,
          reduce: %{},
          do: (map -> Map.update(map, {who, what}, [us], &[us | &1]))

    bare = times[{:multiplayer, :action}]

    actions =
      for transport <- @transports, {metric, percent} <- [p50_ms: 50, p99_ms: 99] do
        value = percentile(times[{transport, :action}], percent) / 1000
        rival = percentile(bare, percent) / 1000
        row(:"action_#{transport}", metric, "ms", value, :multiplayer, rival, rival / value)
      end

    more =
      for {name, key} <- [delivery: {:websocket, :delivery}, mailbox_round_trip: {:mailbox, :round_trip}],
          {metric, percent} <- [p50_ms: 50, p99_ms: 99],
          do: row(name, metric, "ms", percentile(times[key], percent) / 1000)

    actions ++ more
  end

  defp percentile(times, percent) do
    sorted = Enum.sort(times)
    Enum.at(sorted, min(div(length(sorted) * percent, 100), length(sorted) - 1))
  end

  # Memory

  defp unread(port) do
    socket = Http.connect(port)
    players = for _ <- 1..20, do: Http.session(socket)["player_id"]
    before = memory()

    for player <- players,
        n <- 1..1_000,
        do: {:ok, _} = Sessions.tell(@name, player, "note", %{n: n, text: @note})

    grown = (total(memory()) - total(before)) / length(players)
    :gen_tcp.close(socket)
    [row(:unread_1000, :bytes, "B", grown)]
  end

  # Nobody is connected: each has been made, and waits for its player to come again.
  defp idle(port, %{idle: count}) do
    before = memory()

    {us, _} =
      :timer.tc(fn ->
        1..@makers
        |> Enum.map(fn _ -> Task.async(fn -> make(port, div(count, @makers)) end) end)
        |> Task.await_many(600_000)
      end)

    now = memory()
    %{sessions: there} = Sessions.info(@name)

    parts =
      for part <- [:beam, :edge],
          do: row(:idle_session, :"#{part}_bytes", "B", (now[part] - before[part]) / count)

    [row(:connect, :sessions_per_s, "/s", count * 1_000_000 / us)] ++
      [row(:idle_session, :bytes, "B", (total(now) - total(before)) / count)] ++
      parts ++
      [row(:sessions_at_once, :sessions, "", there), row(:sessions_at_once, :bytes, "B", total(now))]
  end

  defp make(port, count) do
    socket = Http.connect(port)
    for _ <- 1..count, do: Http.session(socket)
    :gen_tcp.close(socket)
  end

  # Of the whole VM and its edge, when all that can be given back has been.
  defp memory do
    for pid <- Process.list(), do: :erlang.garbage_collect(pid)
    %{edge: %{os_pid: edge}} = Transport.stats(Instance.transport(@name))
    %{beam: :erlang.memory(:total), edge: pss(edge)}
  end

  defp total(memory), do: memory.beam + memory.edge

  defp pss(pid) do
    [_, kib] = Regex.run(~r/^Pss:\s+(\d+) kB$/m, File.read!("/proc/#{pid}/smaps_rollup"))
    String.to_integer(kib) * 1024
  end

  defp row(name, metric, unit, value, baseline \\ nil, baseline_value \\ nil, ratio \\ nil) do
    %{
      "suite" => "sessions",
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
