defmodule GamePlatform.CrashMatrix do
  @moduledoc """
  A game in another VM, players who act in it through WebSockets, and somebody who kills that VM and its programs at
  random. Afterwards the log is played again from nothing, and compared with what the players were told and with what
  the game came to.
  """

  import GamePlatform.Eventually
  import GamePlatform.Harm, only: [signal: 2]

  alias GamePlatform.CrashMatrix.{Check, Mirror, Players}
  alias GamePlatform.{NativePeer, OtherVM}

  @frequency 16
  @seed 5
  @programs ["gp_worker", "gp_link", "gp_edge"]
  # Each is killed at rest and at work.
  # So does a process of the game, but not often: four in five seconds would be too many for its supervisor.
  @turns [{"process", :busy} | for(target <- ["vm" | @programs], mode <- [:idle, :busy], do: {target, mode})]
  @processes ["world", "world_server", "log"]
  @rest_ms 300
  # Players come back, and then act for a while.
  @work_ms 1_200
  @stopped_ms 2_500
  @quiet_ms 90_000

  @doc """
  `opts`: `:seed`, `:dir`, `:players`; `:seconds` or `:kills`; `:snapshots`, how many are kept: with fewer than all of
  them the log is read as it grows. Returns a report, or raises with what does not hold.
  """
  def run(opts) do
    run(opts[:seed], Map.new(opts))
  rescue
    error in ExUnit.AssertionError ->
      reraise %{error | message: "seed #{opts[:seed]}: #{error.message}"}, __STACKTRACE__
  end

  defp run(seed, opts) do
    :rand.seed(:exsss, seed)
    Process.flag(:trap_exit, false)
    dir = Path.join(opts.dir, "data")
    snapshots = opts[:snapshots] || 1_000
    state = %{dir: dir, port: free_port(), snapshots: snapshots, vm: nil, vms: [], programs: [], kills: %{}}
    state = start_vm(state)
    mirror = if snapshots < 1_000, do: Mirror.start(dir)
    players = Players.start(opts.players, state.port, @frequency)
    until = if opts[:seconds], do: now_ms() + 1000 * opts.seconds, else: :never
    state = kill_until(state, players, until, opts[:kills] || :any, turns())
    answers = Players.stop(players, @quiet_ms)
    final = final(state.vm)
    # Not a polite end: whatever the last moments left unfinished is to be borne, too.
    state = note_programs(state)
    signal(state.vm.os_pid, "KILL")
    OtherVM.await_exit(state.vm.port)
    nothing_left(%{state | vms: [state.vm | state.vms]})
    mirrored = mirror && Mirror.stop(mirror)
    checked = Check.run(dir, players.told, final, mirrored)

    answers
    |> Map.merge(checked)
    |> Map.merge(%{kills: state.kills, count: Enum.sum(Map.values(state.kills)), seed: seed})
  end

  # A world that is being started again has none yet.
  defp final(vm) do
    with %{tick: nil} <- OtherVM.ask(vm, "state") do
      Process.sleep(100)
      final(vm)
    end
  end

  @doc "A report in a line or two."
  def sentence(report) do
    kills =
      report.kills
      |> Enum.group_by(fn {{target, _, _}, _} -> target end, &elem(&1, 1))
      |> Enum.map_join(", ", fn {target, counts} -> "#{Enum.sum(counts)} #{target}" end)

    how = fn what -> for({{_, ^what, _}, n} <- report.kills, reduce: 0, do: (sum -> sum + n)) end
    idle = for({{_, _, :idle}, n} <- report.kills, reduce: 0, do: (sum -> sum + n))

    "#{report.count} kills (#{kills}; #{how.(:stopped)} of them stopped before, #{how.(:both)} together with the VM, " <>
      "#{idle} at rest), seed #{report.seed}: #{report.accepted} actions acknowledged, #{report.logged} of them logged, " <>
      "#{report.refused} refused, #{report.best} a second at best and #{report.mean} in the mean while it was up; " <>
      "#{report.entries} entries, #{report.again} of them for the second time, #{report.batches} batches, " <>
      "#{report.outcomes} outcomes, #{report.snapshots} snapshots agree with the log up to tick #{report.tick}; " <>
      "executed #{inspect(report.late)} ticks after the tick told (50, 99, 100 %)"
  end

  defp free_port do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(socket)
    :gen_tcp.close(socket)
    port
  end

  # It answers lines on its input, and ends with it: without waiting until a program that is stopped reads what it was sent.
  defp start_vm(state) do
    marked = Check.marked(state.dir)

    vm =
      OtherVM.start("""
      Logger.configure(level: :error)
      {:ok, _} = Application.ensure_all_started(:game_platform)
      {:ok, _} =
        GamePlatform.start_link(name: Matrix, data_dir: #{inspect(state.dir)}, frequency: #{@frequency}, seed: #{@seed},
          ups: 50, threads: 1, snapshot_s: 1, snapshots: #{state.snapshots}, edge: [port: #{state.port}, hz: 1])
      {:ok, world} = GamePlatform.world(Matrix)
      {:ok, tick} = GamePlatform.Compute.tick(world)
      {:ok, _} = GamePlatform.port(Matrix, 30_000)
      tell.(%{os_pid: String.to_integer(System.pid()), tick: tick})
      loop = fn loop ->
        case IO.gets("") do
          "state\\n" ->
            with {:ok, world} <- GamePlatform.world(Matrix),
                 {:ok, binary} <- GamePlatform.Compute.snapshot(world),
                 {:ok, info} <- GamePlatform.Compute.snapshot_info(binary) do
              tell.(Map.take(info, [:tick, :digest]))
            else
              _ -> tell.(%{tick: nil})
            end
            loop.(loop)
          "kill world\\n" ->
            with {:ok, world} <- GamePlatform.world(Matrix), do: Process.exit(world.pid, :kill)
            loop.(loop)
          "kill " <> part ->
            part = part |> String.trim() |> String.to_existing_atom()
            with pid when is_pid(pid) <- GenServer.whereis(GamePlatform.Instance.via(Matrix, part)),
                 do: Process.exit(pid, :kill)
            loop.(loop)
          _ ->
            :erlang.halt(0, flush: false)
        end
      end
      loop.(loop)
      """)

    if vm.tick < marked do
      raise ExUnit.AssertionError,
        message: "the world goes on at tick #{vm.tick}, and #{marked - 1} is marked"
    end

    %{state | vm: vm}
  end

  # Each kind of kill once, in a random order, and then again.
  defp turns, do: Enum.shuffle(@turns)

  defp kill_until(state, _, _, 0, _), do: state
  defp kill_until(state, players, until, left, []), do: kill_until(state, players, until, left, turns())

  defp kill_until(state, players, until, left, [{target, mode} | turns]) do
    Players.act(players, mode == :busy)
    Process.sleep(if mode == :busy, do: 200 + :rand.uniform(@work_ms), else: 50 + :rand.uniform(@rest_ms))

    # Any atom is greater than any number.
    if now_ms() >= until do
      state
    else
      how = how(target)
      state = state |> note_programs() |> kill(target, how)
      state = %{state | kills: Map.update(state.kills, {target, how, mode}, 1, &(&1 + 1))}
      left = if left == :any, do: :any, else: left - 1
      kill_until(state, players, until, left, turns)
    end
  end

  defp how(target) when target in ["vm", "process"], do: :killed
  defp how(_), do: Enum.random([:killed, :killed, :stopped, :both])

  defp kill(state, "vm", _), do: kill_vm(state)

  defp kill(state, "process", _) do
    Port.command(state.vm.port, "kill #{Enum.random(@processes)}\n")
    state
  end

  defp kill(state, program, how) do
    os_pids = programs(state.vm.os_pid, program)
    if how == :stopped, do: signal_each(os_pids, "STOP", @stopped_ms)
    # One that hangs so long has been replaced meanwhile.
    signal_each(os_pids, "KILL", if(how == :both, do: 30, else: 0))
    if how == :both, do: kill_vm(put_in(state.vm[:alone], true)), else: state
  end

  defp signal_each(os_pids, name, then_ms) do
    Enum.each(os_pids, &signal(&1, name))
    if then_ms > 0, do: Process.sleep(:rand.uniform(then_ms))
  end

  defp kill_vm(state) do
    signal(state.vm.os_pid, "KILL")
    OtherVM.await_exit(state.vm.port)
    start_vm(%{state | vms: [state.vm | state.vms]})
  end

  defp note_programs(state) do
    os_pids = for program <- @programs, os_pid <- programs(state.vm.os_pid, program), do: os_pid
    %{state | programs: Enum.uniq(os_pids ++ state.programs)}
  end

  @doc "The programs of that name that a VM has started: it is the parent of their parent."
  def programs(vm, name) do
    for entry <- File.ls!("/proc"),
        {os_pid, ""} <- [Integer.parse(entry)],
        {^name, parent} <- [stat(os_pid)],
        {_, ^vm} <- [stat(parent)],
        do: os_pid
  end

  defp stat(os_pid) do
    with {:ok, text} <- File.read("/proc/#{os_pid}/stat"),
         [_, name, parent] <- Regex.run(~r/^\d+ \((.*)\) \S (\d+)/s, text) do
      {name, String.to_integer(parent)}
    else
      _ -> nil
    end
  end

  # No process, no socket or other file, and no lock.
  defp nothing_left(state) do
    wait_until(fn -> not Enum.any?(state.programs, &NativePeer.alive?/1) end)

    for vm <- state.vms do
      # Where a program is killed together with the VM there is nobody to remove its directory.
      unless vm[:alone], do: wait_until(fn -> File.ls!(vm.dir) == [] end)
      File.rm_rf!(vm.dir)
    end

    wait_until(fn -> match?({:error, :econnrefused}, :gen_tcp.connect({127, 0, 0, 1}, state.port, [])) end)
  end

  defp now_ms, do: System.monotonic_time(:millisecond)
end
