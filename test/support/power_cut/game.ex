defmodule GamePlatform.PowerCut.Game do
  @moduledoc """
  A game in another VM whose files are recorded, players who act in it there, and what must be left of it after a power
  cut at any moment.
  """

  alias GamePlatform.{Compute, Instance, OtherVM, PowerCut}
  alias GamePlatform.Compute.Actions
  alias GamePlatform.CrashMatrix.Check
  alias GamePlatform.Persistence.{Link, Snapshots}

  @frequency 8
  @seed 3
  @players 30

  @doc "Plays for so long, and returns what was done to the files."
  def record(dir, ms, snapshots) do
    journal = Path.join(dir, "journal")
    data = Path.join(dir, "data")
    File.mkdir!(data)

    vm = OtherVM.start(script(data, ms, snapshots), PowerCut.env(data, journal: journal))

    %{acknowledged: _} = OtherVM.ask(vm, "end")
    # What it tells is lost if it halts at once.
    Port.command(vm.port, "halt\n")
    OtherVM.await_exit(vm.port)
    File.rm_rf!(vm.dir)
    PowerCut.records(journal)
  end

  # Marks are what was acknowledged as logged, a line for each.
  defp script(data, ms, snapshots) do
    """
    Logger.configure(level: :error)
    {:ok, _} = Application.ensure_all_started(:game_platform)
    alias GamePlatform.{Compute, Multiplayer}
    {:ok, _} =
      GamePlatform.start_link(name: Cut, data_dir: #{inspect(data)}, backend: :nif, frequency: #{@frequency}, seed: #{@seed},
        ups: 50, threads: 1, snapshot_s: 1, snapshots: #{snapshots})
    {:ok, writer} = Agent.start_link(fn ->
      {:ok, marks} = :file.open(#{inspect(Path.join(data, "acknowledged.mark"))}, [:append, :raw])
      marks
    end)
    until = System.monotonic_time(:millisecond) + #{ms}
    play = fn play, name, home, n ->
      if System.monotonic_time(:millisecond) < until do
        cell = Enum.random([home | Compute.neighbours(#{@frequency}, home)])
        action = Enum.random(["claim", "release", "move", "gather"])
        {:ok, [reply]} = Multiplayer.submit(Cut, name, [%{action_id: "\#{n}", action: action, cell: cell}])
        if reply.durability == :logged do
          Agent.update(writer, fn marks ->
            :ok = :file.write(marks, "\#{name} \#{n}\n")
            marks
          end)
        end
        Process.sleep(50)
        play.(play, name, home, n + 1)
      end
    end
    players = for n <- 1..#{@players} do
      Task.async(fn ->
        name = "player\#{n}"
        {:ok, %{home: home}} = Multiplayer.enter(Cut, name)
        play.(play, name, home, 1)
      end)
    end
    tell.(%{os_pid: System.pid()})
    IO.gets("")
    Task.await_many(players, :infinity)
    tell.(%{acknowledged: true})
    IO.gets("")
    :erlang.halt(0, flush: false)
    """
  end

  @doc """
  Cuts the power so many times, with the numbers of `:rand`, and brings the game back from each of the directories. Returns
  how many actions had been acknowledged in all of them.
  """
  def cuts(records, dir, count, complete?) do
    all = List.to_tuple(records)
    names = for {record, n} <- Enum.with_index(records), PowerCut.naming?(record), do: n

    # Names are seldom changed, and much may go wrong then.
    at =
      for n <- 1..count,
          do:
            if(rem(n, 3) == 0,
              do: Enum.random(names) + :rand.uniform(3) - 1,
              else: :rand.uniform(tuple_size(all)) - 1
            )

    {_, _, acknowledged} =
      for at <- Enum.sort(at), reduce: {PowerCut.disk(), 0, 0} do
        {disk, played, sum} ->
          next = min(at + 1, tuple_size(all))
          disk = for n <- played..(next - 1)//1, reduce: disk, do: (disk -> PowerCut.play(elem(all, n), disk))
          told = disk.marks |> Enum.reverse() |> Enum.join() |> String.split("\n", trim: true)
          own = Path.join(dir, "cut#{at}_#{System.unique_integer([:positive])}")
          PowerCut.cut(disk, own)
          bring_back(own, told, complete?, "cut after operation #{at} of #{tuple_size(all)}")
          File.rm_rf!(own)
          {disk, max(played, next), sum + length(told)}
      end

    acknowledged
  end

  defp bring_back(dir, told, complete?, what) do
    name = Module.concat(__MODULE__, Path.basename(dir))
    oldest = oldest(dir)
    # What cannot be started is told of with its directory.
    Process.flag(:trap_exit, true)

    {:ok, game} =
      case GamePlatform.start_link(
             name: name,
             data_dir: dir,
             backend: :nif,
             frequency: @frequency,
             seed: @seed,
             threads: 1,
             ups: 50,
             snapshot_s: 3600,
             snapshots: 1000
           ) do
        {:ok, game} -> {:ok, game}
        error -> wrong(inspect(error), what, dir)
      end

    link = Instance.via(name, :link)
    {:ok, world} = GamePlatform.world(name)
    # What was accepted and not executed is, by the first ticks.
    {:ok, binary} = wait_for_all(world, link)
    {:ok, %{tick: tick, digest: digest}} = Compute.snapshot_info(binary)
    log = Check.read(link)
    Supervisor.stop(game)

    if complete? do
      there = for {_, entries} <- log.batches, entry <- entries, into: MapSet.new(), do: shown(entry)
      lost = Enum.reject(told, &(&1 in there))
      if lost != [], do: wrong("#{length(lost)} actions were acknowledged and are lost", what, dir)
    end

    # With more than one snapshot it was not the oldest that the world was brought back from.
    for base <- if(complete?, do: Enum.uniq([nil, oldest]), else: [oldest]) do
      if Check.digest(log, tick, base) != digest,
        do: wrong("tick #{tick} is not what the log makes of it", what, dir)
    end
  end

  defp oldest(dir) do
    with [_ | _] = ticks <- Snapshots.list(dir, "main"),
         {:ok, binary, _} <- Snapshots.good(dir, "main", List.last(ticks)),
         do: binary,
         else: ([] -> nil)
  end

  defp wrong(sentence, what, dir),
    do: raise(ExUnit.AssertionError, message: "#{what}: #{sentence} (#{dir})")

  defp shown(entry) do
    %{by: by, id: id} = Actions.read(entry)
    "#{by} #{id}"
  end

  defp wait_for_all(world, link, tries \\ 500) do
    {:ok, binary} = Compute.snapshot(world)
    {:ok, %{tick: tick}} = Compute.snapshot_info(binary)
    {:ok, info} = Link.call(link, {:world, "main"})

    cond do
      info.marked_seq == info.last_seq and info.marked_tick < tick ->
        {:ok, binary}

      tries == 0 ->
        raise ExUnit.AssertionError,
          message: "what was accepted is not executed: #{inspect(Map.delete(info, :meta))}"

      true ->
        Process.sleep(20)
        wait_for_all(world, link, tries - 1)
    end
  end
end
