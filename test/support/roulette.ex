defmodule GamePlatform.Roulette do
  @moduledoc """
  Clients that hop between transports at random while a server's programs and processes are killed, and the network
  between fails. Each believes that it hears every message once and in order, wherever it is; all of them are compared
  at the end.
  """

  alias GamePlatform.Proxy
  alias GamePlatform.Roulette.{Check, Client, Host, Player}

  @frequency 16
  @finish_ms 60_000
  @rest_ms 350
  @stall_ms 700
  # A mailbox may be read message by message.
  @visits 3_000
  # Programs that end too often are started later and later, and a supervisor bears three ends in five seconds.
  @apart_ms %{edge: 3_000, worker: 3_000, link: 3_000, mail: 2_500, vm: 7_000}

  @doc """
  `opts`: `:seed`, `:dir`, `:clients`, `:hops` of each; `:kills`, what is killed: any of `:edge`, `:worker`, `:link`,
  `:session`, `:channel`, `:mail` and `:vm`; `:devices`, how many of the clients are one player (2); `:beat_ms` (50).
  Returns a report, or raises with what does not hold.
  """
  def run(opts) do
    opts = Map.merge(%{kills: [], devices: 2, beat_ms: 50}, Map.new(opts))

    serving(opts, fn host, proxy ->
      players = connect(opts, proxy)
      Host.begin(host)
      began = now_ms()
      tasks = for player <- players, do: Client.start(player, opts.hops, {opts.seed, player.n, 1})

      try do
        harm = harm_until(%{left: length(tasks), host: host, proxy: proxy, last: %{}, done: %{}}, opts.kills)
        Proxy.set(proxy, :pass)
        beat = Host.last_beat(host)
        for task <- tasks, do: send(task.pid, {:finish, beat})
        report = tasks |> finished() |> Check.run(Host.published(host))
        Map.merge(report, %{harm: harm, seed: opts.seed, clients: opts.clients, ms: now_ms() - began})
      after
        for task <- tasks, do: Task.shutdown(task, :brutal_kill)
      end
    end)
  end

  defp serving(opts, fun) do
    :rand.seed(:exsss, opts.seed)
    port = free_port()
    game = [frequency: @frequency, seed: 5, ups: 50, threads: 1, snapshot_s: 5]
    {:ok, host} = Host.start_link(port: port, dir: opts.dir, game: game, beat_ms: opts.beat_ms)
    {:ok, proxy} = Proxy.start_link(to: port)

    try do
      fun.(host, proxy)
    after
      GenServer.stop(proxy)
      Host.stop(host)
    end
  rescue
    error in ExUnit.AssertionError ->
      reraise %{error | message: "seed #{opts.seed}: #{error.message}"}, __STACKTRACE__
  end

  defp connect(opts, proxy) do
    port = Proxy.port(proxy)

    for n <- 1..opts.clients do
      player = max(n, opts.devices)
      secret = "roulette, player #{player} of #{opts.seed}"
      Client.connect(n: n, port: port, frequency: @frequency, secret: secret, name: "r#{player}")
    end
  end

  # One harm after another until all clients have hopped enough.
  defp harm_until(%{left: 0, done: done}, _), do: done

  defp harm_until(state, kills) do
    receive do
      {:hopped, _} -> harm_until(%{state | left: state.left - 1}, kills)
      {:wrong, error, stack} -> reraise error, stack
    after
      :rand.uniform(@rest_ms) -> state |> harm(Enum.random([:network | kills])) |> harm_until(kills)
    end
  end

  defp harm(state, :network) do
    proxy = state.proxy
    some = :rand.uniform(3)

    what =
      case :rand.uniform(7) do
        1 -> {:cut, Proxy.cut(proxy, :rst, some)}
        2 -> {:cut, Proxy.cut(proxy, :fin, some)}
        3 -> {:cut, Proxy.cut(proxy, :rst)}
        4 -> {:stall, Proxy.stall(proxy, Enum.random([:up, :down]), :rand.uniform(@stall_ms), some)}
        5 -> {:stall, Proxy.stall(proxy, :both, :rand.uniform(@stall_ms))}
        6 -> {:delay, if(Proxy.set(proxy, {:delay, :rand.uniform(20)}) == :ok, do: 1)}
        7 -> {:pass, if(Proxy.set(proxy, :pass) == :ok, do: 0)}
      end

    count(state, what)
  end

  defp harm(state, what) do
    now = now_ms()

    # The clock may be below zero.
    if state.last[what] && now - state.last[what] < Map.get(@apart_ms, what, 0) do
      state
    else
      Host.kill(state.host, what)
      count(%{state | last: Map.put(state.last, what, now)}, {what, 1})
    end
  end

  defp count(state, {what, n}), do: %{state | done: Map.update(state.done, what, n, &(&1 + n))}

  # All of them, or the first that says what is wrong.
  defp finished(tasks, found \\ [])
  defp finished([], players), do: Enum.sort_by(players, & &1.n)

  defp finished(tasks, players) do
    receive do
      {ref, %Player{} = player} ->
        Process.demonitor(ref, [:flush])
        tasks |> Enum.reject(&(&1.ref == ref)) |> finished([player | players])

      {:wrong, error, stack} ->
        reraise error, stack
    after
      @finish_ms ->
        raise ExUnit.AssertionError,
          message: "#{length(tasks)} clients do not come to an end: #{Enum.map_join(tasks, "\n", &stuck/1)}"
    end
  end

  # What it waits for is in its state, which is on its stack only.
  defp stuck(task), do: inspect(Process.info(task.pid, [:current_stacktrace, :messages]), limit: 10)

  @doc """
  Clients that are away for so long that not everything could be kept for them: one comes back over each transport,
  is told of a gap, and gets what is after it. `:notes` is how many messages it is sent meanwhile.
  """
  def absent(opts) do
    opts = Map.merge(%{beat_ms: 50, devices: 1, clients: length(transports())}, Map.new(opts))

    serving(opts, fn host, proxy ->
      players = connect(opts, proxy)
      Host.begin(host)

      for {player, transport} <- Enum.zip(players, transports()) do
        {_, player} = Client.stay(player, transport, 200)
        told = Host.tell(host, player.name, opts.notes)
        left = player.at
        player = come_back(%{player | gaps: :honest, resting: true}, transport, List.last(told), @visits)
        Check.gap(player, left, told, Host.published(host))
        {transport, length(told) - length(player.notes)}
      end
    end)
  end

  defp transports, do: GamePlatform.Roulette.Stays.transports()

  defp come_back(player, _, _, 0), do: Player.wrong!(player, "it does not get all, or no keyframe")

  defp come_back(player, transport, {:ok, last} = until, visits) do
    if player.at >= last and player.keyframes != [] do
      player
    else
      {_, player} = Client.stay(player, transport, 500)
      come_back(player, transport, until, visits - 1)
    end
  end

  @doc "A report in a line or two."
  def sentence(report) do
    "#{report.clients} clients hopped #{total(report.hops)} times (#{told(report.hops)}; #{total(report.failed)} times in " <>
      "vain) in #{div(report.ms, 1000)} s, seed #{report.seed}, while there was done: #{told(report.harm)}. " <>
      "#{report.beats} events came to each of them, and #{report.outcomes} outcomes of #{report.accepted} actions accepted " <>
      "(#{report.refused} refused; #{report.resent} times one was sent again): each once and in order"
  end

  defp told(counts), do: counts |> Enum.sort() |> Enum.map_join(", ", fn {what, n} -> "#{n} #{what}" end)
  defp total(counts), do: counts |> Map.values() |> Enum.sum()

  defp free_port do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(socket)
    :gen_tcp.close(socket)
    port
  end

  defp now_ms, do: System.monotonic_time(:millisecond)
end
